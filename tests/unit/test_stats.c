/* SPDX-License-Identifier: MIT */
/* What the statistics count of each call, exactly: the locks' clock stands still. */
#include "caller.h"
#include "peek.h"
#include "spy.h"
#include "wanter.h"

#include <twostate/class.h>
#include <twostate/stats.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define A  TWOSTATE_A
#define B  TWOSTATE_B
#define T0 UINT64_C(1000000000)
/* Times that a test makes: all shorter than the patience. */
#define HOLD_NS 300000
#define WAIT_NS 200000

static struct twostate_stats stats_of(const char *name)
{
    struct twostate_stats stats;

    for (unsigned i = 0; twostate_stats_snapshot(i, &stats); i++)
        if (strcmp(stats.name, name) == 0)
            return stats;
    fail_msg("nothing was counted of %s", name);
    return stats;
}

static void pass_time(uint64_t ns)
{
    spy_clock_set(spy_clock_ns() + ns);
}

static int start_clock(void **state)
{
    (void)state;
    twostate_stats_reset();
    spy_clock_set(T0);
    return 0;
}

static int stop_clock(void **state)
{
    (void)state;
    spy_clock_set(0);
    return 0;
}

static bool all_zero(const void *memory, size_t size)
{
    const unsigned char *byte = memory;

    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

static void assert_times(const struct twostate_stats_times *times, uint64_t count, uint64_t each_ns)
{
    uint64_t in_buckets = 0;

    assert_int_equal(times->count, count);
    assert_int_equal(times->total_ns, count * each_ns);
    assert_int_equal(times->max_ns, count > 0 ? each_ns : 0);
    assert_int_equal(times->p50_ns, count > 0 ? each_ns : 0);
    for (unsigned i = 0; i < TWOSTATE_STATS_BUCKETS; i++) {
        in_buckets += times->buckets[i];
        if (times->buckets[i] > 0) {
            assert_true(each_ns >= UINT64_C(1) << i);
            assert_true(each_ns < UINT64_C(2) << i);
        }
    }
    assert_int_equal(in_buckets, count);
}

static void assert_waits(const struct twostate_stats_group *group, uint64_t waits, uint64_t refused,
                         uint64_t ns)
{
    assert_int_equal(group->waits, waits);
    assert_int_equal(group->refused, refused);
    assert_times(&group->wait, waits, ns);
}

static void assert_holds(const struct twostate_stats_group *group, uint64_t acquires,
                         uint64_t holds, uint64_t ns)
{
    assert_int_equal(group->acquires, acquires);
    assert_times(&group->hold, holds, ns);
}

/* Runs first: they stay on. */
static void test_off(void **state)
{
    static struct twostate_lock lock;
    struct twostate_stats stats;
    uint32_t slow = 0;

    (void)state;
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

/* One holder of A, and a caller that waits for it for WAIT_NS. */
static int wait_for_a_holder(enum call call, enum group group, struct twostate_lock *lock)
{
    struct caller caller;
    int result = 0;

    twostate_lock_acquire(lock, A);
    pass_time(HOLD_NS - WAIT_NS);
    caller_start(&caller, lock, call, B);
    AWAIT(waiting(lock, group) == 1);
    pass_time(WAIT_NS);
    twostate_lock_release(lock, A);
    result = caller_join(&caller);
    return result;
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

static void test_classes(void **state)
{
    static const struct twostate_class ours = {"ours", 0};
    static struct twostate_lock mine = TWOSTATE_LOCK_INIT;
    struct twostate_lock other = TWOSTATE_LOCK_INIT;
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;
    struct twostate_stats stats;

    (void)state;
    assert_int_equal(twostate_lock_set_class(&mine, &ours), 0);
    twostate_lock_acquire(&mine, A);
    twostate_lock_acquire(&other, B);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    pass_time(HOLD_NS);
    twostate_lock_release(&mine, A);
    twostate_lock_release(&other, B);
    twostate_iopair_end(&hold);

    stats = stats_of("ours");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 1, 1, HOLD_NS);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 0, 0, 0);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 0, 0, 0);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, HOLD_NS);
    stats = stats_of("IOLOCK");
    assert_true(stats.iolock);
    assert_holds(&stats.groups[TWOSTATE_STATS_SHARED], 1, 1, HOLD_NS);
    stats = stats_of("IOTYPE");
    assert_false(stats.iolock);
    assert_holds(&stats.groups[TWOSTATE_STATS_B], 1, 1, HOLD_NS);
}

static void test_reset(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanter;
    const struct timespec past = {.tv_nsec = 1};
    struct twostate_stats stats;
    unsigned classes = 0;

    (void)state;
    assert_int_equal(wait_for_a_holder(CALL_ACQUIRE, GROUP_B, &lock), 0);
    assert_int_equal(twostate_lock_acquire_timed(&lock, A, &past), -ETIMEDOUT);
    wanter_init(&wanter);
    assert_int_equal(twostate_lock_acquire_async(&lock, A, &wanter.waiter), -EINPROGRESS);
    twostate_lock_release(&lock, B);
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_true(stats.longest_queue > 0 && stats.groups[A].grants > 0 &&
                stats.groups[A].hold.count);

    twostate_stats_reset();
    for (; twostate_stats_snapshot(classes, &stats); classes++) {
        assert_int_equal(stats.longest_queue, 0);
        assert_true(all_zero(stats.groups, sizeof(stats.groups)));
    }
    assert_true(classes >= 1);

    /* A hold that began before the reset is counted after it. */
    twostate_lock_acquire(&lock, A);
    pass_time(HOLD_NS);
    twostate_stats_reset();
    twostate_lock_release(&lock, A);
    stats = stats_of("lock");
    assert_holds(&stats.groups[TWOSTATE_STATS_A], 0, 1, HOLD_NS);
}

/* Nothing is lost or counted twice where many threads count. */
#define THREADS 4
#define ROUNDS  2000

static void acquire_and_release(void *argument)
{
    struct twostate_lock *lock = argument;

    for (int i = 0; i < ROUNDS; i++) {
        const enum twostate_state s = i % 2 ? A : B;

        twostate_lock_acquire(lock, s);
        twostate_lock_release(lock, s);
    }
}

static void test_threads(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct task tasks[THREADS];
    struct twostate_stats stats;

    (void)state;
    spy_clock_set(0);
    for (int i = 0; i < THREADS; i++)
        task_start(&tasks[i], acquire_and_release, &lock);
    for (int i = 0; i < THREADS; i++)
        task_join(&tasks[i]);
    stats = stats_of("lock");
    for (unsigned i = 0; i <= TWOSTATE_STATS_B; i++) {
        const struct twostate_stats_group *group = &stats.groups[i];

        assert_int_equal(group->acquires, THREADS * ROUNDS / 2);
        assert_int_equal(group->hold.count, THREADS * ROUNDS / 2);
        assert_int_equal(group->wait.count, group->waits);
        assert_int_equal(group->refused, 0);
        assert_true(group->waits <= group->acquires);
        assert_true(group->hold.max_ns >= group->hold.p50_ns);
        assert_true(group->hold.total_ns >= group->hold.max_ns);
    }
    assert_true(stats.longest_queue <= THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test_setup_teardown(test_no_wait, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_wait, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_impatient, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_patience_expires, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_refused, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_drain_and_freeze, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_switch, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_many_holds, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_iolock, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_async, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_other_thread_releases, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_classes, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_reset, start_clock, stop_clock),
        cmocka_unit_test_setup_teardown(test_threads, start_clock, stop_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
