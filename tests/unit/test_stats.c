/* SPDX-License-Identifier: MIT */
/* What the statistics count of each call, exactly: the locks' clock stands still. */
#include "caller.h"
#include "counted.h"
#include "peek.h"
#include "spy.h"
#include "wanter.h"
#include "watch.h"

#include <twostate/stats.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/* Runs first: they stay on. */
static void test_off(void **state)
{
    static struct twostate_lock lock;
    struct twostate_stats stats;
    uint32_t slow = 0;

    (void)state;
    if (watched_()) /* by the environment: they are on already */
        skip();
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    slow = spy_slow_calls();
    for (int i = 0; i < 1000; i++) {
        const enum twostate_state s = i % 2 ? A : B;

        twostate_lock_acquire(&lock, s);
        twostate_lock_release(&lock, s);
    }
    assert_int_equal(spy_slow_calls(), slow); /* nothing but the inline fast paths */

    twostate_stats_enable();
    for (int i = 0; i < 1000; i++) {
        twostate_lock_acquire(&lock, A);
        twostate_lock_release(&lock, A);
    }
    assert_int_equal(spy_slow_calls(), slow); /* a lock that was used before goes on as it was */
    wait_for_a_holder(CALL_ACQUIRE, GROUP_B, &lock); /* nor are its waits counted */
    twostate_lock_release(&lock, B);
    wait_for_a_holder(CALL_DRAIN, GROUP_DRAIN, &lock);
    assert_false(twostate_stats_snapshot(0, &stats));
}

static void test_no_wait(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    for (int i = 0; i < 10; i++) {
        twostate_lock_acquire(&lock, A);
        pass_time(HOLD_NS);
        twostate_lock_release(&lock, A);
    }
    assert_true(twostate_lock_try_acquire(&lock, B));
    assert_false(twostate_lock_try_acquire(&lock, A)); /* a try does not wait */
    pass_time(2 * HOLD_NS);
    twostate_lock_release(&lock, B);
    twostate_lock_drain(&lock);

    stats = stats_of("lock");
    assert_false(stats.iolock);
    assert_int_equal(stats.longest_queue, 0);
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 10, 10, HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, 2 * HOLD_NS);
    assert_true(all_zero(&stats.groups[TWOSTATE_STATS_DRAIN], sizeof(stats.groups[0])));
    for (unsigned i = 0; i < 3; i++) {
        assert_waits(&stats.groups[i], 0, 0, 0);
        assert_int_equal(stats.groups[i].looks, 0);
        assert_int_equal(stats.groups[i].sleeps, 0);
        assert_int_equal(stats.groups[i].mode_switches, 0);
    }
}

static void test_wait(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    assert_int_equal(wait_for_a_holder(CALL_ACQUIRE, GROUP_B, &lock), 0);
    stats = stats_of("lock");
    assert_int_equal(stats.longest_queue, 1);
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 1, 1, HOLD_NS);
    assert_waits(&stats.groups[TWOSTATE_STATS_A], 0, 0, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].mode_switches, 1);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 0, 0);
    assert_waits(&stats.groups[TWOSTATE_STATS_B], 1, 0, WAIT_NS);
    assert_true(stats.groups[TWOSTATE_STATS_B].looks > 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].sleeps, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].impatient, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].grants, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].mode_switches, 0);

    pass_time(2 * HOLD_NS);
    twostate_lock_release(&lock, B);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 1, 1, HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, 2 * HOLD_NS);
}

static void test_impatient(void **state)
{
    struct twostate_lock lock;
    struct twostate_stats stats;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
    assert_int_equal(wait_for_a_holder(CALL_ACQUIRE, GROUP_B, &lock), 0);
    twostate_lock_release(&lock, B);
    stats = stats_of("lock");
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].impatient, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].looks, 0);
    assert_waits(&stats.groups[TWOSTATE_STATS_B], 1, 0, WAIT_NS);
}

static void test_patience_expires(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller caller;
    struct twostate_stats stats;

    (void)state;
    twostate_lock_acquire(&lock, B);
    caller_start(&caller, &lock, CALL_ACQUIRE, A);
    AWAIT(waiting(&lock, GROUP_A) == 1);
    pass_time(UINT64_C(1000) * TWOSTATE_PATIENCE_DEFAULT);
    AWAIT(has_turn(&lock, GROUP_A));
    twostate_lock_release(&lock, B);
    caller_join(&caller);
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].impatient, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].sleeps, 2);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].impatient, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].mode_switches, 1);
}

