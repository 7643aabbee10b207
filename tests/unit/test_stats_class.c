/* SPDX-License-Identifier: MIT */
/* The statistics of classes, with many threads, and after a reset. */
#include "class.h"
#include "counted.h"
#include "spy.h"
#include "stats.h"
#include "wanter.h"

#include <twostate/class.h>
#include <twostate/stats.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/*
 * A class without a name would be printed as nothing, and members of a later version's go unheard: they
 * are refused, and nothing is set.
 */
static void test_refused_classes(void **state)
{
    static const struct twostate_class good = {.name = "good"};
    static const struct twostate_class refused[] = {
        {.rank = 7},
        {.name = "later", .reserved = {1, 0}},
        {.name = "later", .reserved = {0, UINT64_C(1) << 63}},
    };
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(twostate_lock_set_class(&pair.iotype_, &refused[i]), -EINVAL);
        assert_int_equal(twostate_iolock_set_class(&pair.iolock_, &refused[i]), -EINVAL);
        assert_int_equal(twostate_iopair_set_class(&pair, &refused[i], &good), -EINVAL);
        assert_int_equal(twostate_iopair_set_class(&pair, &good, &refused[i]), -EINVAL);
        assert_ptr_not_equal(class_of_(&pair.iolock_.lock_, true), &good);
        assert_ptr_not_equal(class_of_(&pair.iotype_, false), &good);
    }
    assert_int_equal(twostate_iopair_set_class(&pair, &good, NULL), 0);
    assert_ptr_equal(class_of_(&pair.iolock_.lock_, true), &good);
}

static void test_classes(void **state)
{
    static const struct twostate_class ours = {.name = "ours"};
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

/* A class of locks and one of IOLOCKs are two, though they have one name. */
static void test_class_of_both(void **state)
{
    static const struct twostate_class both = {.name = "both"};
    static struct twostate_lock lock;
    static struct twostate_iolock iolock;
    struct twostate_stats stats;
    unsigned found[2] = {0, 0};

    (void)state;
    assert_int_equal(twostate_lock_set_class(&lock, &both), 0);
    assert_int_equal(twostate_iolock_set_class(&iolock, &both), 0);
    twostate_lock_acquire(&lock, B);
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    pass_time(HOLD_NS);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    twostate_lock_release(&lock, B);
    for (unsigned i = 0; twostate_stats_snapshot(i, &stats); i++) {
        if (strcmp(stats.name, "both") != 0)
            continue;
        found[stats.iolock]++;
        assert_holds(&stats.groups[stats.iolock ? TWOSTATE_STATS_SHARED : TWOSTATE_STATS_B], 1, 1,
                     HOLD_NS);
    }
    assert_int_equal(found[false], 1);
    assert_int_equal(found[true], 1);
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

/* The same without the locks, which keep the threads apart. */
#define COUNTS UINT64_C(100000)

static void count_waits(void *lock)
{
    const struct watch_wait wait = {.lock = lock, .group = GROUP_A, .looks = 3, .sleeps = 1};

    for (uint64_t i = 0; i < COUNTS; i++)
        stats_waited_(&wait, (int64_t)i);
}

static void test_threads_count(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct task tasks[THREADS];
    struct twostate_stats stats;
    const struct twostate_stats_group *group = &stats.groups[TWOSTATE_STATS_A];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        task_start(&tasks[i], count_waits, &lock);
    for (int i = 0; i < THREADS; i++)
        task_join(&tasks[i]);
    stats = stats_of("lock");
    assert_int_equal(group->waits, THREADS * COUNTS);
    assert_int_equal(group->looks, THREADS * COUNTS * 3);
    assert_int_equal(group->wait.count, THREADS * COUNTS);
    assert_int_equal(group->wait.total_ns, THREADS * (COUNTS * (COUNTS - 1) / 2));
    assert_int_equal(group->wait.max_ns, COUNTS - 1);
}

static int enable(void **state)
{
    (void)state;
    twostate_stats_enable();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_clock, stop_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refused_classes), TEST(test_classes), TEST(test_class_of_both),
        TEST(test_reset),           TEST(test_threads), TEST(test_threads_count),
    };

    return cmocka_run_group_tests(tests, enable, NULL);
}
