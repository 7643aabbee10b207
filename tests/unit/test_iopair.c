/* SPDX-License-Identifier: MIT */
/* The IO pair's paths: what each holds, from begin to end, and how each gives it back. */
#include "peek.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <twostate/iopair.h>

#define PATHS    7
#define BUFFERED TWOSTATE_BUFFERED_STATE
#define DIRECT   TWOSTATE_DIRECT_STATE

static const struct timespec past;

/* What a pair is seen to hold: one holder each of the IOLOCK in `mode` and of IOTYPE in `state`. */
static void assert_holds(const struct twostate_iopair *pair, enum twostate_iomode mode,
                         enum twostate_state state, bool remapping)
{
    const struct twostate_iopair_info info = twostate_iopair_query(pair);

    assert_int_equal(info.iolock.holders, 1);
    assert_int_equal(info.iolock.mode, mode);
    assert_int_equal(info.iotype.holders, 1);
    assert_int_equal(info.iotype.state, state);
    assert_int_equal(info.remapping, remapping);
}

static void assert_free(const struct twostate_iopair *pair)
{
    assert_true(pair_at_rest(pair));
}

/* The pair's table of paths, after begin. */
static const struct {
    enum twostate_iomode mode;
    enum twostate_state state;
    bool remapping;
} after_begin[PATHS] = {
    [TWOSTATE_BUFFERED_READ] = {TWOSTATE_SHARED, BUFFERED, false},
    [TWOSTATE_BUFFERED_WRITE] = {TWOSTATE_SHARED, BUFFERED, false},
    [TWOSTATE_DIRECT] = {TWOSTATE_SHARED, DIRECT, false},
    [TWOSTATE_DIRECT_EXTEND] = {TWOSTATE_EXCLUSIVE, BUFFERED, false},
    [TWOSTATE_UNALIGNED] = {TWOSTATE_EXCLUSIVE, BUFFERED, false},
    [TWOSTATE_REMAP] = {TWOSTATE_SHARED, BUFFERED, true},
    [TWOSTATE_EXCLUSIVE_IO] = {TWOSTATE_EXCLUSIVE, BUFFERED, false},
};

static void end_elsewhere(void *hold)
{
    twostate_iopair_end(hold);
}

/* Begun here in each form, ended here or by another thread: G6. */
static void test_each_path_in_each_form(void **state)
{
    struct twostate_iopair pair;

    (void)state;
    twostate_iopair_init(&pair);
    assert_free(&pair);
    assert_int_equal(sizeof(pair), 24);
    assert_true(sizeof(struct twostate_hold) <= 24);
    for (unsigned p = 0; p < PATHS; p++) {
        const enum twostate_iopath path = (enum twostate_iopath)p;

        for (int form = 0; form < 4; form++) {
            struct twostate_hold hold;
            struct task task;

            memset(&hold, 0xff, sizeof(hold)); /* need not be initialised */
            if (form == 0)
                twostate_iopair_begin(&pair, path, &hold);
            else if (form == 1)
                assert_true(twostate_iopair_try_begin(&pair, path, &hold));
            else
                assert_int_equal(
                    twostate_iopair_begin_timed(&pair, path, &hold, form == 2 ? &past : NULL), 0);
            assert_holds(&pair, after_begin[p].mode, after_begin[p].state,
                         after_begin[p].remapping);
            if (form % 2 == 0) {
                twostate_iopair_end(&hold);
            } else {
                task_start(&task, end_elsewhere, &hold);
                task_join(&task);
            }
            assert_free(&pair);
        }
    }
}

static void submitted_elsewhere(void *hold)
{
    twostate_iopair_submitted(hold);
}

static void complete_elsewhere(void *completion)
{
    twostate_iopair_complete(completion);
}

