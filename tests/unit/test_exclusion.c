/* SPDX-License-Identifier: MIT */
/*
 * The exclusion table of iopair.h, every cell both ways. A row's path is held; a thread begins the
 * column's path: either it gets in while the row is held, or a query shows it waiting, and it gets
 * in once the row has ended.
 */
#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <twostate/iopair.h>

#define PATHS 7

/* What is done to a hold after begin. */
enum progress {
    BEGUN,
    SWITCHED = 1,  /* extend_to_direct */
    SUBMITTED = 2, /* submitting and submitted: the completion is still to come */
};

/* A column for each path, in the order of enum twostate_iopath. '-': together, 'X': it waits. */
struct row {
    const char *name;
    enum twostate_iopath path;
    unsigned progress;
    char cells[PATHS + 1];
};

static const struct row table[] = {
    /*                                              r w d e u m x */
    {"read", TWOSTATE_BUFFERED_READ, BEGUN, "--XXXXX"},
    {"write", TWOSTATE_BUFFERED_WRITE, BEGUN, "--XXXXX"},
    {"direct", TWOSTATE_DIRECT, BEGUN, "XX-XXXX"},
    {"extend", TWOSTATE_DIRECT_EXTEND, BEGUN, "XXXXXXX"},
    {"unaligned", TWOSTATE_UNALIGNED, BEGUN, "XXXXXXX"},
    {"remap", TWOSTATE_REMAP, BEGUN, "-XXXXXX"},
    {"exclusive", TWOSTATE_EXCLUSIVE_IO, BEGUN, "XXXXXXX"},
    /* From here on a request that is in flight holds IOTYPE only. */
    {"direct, submitted", TWOSTATE_DIRECT, SUBMITTED, "XX-XXXX"},
    {"extend, demoted", TWOSTATE_DIRECT_EXTEND, SWITCHED, "XX-XXXX"},
    {"extend, submitted", TWOSTATE_DIRECT_EXTEND, SWITCHED | SUBMITTED, "XX-XXXX"},
    {"write, submitted", TWOSTATE_BUFFERED_WRITE, SUBMITTED, "--X---X"},
};

struct holder {
    struct twostate_hold hold;
    struct twostate_hold completion;
};

static void hold_row(struct twostate_iopair *pair, const struct row *row, struct holder *holder)
{
    twostate_iopair_begin(pair, row->path, &holder->hold);
    if (row->progress & SWITCHED)
        twostate_iopair_extend_to_direct(&holder->hold);
    if (row->progress & SUBMITTED) {
        twostate_iopair_submitting(&holder->hold, &holder->completion);
        twostate_iopair_submitted(&holder->hold);
    }
}

static void end_row(const struct row *row, struct holder *holder)
{
    if (row->progress & SUBMITTED)
        twostate_iopair_complete(&holder->completion);
    else
        twostate_iopair_end(&holder->hold);
}

struct beginner {
    struct task task;
    struct twostate_iopair *pair;
    enum twostate_iopath path;
    struct twostate_hold hold;
};

static void begin(void *argument)
{
    struct beginner *beginner = argument;

    twostate_iopair_begin(beginner->pair, beginner->path, &beginner->hold);
}

static bool somebody_waits(const struct twostate_iopair *pair)
{
    const struct twostate_iopair_info info = twostate_iopair_query(pair);

    return info.iolock.waiting_shared + info.iolock.waiting_exclusive + info.iotype.waiting_a +
               info.iotype.waiting_b + info.iotype.draining >
           0;
}

static void check_cell(const struct row *row, enum twostate_iopath path)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct beginner beginner = {.pair = &pair, .path = path};
    struct holder holder;
    struct twostate_hold tried;
    bool together = false;

    hold_row(&pair, row, &holder);
    task_start(&beginner.task, begin, &beginner);
    AWAIT(task_done(&beginner.task) || somebody_waits(&pair));
    together = task_done(&beginner.task);
    if (together)
        twostate_iopair_end(&beginner.hold);
    end_row(row, &holder);
    task_join(&beginner.task);
    if (!together)
        twostate_iopair_end(&beginner.hold);
    if (together != (row->cells[path] == '-'))
        fail_msg("%s, then path %d: they %s", row->name, (int)path,
                 together ? "run together" : "wait");
    assert_false(somebody_waits(&pair));

    /* The form that does not wait agrees. */
    hold_row(&pair, row, &holder);
    together = twostate_iopair_try_begin(&pair, path, &tried);
    if (together)
        twostate_iopair_end(&tried);
    end_row(row, &holder);
    assert_int_equal(together, row->cells[path] == '-');
}

static void test_every_cell(void **state) /* G1, G8, G13 */
{
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (unsigned path = 0; path < PATHS; path++)
            check_cell(&table[i], (enum twostate_iopath)path);
}

/*
 * What excludes does so both ways, whoever comes first; but for one cell: reads begin while a remap
 * goes on, yet a remap waits for the reads before it, because it starts with the IOLOCK exclusive.
 */
static void test_table_is_symmetric(void **state)
{
    (void)state;
    for (size_t i = 0; i < PATHS; i++)
        for (size_t j = 0; j < PATHS; j++) {
            assert_int_equal(table[i].path, i);
            if (i + j != TWOSTATE_BUFFERED_READ + TWOSTATE_REMAP || (i != 0 && j != 0))
                assert_int_equal(table[i].cells[j], table[j].cells[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_symmetric),
        cmocka_unit_test(test_every_cell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
