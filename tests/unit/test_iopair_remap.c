/* SPDX-License-Identifier: MIT */
/* Remap, of one file and between two; and pairs that are freed as soon as their last hold ended. */
#include "peek.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <twostate/iopair.h>

#define PATHS 7

static const struct timespec past;

static void assert_free(const struct twostate_iopair *pair)
{
    assert_true(pair_at_rest(pair));
}

static void assert_same(const struct twostate_iopair pairs[2],
                        const struct twostate_iopair before[2])
{
    assert_true(pair_is_as(&pairs[0], &before[0]));
    assert_true(pair_is_as(&pairs[1], &before[1]));
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

/* During a remap buffered reads go on; a buffered write waits, and then has the file alone. */
static void test_remap_beside_reads_and_writes(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct beginner writer = {.pair = &pair, .path = TWOSTATE_BUFFERED_WRITE};
    struct twostate_hold remap;
    struct twostate_hold read;
    struct twostate_hold write;

    (void)state;
    twostate_iopair_begin(&pair, TWOSTATE_REMAP, &remap);
    assert_true(twostate_iopair_query(&pair).remapping);
    assert_true(twostate_iopair_try_begin(&pair, TWOSTATE_BUFFERED_READ, &read));
    assert_false(twostate_iopair_try_begin(&pair, TWOSTATE_BUFFERED_WRITE, &write));
    assert_true(twostate_iopair_query(&pair).remapping);
    task_start(&writer.task, begin, &writer);
    AWAIT(twostate_iopair_query(&pair).iolock.waiting_exclusive == 1);
    twostate_iopair_end(&read);
    assert_false(task_done(&writer.task));
    twostate_iopair_end(&remap);
    task_join(&writer.task);
    assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_EXCLUSIVE);
    assert_false(twostate_iopair_query(&pair).remapping);
    assert_false(twostate_iopair_try_begin(&pair, TWOSTATE_BUFFERED_READ, &read));
    twostate_iopair_end(&writer.hold);
    assert_free(&pair);
}

/* IREMAPPING is seen while the remap still waits for direct IO in flight, and gone if it gives up.
 */
static void test_remap_waits_for_direct_in_flight(void **state) /* pitfall L10 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct beginner remap = {.pair = &pair, .path = TWOSTATE_REMAP};
    struct twostate_hold hold;
    struct twostate_hold completion;

    (void)state;
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
    assert_false(twostate_iopair_try_begin(&pair, TWOSTATE_REMAP, &hold));
    assert_int_equal(twostate_iopair_begin_timed(&pair, TWOSTATE_REMAP, &hold, &past), -ETIMEDOUT);
    assert_false(twostate_iopair_query(&pair).remapping);
    task_start(&remap.task, begin, &remap);
    AWAIT(twostate_iopair_query(&pair).iotype.waiting_a == 1);
    assert_true(twostate_iopair_query(&pair).remapping);
    assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_SHARED);
    twostate_iopair_complete(&completion);
    task_join(&remap.task);
    twostate_iopair_end(&remap.hold);
    assert_free(&pair);
}

static void test_remap_of_two_holds_both(void **state)
{
    struct twostate_iopair pairs[2] = {TWOSTATE_IOPAIR_INIT, TWOSTATE_IOPAIR_INIT};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct twostate_iopair *source = &pairs[i % 2];
        struct twostate_iopair *destination = &pairs[1 - i % 2];
        struct twostate_hold hold;
        struct twostate_hold read;

        if (i / 2 == 0)
            twostate_iopair_begin_remap_two(source, destination, &hold);
        else if (i / 2 == 1)
            assert_true(twostate_iopair_try_begin_remap_two(source, destination, &hold));
        else
            assert_int_equal(twostate_iopair_begin_remap_two_timed(source, destination, &hold,
                                                                   i / 2 == 2 ? &past : NULL),
                             0);
        assert_true(twostate_iopair_query(source).remapping);
        assert_int_equal(twostate_iopair_query(source).iolock.mode, TWOSTATE_SHARED);
        assert_int_equal(twostate_iopair_query(source).iotype.holders, 1);
        assert_false(twostate_iopair_query(destination).remapping);
        assert_int_equal(twostate_iopair_query(destination).iolock.mode, TWOSTATE_EXCLUSIVE);
        assert_int_equal(twostate_iopair_query(destination).iotype.holders, 1);
        assert_true(twostate_iopair_try_begin(source, TWOSTATE_BUFFERED_READ, &read));
        twostate_iopair_end(&read);
        assert_false(twostate_iopair_try_begin(destination, TWOSTATE_BUFFERED_READ, &read));
        twostate_iopair_end(&hold);
        assert_free(source);
        assert_free(destination);
    }
}

static void test_remap_within_one_file(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;

    (void)state;
    for (int form = 0; form < 3; form++) {
        if (form == 0)
            twostate_iopair_begin_remap_two(&pair, &pair, &hold);
        else if (form == 1)
            assert_true(twostate_iopair_try_begin_remap_two(&pair, &pair, &hold));
        else
            assert_int_equal(twostate_iopair_begin_remap_two_timed(&pair, &pair, &hold, &past), 0);
        assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_EXCLUSIVE);
        assert_int_equal(twostate_iopair_query(&pair).iotype.holders, 1);
        assert_false(twostate_iopair_query(&pair).remapping);
        twostate_iopair_end(&hold);
        assert_free(&pair);
    }
}

/* Whatever is held of either file, and whatever of it is only in flight. G9. */
static void test_failed_remap_of_two_leaves_no_trace(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4 * PATHS; i++) {
        struct twostate_iopair pairs[2] = {TWOSTATE_IOPAIR_INIT, TWOSTATE_IOPAIR_INIT};
        struct twostate_iopair before[2];
        struct timespec soon = after_ms(3);
        struct twostate_hold hold;
        struct twostate_hold failed;

        /* Both directions, and each file the one in the way. */
        twostate_iopair_begin(&pairs[i % 2], (enum twostate_iopath)(i / 4), &hold);
        before[0] = pairs[0];
        before[1] = pairs[1];
        for (unsigned form = 0; form < 3; form++) {
            struct twostate_iopair *source = &pairs[i / 2 % 2];
            struct twostate_iopair *destination = &pairs[1 - i / 2 % 2];

            if (form == 0)
                assert_false(twostate_iopair_try_begin_remap_two(source, destination, &failed));
            else
                assert_int_equal(twostate_iopair_begin_remap_two_timed(source, destination, &failed,
                                                                       form == 1 ? &past : &soon),
                                 -ETIMEDOUT);
            assert_same(pairs, before);
        }
        twostate_iopair_end(&hold);
        assert_free(&pairs[0]);
        assert_free(&pairs[1]);
    }
}