/* The submitter or the completion first, one of them in another thread. G6. */
static void test_submit_and_complete_in_either_order(void **state)
{
    static const enum twostate_iopath paths[] = {TWOSTATE_DIRECT, TWOSTATE_BUFFERED_WRITE};
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct twostate_hold hold;
        struct twostate_hold completion;
        struct task task;

        twostate_iopair_begin(&pair, paths[i % 2], &hold);
        twostate_iopair_submitting(&hold, &completion);
        assert_holds(&pair, TWOSTATE_SHARED, i % 2 ? BUFFERED : DIRECT, false);
        if (i < 2) {
            twostate_iopair_submitted(&hold);
            assert_int_equal(twostate_iopair_query(&pair).iolock.holders, 0);
            assert_int_equal(twostate_iopair_query(&pair).iotype.holders, 1);
            task_start(&task, complete_elsewhere, &completion);
        } else {
            twostate_iopair_complete(&completion);
            assert_int_equal(twostate_iopair_query(&pair).iolock.holders, 1);
            assert_int_equal(twostate_iopair_query(&pair).iotype.holders, 0);
            task_start(&task, submitted_elsewhere, &hold);
        }
        task_join(&task);
        assert_free(&pair);
    }
}

static void test_extend_turns_to_direct(void **state) /* G10 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;

    (void)state;
    for (int form = 0; form < 3; form++) {
        struct twostate_hold hold;
        struct twostate_hold completion;

        twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
        assert_holds(&pair, TWOSTATE_EXCLUSIVE, BUFFERED, false);
        if (form == 0)
            twostate_iopair_extend_to_direct(&hold);
        else if (form == 1)
            assert_true(twostate_iopair_try_extend_to_direct(&hold));
        else
            assert_int_equal(twostate_iopair_extend_to_direct_timed(&hold, &past), 0);
        assert_holds(&pair, TWOSTATE_SHARED, DIRECT, false);
        if (form == 0) {
            twostate_iopair_end(&hold);
        } else {
            twostate_iopair_submitting(&hold, &completion);
            twostate_iopair_submitted(&hold);
            twostate_iopair_complete(&completion);
        }
        assert_free(&pair);
    }
}

/* An extension may also end without ever turning to direct: the zeroing failed, say. */
static void test_extend_may_end_early(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;

    (void)state;
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    twostate_iopair_end(&hold);
    assert_free(&pair);
}

static void turn_to_direct(void *hold)
{
    twostate_iopair_extend_to_direct(hold);
}

/* Buffered writes in flight hold BUFFERED too: the switch waits for them. G9, G10, L10. */
static void test_extend_waits_for_writes_in_flight(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_iopair before;
    struct twostate_hold write;
    struct twostate_hold completion;
    struct twostate_hold hold;
    struct timespec soon;
    struct task task;

    (void)state;
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_WRITE, &write);
    twostate_iopair_submitting(&write, &completion);
    twostate_iopair_submitted(&write);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    before = pair;
    assert_false(twostate_iopair_try_extend_to_direct(&hold));
    assert_int_equal(twostate_iopair_extend_to_direct_timed(&hold, &past), -ETIMEDOUT);
    soon = after_ms(5);
    assert_int_equal(twostate_iopair_extend_to_direct_timed(&hold, &soon), -ETIMEDOUT);
    assert_true(pair_is_as(&pair, &before));
    task_start(&task, turn_to_direct, &hold);
    AWAIT(twostate_iopair_query(&pair).iotype.switching);
    assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_EXCLUSIVE);
    assert_false(task_done(&task));
    twostate_iopair_complete(&completion);
    task_join(&task);
    assert_holds(&pair, TWOSTATE_SHARED, DIRECT, false);
    twostate_iopair_end(&hold);
    assert_free(&pair);
}

static void test_retry_unaligned(void **state)
{
    const struct timespec invalid = {.tv_nsec = -1};
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;
    struct twostate_hold other;

    (void)state;
    for (int form = 0; form < 3; form++) {
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
        if (form == 0)
            twostate_iopair_retry_unaligned(&hold);
        else if (form == 1)
            assert_true(twostate_iopair_try_retry_unaligned(&hold));
        else
            assert_int_equal(twostate_iopair_retry_unaligned_timed(&hold, &past), 0);
        assert_holds(&pair, TWOSTATE_EXCLUSIVE, BUFFERED, false);
        twostate_iopair_end(&hold);
        assert_free(&pair);
    }

    /* Where it fails, the hold has ended and the other's is all there is. */
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &other);
    for (int form = 0; form < 3; form++) {
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
        if (form == 0)
            assert_false(twostate_iopair_try_retry_unaligned(&hold));
        else
            assert_int_equal(
                twostate_iopair_retry_unaligned_timed(&hold, form == 1 ? &past : &invalid),
                form == 1 ? -ETIMEDOUT : -EINVAL);
        assert_holds(&pair, TWOSTATE_SHARED, DIRECT, false);
    }
    twostate_iopair_end(&other);
    assert_free(&pair);
}