static void test_refused(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    const struct timespec past = {.tv_nsec = 1};
    struct twostate_stats stats;

    (void)state;
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_timed(&lock, B, &past), -ETIMEDOUT);
    assert_int_equal(twostate_lock_drain_timed(&lock, &past), -ETIMEDOUT);
    pass_time(HOLD_NS);
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].waits, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].refused, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].wait.count, 1);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 0, 0, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_DRAIN].waits, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_DRAIN].refused, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].refused, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].mode_switches, 0);
}

static void test_drain_and_freeze(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    wait_for_a_holder(CALL_DRAIN, GROUP_DRAIN, &lock);
    stats = stats_of("lock");
    assert_waits(&stats.groups[TWOSTATE_STATS_DRAIN], 1, 0, WAIT_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_DRAIN], 0, 0, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].mode_switches, 1);

    wait_for_a_holder(CALL_FREEZE, GROUP_DRAIN, &lock);
    pass_time(3 * HOLD_NS);
    twostate_lock_thaw(&lock);
    stats = stats_of("lock");
    assert_waits(&stats.groups[TWOSTATE_STATS_DRAIN], 2, 0, WAIT_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_DRAIN], 1, 1, 3 * HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 2, 2, HOLD_NS);
}

/* A switch ends a hold of one state and begins one of the other; a thaw to a state too. */
static void test_switch(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    twostate_lock_acquire(&lock, A);
    pass_time(HOLD_NS);
    assert_int_equal(twostate_lock_switch(&lock, B), 0);
    pass_time(2 * HOLD_NS);
    twostate_lock_release(&lock, B);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 1, 1, HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, 2 * HOLD_NS);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].mode_switches, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].mode_switches, 0);

    twostate_lock_freeze(&lock);
    pass_time(3 * HOLD_NS);
    assert_true(twostate_lock_try_thaw_to(&lock, A));
    pass_time(HOLD_NS);
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_DRAIN], 1, 1, 3 * HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 2, 2, HOLD_NS);
    assert_int_equal(stats.groups[TWOSTATE_STATS_DRAIN].mode_switches, 1);
}

static void test_many_holds(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 5), 0);
    pass_time(HOLD_NS);
    twostate_lock_release_n(&lock, B, 2);
    twostate_lock_release_n(&lock, B, 3);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 5, HOLD_NS);
}

static void test_iolock(void **state)
{
    struct twostate_iolock iolock = TWOSTATE_IOLOCK_INIT;
    struct twostate_stats stats;

    (void)state;
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    pass_time(HOLD_NS);
    twostate_iolock_demote(&iolock);
    pass_time(2 * HOLD_NS);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    stats = stats_of("iolock");
    assert_true(stats.iolock);
    assert_holds(&stats.groups[TWOSTATE_STATS_EXCLUSIVE], 1, 1, HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_SHARED], 1, 1, 2 * HOLD_NS);
}

static void test_async(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter granted;
    struct wanter cancelled;
    struct twostate_stats stats;

    (void)state;
    wanter_init(&granted);
    wanter_init(&cancelled);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &granted.waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &cancelled.waiter), -EINPROGRESS);
    pass_time(WAIT_NS);
    assert_true(twostate_waiter_cancel(&cancelled.waiter));
    twostate_lock_release(&lock, A);
    assert_true(told_here(&granted, 0));
    pass_time(HOLD_NS);
    twostate_lock_release(&lock, B);

    stats = stats_of("lock");
    assert_int_equal(stats.longest_queue, 2);
    assert_waits(&stats.groups[TWOSTATE_STATS_B], 2, 1, WAIT_NS);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].grants, 1);
    assert_int_equal(stats.groups[TWOSTATE_STATS_B].sleeps, 0);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, HOLD_NS);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].mode_switches, 1);

    /* Had at once: neither a wait nor a grant. */
    assert_int_equal(twostate_lock_acquire_async(&lock, A, &granted.waiter), 0);
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].acquires, 2);
    assert_waits(&stats.groups[TWOSTATE_STATS_A], 0, 0, 0);
    assert_int_equal(stats.groups[TWOSTATE_STATS_A].grants, 0);
}

/* Released by another thread than the one that acquired: the hold is the same. */
static void release_a(void *lock)
{
    twostate_lock_release(lock, A);
}

static void test_other_thread_releases(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct task task;
    struct twostate_stats stats;

    (void)state;
    twostate_lock_acquire(&lock, A);
    pass_time(HOLD_NS);
    task_start(&task, release_a, &lock);
    task_join(&task);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 1, 1, HOLD_NS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_clock, stop_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_off),
        TEST(test_no_wait),
        TEST(test_wait),
        TEST(test_impatient),
        TEST(test_patience_expires),
        TEST(test_refused),
        TEST(test_drain_and_freeze),
        TEST(test_switch),
        TEST(test_many_holds),
        TEST(test_iolock),
        TEST(test_async),
        TEST(test_other_thread_releases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
