/* SPDX-License-Identifier: MIT */
/* The validator, collecting: see collect.h. */
#include "collect.h"

#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct twostate_report report;

int collect_start(void **state)
{
    (void)state;
    return twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL);
}

int collect_stop(void **state)
{
    (void)state;
    expect_none();
    twostate_validate_stop();
    return 0;
}

void expect_report(enum twostate_rule rule, const void *lock, const char *const words[])
{
    static const uint64_t none[4];

    memset(&report, 0xff, sizeof(report));
    if (!twostate_validate_next(&report))
        fail_msg("no report, where one of rule %d was to come", (int)rule);
    if (report.rule != rule || report.lock != lock)
        fail_msg("not of rule %d and lock %p: %s", (int)rule, lock, report.text);
    assert_memory_equal(report.reserved, none, sizeof(report.reserved));
    for (; *words != NULL; words++)
        if (strstr(report.text, *words) == NULL)
            fail_msg("no '%s' in: %s", *words, report.text);
}

void expect_none(void)
{
    if (twostate_validate_next(&report))
        fail_msg("a report that should not be: %s", report.text);
}

void in_thread(void (*run)(void *), void *argument)
{
    struct task task;

    task_start(&task, run, argument);
    task_join(&task);
}