/* Begins that fail, against every path held: the pair stays as it was, bit by bit. G9, L05, L08. */
static void test_failed_begins_leave_no_trace(void **state)
{
    (void)state;
    for (unsigned held = 0; held < PATHS; held++) {
        for (unsigned wanted = 0; wanted < PATHS; wanted++) {
            const enum twostate_iopath path = (enum twostate_iopath)wanted;
            struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
            struct timespec soon = after_ms(3);
            struct twostate_iopair before;
            struct twostate_hold hold;
            struct twostate_hold failed;

            twostate_iopair_begin(&pair, (enum twostate_iopath)held, &hold);
            before = pair;
            if (twostate_iopair_try_begin(&pair, path, &failed)) {
                twostate_iopair_end(&failed);
            } else {
                assert_true(pair_is_as(&pair, &before));
                assert_int_equal(twostate_iopair_begin_timed(&pair, path, &failed, &past),
                                 -ETIMEDOUT);
                assert_true(pair_is_as(&pair, &before));
                assert_int_equal(twostate_iopair_begin_timed(&pair, path, &failed, &soon),
                                 -ETIMEDOUT);
            }
            assert_true(pair_is_as(&pair, &before));
            twostate_iopair_end(&hold);
            assert_free(&pair);
        }
    }
}

/* The same where only IOTYPE is in the way: what begin took on its way there goes back. G9, L10. */
static void test_failed_begins_beside_io_in_flight(void **state)
{
    static const enum twostate_iopath in_flight[] = {TWOSTATE_DIRECT, TWOSTATE_BUFFERED_WRITE};

    (void)state;
    for (unsigned i = 0; i < 2 * PATHS; i++) {
        const enum twostate_iopath path = (enum twostate_iopath)(i / 2);
        struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
        struct timespec soon = after_ms(3);
        struct twostate_iopair before;
        struct twostate_hold hold;
        struct twostate_hold completion;
        struct twostate_hold begun;

        twostate_iopair_begin(&pair, in_flight[i % 2], &hold);
        twostate_iopair_submitting(&hold, &completion);
        twostate_iopair_submitted(&hold);
        before = pair;
        if (twostate_iopair_try_begin(&pair, path, &begun))
            twostate_iopair_end(&begun);
        assert_true(pair_is_as(&pair, &before));
        if (twostate_iopair_begin_timed(&pair, path, &begun, &soon) == 0)
            twostate_iopair_end(&begun);
        assert_true(pair_is_as(&pair, &before));
        twostate_iopair_complete(&completion);
        assert_free(&pair);
    }
}

static void test_deadline_must_be_a_time(void **state)
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_iopair other = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;

    (void)state;
    for (unsigned i = 0; i < 2 * PATHS; i++)
        assert_int_equal(twostate_iopair_begin_timed(&pair, (enum twostate_iopath)(i / 2), &hold,
                                                     &invalid[i % 2]),
                         -EINVAL);
    assert_int_equal(twostate_iopair_begin_remap_two_timed(&pair, &other, &hold, &invalid[0]),
                     -EINVAL);
    assert_int_equal(twostate_iopair_begin_remap_two_timed(&pair, &pair, &hold, &invalid[1]),
                     -EINVAL);
    assert_free(&pair);
    assert_free(&other);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    assert_int_equal(twostate_iopair_extend_to_direct_timed(&hold, &invalid[0]), -EINVAL);
    assert_holds(&pair, TWOSTATE_EXCLUSIVE, BUFFERED, false);
    twostate_iopair_end(&hold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_path_in_each_form),
        cmocka_unit_test(test_submit_and_complete_in_either_order),
        cmocka_unit_test(test_extend_turns_to_direct),
        cmocka_unit_test(test_extend_may_end_early),
        cmocka_unit_test(test_extend_waits_for_writes_in_flight),
        cmocka_unit_test(test_retry_unaligned),
        cmocka_unit_test(test_failed_begins_leave_no_trace),
        cmocka_unit_test(test_failed_begins_beside_io_in_flight),
        cmocka_unit_test(test_deadline_must_be_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