static void test_remap_of_two_beside_io_in_flight(void **state) /* G8, G9 */
{
    static const enum twostate_iopath in_flight[] = {TWOSTATE_DIRECT, TWOSTATE_BUFFERED_WRITE};

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct twostate_iopair pairs[2] = {TWOSTATE_IOPAIR_INIT, TWOSTATE_IOPAIR_INIT};
        struct twostate_iopair *busy = &pairs[i / 2 % 2];
        struct twostate_iopair *source = &pairs[i / 4];
        struct twostate_iopair *destination = &pairs[1 - i / 4];
        /* A source's remap goes along with buffered writes in flight; a destination is drained. */
        const bool together = busy == source && i % 2 == 1;
        struct twostate_iopair before[2];
        struct twostate_hold hold;
        struct twostate_hold completion;

        twostate_iopair_begin(busy, in_flight[i % 2], &hold);
        twostate_iopair_submitting(&hold, &completion);
        twostate_iopair_submitted(&hold);
        before[0] = pairs[0];
        before[1] = pairs[1];
        assert_int_equal(twostate_iopair_try_begin_remap_two(source, destination, &hold), together);
        if (together)
            twostate_iopair_end(&hold);
        assert_same(pairs, before);
        twostate_iopair_complete(&completion);
        assert_free(busy);
    }
}

/* Two files, and threads that remap each onto the other: no deadlock, and one at a time. */
struct files {
    struct twostate_iopair pairs[2];
    unsigned long remaps; /* plain: a remap of the two excludes every other */
    uint32_t next;
};

static void remap_again_and_again(void *argument)
{
    struct files *files = argument;
    const uint32_t mine = add(&files->next, 1);

    for (uint32_t round = 0; round < 2000; round++) {
        const uint32_t from = (mine + (round % 16 == 0)) % 2;
        struct timespec soon = after_ms(1);
        struct twostate_hold hold;

        if (round % 8 == 1) {
            if (twostate_iopair_begin_remap_two_timed(&files->pairs[from], &files->pairs[1 - from],
                                                      &hold, &soon) != 0)
                continue;
        } else {
            twostate_iopair_begin_remap_two(&files->pairs[from], &files->pairs[1 - from], &hold);
        }
        files->remaps++;
        if (round % 32 == 0)
            sched_yield();
        twostate_iopair_end(&hold);
    }
}

/* Writes and direct IO of either file: neither goes on during a remap. */
static void write_again_and_again(void *argument)
{
    struct files *files = argument;

    for (unsigned round = 0; round < 2000; round++) {
        struct twostate_hold hold;
        unsigned long seen = 0;

        twostate_iopair_begin(&files->pairs[round % 2],
                              round % 3 ? TWOSTATE_BUFFERED_WRITE : TWOSTATE_DIRECT, &hold);
        seen = files->remaps;
        if (round % 16 == 0)
            sched_yield();
        CHECK(files->remaps == seen);
        twostate_iopair_end(&hold);
    }
}

