/* SPDX-License-Identifier: MIT */
/* A wait that another thread can cancel: waiters without a callback, and a thread that waits. */
#include "peek.h"
#include "threads.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static const struct timespec past;

static void prepare(struct twostate_waiter *waiter)
{
    memset(waiter, 0x5a, sizeof(*waiter));
    waiter->done = NULL;
}

/* A thread that waits for a waiter that was queued for it. */
struct sleeper {
    struct task task;
    struct twostate_waiter *waiter;
    const struct timespec *deadline;
    uint32_t begun;
    int result;
};

static void sleep_on_waiter(void *argument)
{
    struct sleeper *sleeper = argument;

    store(&sleeper->begun, 1);
    sleeper->result = twostate_waiter_wait(sleeper->waiter, sleeper->deadline);
}

static void sleeper_start(struct sleeper *sleeper, struct twostate_waiter *waiter,
                          const struct timespec *deadline)
{
    *sleeper = (struct sleeper){.waiter = waiter, .deadline = deadline};
    task_start(&sleeper->task, sleep_on_waiter, sleeper);
    AWAIT(load(&sleeper->begun));
}

static int sleeper_end(struct sleeper *sleeper)
{
    task_join(&sleeper->task);
    return sleeper->result;
}

static void test_granted_before_the_wait(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_waiter waiter;

    (void)state;
    prepare(&waiter);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
    twostate_lock_release(&lock, A);
    assert_true(holds_only(&lock, GROUP_B, 1));
    assert_int_equal(twostate_waiter_wait(&waiter, &past), 0);
    assert_int_equal(twostate_waiter_wait(&waiter, NULL), 0);
    assert_false(twostate_waiter_cancel(&waiter));
    assert_int_equal(twostate_waiter_result(&waiter), 0);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

static void test_granted_during_the_wait(void **state) /* G3, G6 */
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct timespec later = after_ms(30000);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct twostate_waiter waiter;
        struct sleeper sleeper;

        prepare(&waiter);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(twostate_lock_freeze_async(&lock, &waiter), -EINPROGRESS);
        sleeper_start(&sleeper, &waiter, round % 2 ? &later : NULL);
        if (round % 4 < 2)
            sched_yield();
        assert_false(task_done(&sleeper.task));
        twostate_lock_release(&lock, A);
        assert_int_equal(sleeper_end(&sleeper), 0);
        assert_true(holds_only(&lock, GROUP_DRAIN, 1));
    }
}

static void test_timed_out(void **state) /* G9, pitfalls L05, L08, L09 */
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        const struct timespec soon = after_ms(10);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct twostate_waiter waiter;

        prepare(&waiter);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
        assert_int_equal(twostate_waiter_wait(&waiter, round ? &soon : &past), -ETIMEDOUT);
        if (round)
            assert_true(is_past(&soon));
        assert_true(twostate_waiter_cancel(&waiter)); /* it is */
        assert_true(holds_only(&lock, GROUP_A, 1));
        twostate_lock_release(&lock, A);
        assert_true(at_rest(&lock));
    }
}

static void test_cancelled_by_another_thread(void **state) /* G9 */
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct twostate_waiter waiter;
        struct sleeper sleeper;

        prepare(&waiter);
        twostate_lock_acquire(&lock, B);
        assert_int_equal(twostate_lock_acquire_async(&lock, A, &waiter), -EINPROGRESS);
        sleeper_start(&sleeper, &waiter, NULL);
        if (round % 2)
            sched_yield();
        assert_true(twostate_waiter_cancel(&waiter));
        assert_int_equal(sleeper_end(&sleeper), -ECANCELED);
        assert_true(holds_only(&lock, GROUP_B, 1));
    }
}

/* A time that is none is refused, and the waiter is queued still. */
static void test_deadline_must_be_a_time(void **state)
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_waiter waiter;

    (void)state;
    prepare(&waiter);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
    for (int n = 0; n < 2; n++)
        assert_int_equal(twostate_waiter_wait(&waiter, &invalid[n]), -EINVAL);
    assert_int_equal(waiting(&lock, GROUP_B), 1);
    twostate_lock_release(&lock, A);
    assert_int_equal(twostate_waiter_wait(&waiter, NULL), 0);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

