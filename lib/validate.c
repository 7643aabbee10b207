/* SPDX-License-Identifier: MIT */
/* The validator's calls, and its start by the environment. */
#include <twostate/validate.h>

#include "class.h"
#include "sys.h"
#include "tsan.h"
#include "validate_order.h"
#include "validate_report.h"
#include "validate_rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool on(void)
{
    return (__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) & WATCH_VALIDATE) != 0;
}

int twostate_validate_start(enum twostate_validate_mode mode, uint32_t rules)
{
    struct stack stack;

    if ((unsigned)mode > TWOSTATE_VALIDATE_COLLECT || (rules & ~TWOSTATE_RULES_ALL) != 0)
        return -EINVAL;
    report_stack_(&stack, NULL); /* the first walk loads the unwinder, which allocates */
    holds_lock_();
    report_mode_ = mode;
    report_rules_ = rules;
    if (!on())
        report_clear_count_();
    __atomic_fetch_or(&watch_mask_, WATCH_VALIDATE, __ATOMIC_RELEASE);
    holds_unlock_();
    return 0;
}

void twostate_validate_stop(void)
{
    holds_lock_();
    if ((__atomic_and_fetch(&watch_mask_, ~(uint32_t)WATCH_VALIDATE, __ATOMIC_RELEASE) &
         WATCH_HOLDS) == 0) {
        holds_clear_();
        class_clear_();
    }
    order_clear_();
    holds_unlock_();
}

bool twostate_validate_next(struct twostate_report *report)
{
    bool any = false;

    holds_lock_();
    any = report_next_(report);
    holds_unlock_();
    return any;
}

struct twostate_validate_info twostate_validate_query(void)
{
    struct twostate_validate_info info;

    holds_lock_();
    info = (struct twostate_validate_info){
        .reports = report_count_(),
        .reports_lost = report_lost_(),
        .holds = holds_known_(),
        .holds_missed = holds_missed_(),
        .orders_missed = order_missed_(),
    };
    holds_unlock_();
    return info;
}

void twostate_validate_disown(const void *lock)
{
    struct hold *hold = NULL;

    if (tsan_sees_())
        tsan_disown_(lock);
    if (!on())
        return;
    holds_lock_();
    hold = holds_own_(lock);
    if (hold != NULL)
        holds_hand_(hold, NULL);
    holds_unlock_();
}

void twostate_validate_adopt(const void *lock)
{
    struct hold *hold = NULL;

    if (tsan_sees_())
        tsan_adopt_(lock);
    if (!on())
        return;
    holds_lock_();
    hold = holds_nobodys_(lock);
    if (hold != NULL)
        holds_hand_(hold, watch_self_());
    holds_unlock_();
}

void twostate_validate_disown_hold(const struct twostate_hold *hold)
{
    const struct twostate_lock *locks[4];
    const unsigned n = watched_() ? watch_locks_of_(hold, locks) : 0;

    for (unsigned i = 0; i < n; i++)
        twostate_validate_disown(locks[i]);
}

void twostate_validate_adopt_hold(const struct twostate_hold *hold)
{
    const struct twostate_lock *locks[4];
    const unsigned n = watched_() ? watch_locks_of_(hold, locks) : 0;

    for (unsigned i = 0; i < n; i++)
        twostate_validate_adopt(locks[i]);
}

void twostate_validate_free(const void *memory, size_t size)
{
    if (!watched_())
        return;
    holds_lock_();
    if (on())
        rules_free_(memory, size);
    holds_forget_(memory, size);
    order_forget_(memory, size);
    class_forget_(memory, size);
    holds_unlock_();
}

uint32_t twostate_validate_leaks(void)
{
    uint32_t leaks = 0;

    if (!on())
        return 0;
    holds_lock_();
    leaks = rules_leaks_();
    holds_unlock_();
    return leaks;
}

/* One word of the environment variable. False: there is no such word. */
static bool understand(const char *word, size_t length, enum twostate_validate_mode *mode,
                       uint32_t *rules)
{
    static const char *const modes[] = {"1", "log", "collect"};

    for (unsigned n = 0; n < sizeof(modes) / sizeof(modes[0]); n++)
        if (strlen(modes[n]) == length && memcmp(modes[n], word, length) == 0) {
            *mode = (enum twostate_validate_mode)n;
            return true;
        }
    for (uint32_t rule = 1; rule < TWOSTATE_RULES_ALL; rule <<= 1) {
        const char *name = report_rule_name_((enum twostate_rule)rule);

        if (*word == '-' && strlen(name) == length - 1 && memcmp(name, word + 1, length - 1) == 0) {
            *rules &= ~rule;
            return true;
        }
    }
    return false;
}

static void say_what_is_known(const char *word, size_t length)
{
    fprintf(stderr,
            "twostate: TWOSTATE_VALIDATE: '%.*s' means nothing; known are 0 (off, alone), 1, log, "
            "collect, and without a rule:",
            (int)length, word);
    for (uint32_t rule = 1; rule < TWOSTATE_RULES_ALL; rule <<= 1)
        fprintf(stderr, " -%s", report_rule_name_((enum twostate_rule)rule));
    fputs(" (separated by commas)\n", stderr);
}

void validate_start_by_environment_(void)
{
    const char *value = secure_getenv("TWOSTATE_VALIDATE");
    enum twostate_validate_mode mode = TWOSTATE_VALIDATE_STOP;
    uint32_t rules = TWOSTATE_RULES_ALL;

    if (value == NULL || *value == '\0' || strcmp(value, "0") == 0)
        return;
    while (*value != '\0') {
        const size_t length = strcspn(value, ",");

        if (!understand(value, length, &mode, &rules))
            say_what_is_known(value, length);
        value += length + (value[length] == ',');
    }
    twostate_validate_start(mode, rules);
}
