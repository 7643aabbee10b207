/* SPDX-License-Identifier: MIT */
/*
 * Counts at their real limits, reached by real calls: as many holds as the word counts, one by one
 * and many at a time, by one thread and by three hundred. The other tests put such words together;
 * here each step on the way is taken.
 */
#include "peek.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <twostate/iolock.h>
#include <twostate/lock.h>

#define MAX     TWOSTATE_LOCK_MAX_HOLDERS
#define THREADS 300U

static uint32_t holders(const struct twostate_lock *lock)
{
    return twostate_lock_query(lock).holders;
}

static void test_one_by_one(void **state) /* G2 */
{
    (void)state;
    for (enum twostate_state s = TWOSTATE_A; s <= TWOSTATE_B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;

        for (uint32_t i = 0; i < MAX; i++)
            twostate_lock_acquire(&lock, s);
        assert_int_equal(holders(&lock), MAX);
        assert_false(twostate_lock_try_acquire(&lock, s));
        assert_int_equal(twostate_lock_acquire_n(&lock, s, 1), -EOVERFLOW);
        assert_int_equal(holders(&lock), MAX);
        for (uint32_t i = 0; i < MAX; i++)
            twostate_lock_release(&lock, s);
        assert_true(at_rest(&lock));
    }
}

static void test_shared_one_by_one(void **state) /* G2 */
{
    struct twostate_iolock iolock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    for (uint32_t i = 0; i < MAX; i++)
        assert_true(twostate_iolock_try_acquire(&iolock, TWOSTATE_SHARED));
    assert_false(twostate_iolock_try_acquire(&iolock, TWOSTATE_SHARED));
    assert_false(twostate_iolock_try_acquire(&iolock, TWOSTATE_EXCLUSIVE));
    for (uint32_t i = 0; i < MAX; i++)
        twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    assert_true(twostate_iolock_try_acquire(&iolock, TWOSTATE_EXCLUSIVE));
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
    assert_true(at_rest(&iolock.lock_));
}

/* Of every size there is room for the last that fits, and none for one more. */
static void test_many_at_a_time(void **state) /* G2 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    for (uint32_t n = 1; n < MAX; n *= 2) {
        assert_int_equal(twostate_lock_acquire_n(&lock, TWOSTATE_B, MAX - n), 0);
        assert_int_equal(twostate_lock_acquire_n(&lock, TWOSTATE_B, n + 1), -EOVERFLOW);
        assert_int_equal(twostate_lock_acquire_n(&lock, TWOSTATE_B, n), 0);
        assert_int_equal(twostate_lock_acquire_n(&lock, TWOSTATE_B, 1), -EOVERFLOW);
        assert_int_equal(holders(&lock), MAX);
        twostate_lock_release_n(&lock, TWOSTATE_B, n);
        twostate_lock_release_n(&lock, TWOSTATE_B, MAX - n);
        assert_true(at_rest(&lock));
    }
}

/* A crowd fills the lock; together they have all holds there are. */
struct crowd {
    struct twostate_lock lock;
    pthread_barrier_t filled, leave;
};

static void fill(void *argument)
{
    struct crowd *crowd = argument;
    const uint32_t each = MAX / THREADS;

    for (uint32_t i = 0; i < each / 2; i++)
        twostate_lock_acquire(&crowd->lock, TWOSTATE_A);
    CHECK(twostate_lock_acquire_n(&crowd->lock, TWOSTATE_A, each - each / 2) == 0);
    pthread_barrier_wait(&crowd->filled);
    pthread_barrier_wait(&crowd->leave);
    for (uint32_t i = 0; i < each / 2; i++)
        twostate_lock_release(&crowd->lock, TWOSTATE_A);
    twostate_lock_release_n(&crowd->lock, TWOSTATE_A, each - each / 2);
}

static void test_three_hundred_threads(void **state) /* G2 */
{
    struct crowd crowd = {.lock = TWOSTATE_LOCK_INIT};
    const uint32_t rest = MAX % THREADS;
    static struct task tasks[THREADS];

    (void)state;
    pthread_barrier_init(&crowd.filled, NULL, THREADS + 1);
    pthread_barrier_init(&crowd.leave, NULL, THREADS + 1);
    for (uint32_t i = 0; i < THREADS; i++)
        task_start(&tasks[i], fill, &crowd);
    pthread_barrier_wait(&crowd.filled);
    assert_int_equal(holders(&crowd.lock), MAX - rest);
    assert_int_equal(twostate_lock_acquire_n(&crowd.lock, TWOSTATE_A, rest + 1), -EOVERFLOW);
    assert_int_equal(twostate_lock_acquire_n(&crowd.lock, TWOSTATE_A, rest), 0);
    assert_false(twostate_lock_try_acquire(&crowd.lock, TWOSTATE_A));
    pthread_barrier_wait(&crowd.leave);
    for (uint32_t i = 0; i < THREADS; i++)
        task_join(&tasks[i]);
    pthread_barrier_destroy(&crowd.filled);
    pthread_barrier_destroy(&crowd.leave);
    twostate_lock_release_n(&crowd.lock, TWOSTATE_A, rest);
    assert_true(at_rest(&crowd.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_shared_one_by_one),
        cmocka_unit_test(test_many_at_a_time),
        cmocka_unit_test(test_three_hundred_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