static void test_refused(void **state) /* G2, pitfall L21 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_waiter waiters[2];

    (void)state;
    prepare(&waiters[0]);
    prepare(&waiters[1]);
    twostate_lock_acquire(&lock, B);
    assert_int_equal(
        twostate_lock_acquire_n_async(&lock, A, TWOSTATE_LOCK_MAX_HOLDERS, &waiters[0]),
        -EINPROGRESS);
    assert_int_equal(twostate_lock_acquire_async(&lock, A, &waiters[1]), -EINPROGRESS);
    twostate_lock_release(&lock, B);
    assert_int_equal(twostate_waiter_wait(&waiters[0], NULL), 0);
    assert_int_equal(twostate_waiter_wait(&waiters[1], NULL), -EOVERFLOW);
    assert_true(holds_only(&lock, GROUP_A, TWOSTATE_LOCK_MAX_HOLDERS));
}

/* A pair's begin that has to wait twice: one wait sees it through, or gives up at either step. */
static void test_pair(void **state) /* G9, pitfalls L09, L10 */
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        const struct timespec soon = after_ms(10);
        struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
        struct twostate_iopair before;
        struct twostate_hold completion;
        struct twostate_hold first;
        struct twostate_hold hold;
        struct twostate_waiter waiter;
        struct sleeper sleeper;

        prepare(&waiter);
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &first);
        twostate_iopair_submitting(&first, &completion);
        twostate_iopair_submitted(&first);
        before = pair;
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &first);
        assert_int_equal(twostate_iopair_begin_async(&pair, TWOSTATE_EXCLUSIVE_IO, &hold, &waiter),
                         -EINPROGRESS);
        if (round % 2)
            twostate_iopair_end(&first); /* it waits for IOTYPE from now on */
        sleeper_start(&sleeper, &waiter, round < 4 ? NULL : &soon);
        if (round % 2 == 0 && round < 4)
            twostate_iopair_end(&first);
        if (round < 2) {
            twostate_iopair_complete(&completion);
            assert_int_equal(sleeper_end(&sleeper), 0);
            assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_EXCLUSIVE);
            twostate_iopair_end(&hold);
            assert_true(pair_at_rest(&pair));
            continue;
        }
        if (round < 4)
            assert_true(twostate_waiter_cancel(&waiter));
        assert_int_equal(sleeper_end(&sleeper), round < 4 ? -ECANCELED : -ETIMEDOUT);
        if (round % 2 == 0 && round >= 4)
            twostate_iopair_end(&first);
        assert_true(pair_is_as(&pair, &before));
        twostate_iopair_complete(&completion);
        assert_true(pair_at_rest(&pair));
    }
}

/* The waiter is on the waiting thread's stack, and gone when that returns: ASan says if not so. */
struct everything {
    struct twostate_lock lock;
    uint32_t inside[2];
    uint32_t timed_out;
    uint32_t next;
};

static void acquire_somehow(struct everything *all, enum twostate_state s, uint32_t seed)
{
    const struct timespec soon = after_ms(seed % 2);
    struct twostate_waiter waiter;
    int result = 0;

    prepare(&waiter);
    result = twostate_lock_acquire_async(&all->lock, s, &waiter);
    if (result == -EINPROGRESS)
        result = twostate_waiter_wait(&waiter, seed % 3 ? NULL : &soon);
    if (result == -ETIMEDOUT) {
        add(&all->timed_out, 1);
        return;
    }
    CHECK(result == 0);
    add(&all->inside[s], 1);
    CHECK(load(&all->inside[s == A ? B : A]) == 0);
    if (seed % 4 == 0)
        sched_yield();
    CHECK(load(&all->inside[s == A ? B : A]) == 0);
    add(&all->inside[s], UINT32_MAX);
    twostate_lock_release(&all->lock, s);
}

static void again_and_again(void *argument)
{
    struct everything *all = argument;
    uint32_t seed = add(&all->next, 1) * 7919;

    for (int round = 0; round < 3000; round++) {
        seed = seed * 1664525 + 1013904223;
        acquire_somehow(all, seed >> 31 ? A : B, seed >> 8);
    }
}

static void test_under_load(void **state) /* G1, G3, G9, pitfalls L09, L22 */
{
    struct everything all = {.next = 0};
    struct task tasks[4];

    (void)state;
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], again_and_again, &all);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&all.lock));
    print_message("%u timed out\n", all.timed_out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_granted_before_the_wait),
        cmocka_unit_test(test_granted_during_the_wait),
        cmocka_unit_test(test_timed_out),
        cmocka_unit_test(test_cancelled_by_another_thread),
        cmocka_unit_test(test_deadline_must_be_a_time),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