static void test_remaps_crosswise_do_not_deadlock(void **state) /* pitfall L04 */
{
    struct files files = {.next = 0};
    struct task tasks[4];

    (void)state;
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], n < 3 ? remap_again_and_again : write_again_and_again, &files);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
    assert_true(files.remaps > 3000);
    assert_free(&files.pairs[0]);
    assert_free(&files.pairs[1]);
}

/* One remap's end does not take away the flag of the next, which may begin at once. */
static void remap_in_a_row(void *argument)
{
    struct twostate_iopair *pair = argument;

    for (int round = 0; round < 5000; round++) {
        struct twostate_hold hold;

        twostate_iopair_begin(pair, TWOSTATE_REMAP, &hold);
        CHECK(twostate_iopair_query(pair).remapping);
        if (round % 64 == 0)
            sched_yield();
        CHECK(twostate_iopair_query(pair).remapping);
        twostate_iopair_end(&hold);
    }
}

static void test_remaps_in_a_row(void **state) /* pitfall L10 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct task tasks[3];

    (void)state;
    for (int n = 0; n < 3; n++)
        task_start(&tasks[n], remap_in_a_row, &pair);
    for (int n = 0; n < 3; n++)
        task_join(&tasks[n]);
    assert_free(&pair);
}

/* A completion's last touch of the pair is its release: whoever drained may free the pair. */
struct partner {
    struct task task;
    struct twostate_hold *given;
    void (*give_back)(struct twostate_hold *hold);
    uint32_t stop;
};

static void give_back_given(void *argument)
{
    struct partner *partner = argument;

    while (!load(&partner->stop)) {
        struct twostate_hold *given = __atomic_exchange_n(&partner->given, NULL, __ATOMIC_ACQ_REL);

        if (given)
            partner->give_back(given);
        else
            sched_yield();
    }
}

static void test_free_as_soon_as_drained(void **state) /* G6, G7, G8, pitfall L16 */
{
    struct partner partner = {.give_back = twostate_iopair_complete};

    (void)state;
    task_start(&partner.task, give_back_given, &partner);
    for (unsigned round = 0; round < 5000; round++) {
        struct twostate_iopair *pair = calloc(1, sizeof(*pair));
        struct twostate_hold hold;
        struct twostate_hold completion;

        assert_non_null(pair);
        twostate_iopair_begin(pair, round % 2 ? TWOSTATE_DIRECT : TWOSTATE_BUFFERED_WRITE, &hold);
        twostate_iopair_submitting(&hold, &completion);
        __atomic_store_n(&partner.given, &completion, __ATOMIC_RELEASE);
        twostate_iopair_submitted(&hold);
        twostate_iopair_begin(pair, TWOSTATE_EXCLUSIVE_IO, &hold);
        twostate_iopair_end(&hold);
        free(pair);
    }
    store(&partner.stop, 1);
    task_join(&partner.task);
}

static void test_free_as_soon_as_a_remap_ended(void **state) /* G6, G7, pitfall L16 */
{
    struct partner partner = {.give_back = twostate_iopair_end};

    (void)state;
    task_start(&partner.task, give_back_given, &partner);
    for (unsigned round = 0; round < 5000; round++) {
        struct twostate_iopair *pair = calloc(1, sizeof(*pair));
        struct twostate_hold remap;
        struct twostate_hold hold;

        assert_non_null(pair);
        twostate_iopair_begin(pair, TWOSTATE_REMAP, &remap);
        __atomic_store_n(&partner.given, &remap, __ATOMIC_RELEASE);
        twostate_iopair_begin(pair, round % 2 ? TWOSTATE_EXCLUSIVE_IO : TWOSTATE_UNALIGNED, &hold);
        twostate_iopair_end(&hold);
        free(pair);
    }
    store(&partner.stop, 1);
    task_join(&partner.task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remap_beside_reads_and_writes),
        cmocka_unit_test(test_remap_waits_for_direct_in_flight),
        cmocka_unit_test(test_remap_of_two_holds_both),
        cmocka_unit_test(test_remap_within_one_file),
        cmocka_unit_test(test_failed_remap_of_two_leaves_no_trace),
        cmocka_unit_test(test_remap_of_two_beside_io_in_flight),
        cmocka_unit_test(test_remaps_crosswise_do_not_deadlock),
        cmocka_unit_test(test_remaps_in_a_row),
        cmocka_unit_test(test_free_as_soon_as_drained),
        cmocka_unit_test(test_free_as_soon_as_a_remap_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
