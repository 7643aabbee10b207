/* SPDX-License-Identifier: MIT */
/* The end of a lock that is in use, and a supervisor's clear of what is nobody else's. */
#include "deaths.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static struct twostate_hold hold;
static struct twostate_waiter waiter;

static void never(struct twostate_waiter *unused, int result)
{
    (void)unused;
    (void)result;
}

static void destroy_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_destroy(&lock);
}

static void destroy_held_in_part(void)
{
    twostate_lock_acquire_n(&lock, B, 5);
    twostate_lock_release_n(&lock, B, 3);
    twostate_lock_destroy(&lock);
}

static void destroy_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_destroy(&lock);
}

static void *drain_it(void *unused)
{
    twostate_lock_drain(&lock);
    return unused;
}

/* The lock is held too, for nobody waits for one that is not; but for a moment, played here. */
static void destroy_waited_for(void)
{
    pthread_t thread;

    twostate_lock_acquire(&lock, A);
    if (pthread_create(&thread, NULL, drain_it, NULL) != 0)
        return;
    while (twostate_lock_query(&lock).draining == 0)
        sched_yield();
    __atomic_and_fetch(&lock.word_, ~(TWOSTATE_HELD_A_ | TWOSTATE_COUNT_), __ATOMIC_ACQ_REL);
    twostate_lock_destroy(&lock);
}

static void destroy_with_async_waiter(void)
{
    waiter.done = never;
    twostate_lock_acquire(&lock, A);
    if (twostate_lock_acquire_async(&lock, B, &waiter) == 0)
        return;
    __atomic_and_fetch(&lock.word_, ~(TWOSTATE_HELD_A_ | TWOSTATE_COUNT_), __ATOMIC_ACQ_REL);
    twostate_lock_destroy(&lock);
}

static void destroy_after_release_to_an_async_waiter(void)
{
    waiter.done = never;
    twostate_lock_acquire(&lock, A);
    if (twostate_lock_acquire_async(&lock, B, &waiter) == 0)
        return;
    twostate_lock_release(&lock, A);
    twostate_lock_destroy(&lock);
}

static void iolock_destroy_shared(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_iolock_destroy(&iolock);
}

static void iolock_destroy_exclusive(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_destroy(&iolock);
}

static void pair_destroy_held(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_destroy(&pair);
}

static void pair_destroy_in_flight(void)
{
    struct twostate_hold completion;

    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
    twostate_iopair_destroy(&pair);
}

static void clear_unshared(void)
{
    twostate_lock_clear(&lock);
}

static void clear_held_unshared(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_clear(&lock);
}

static void iolock_clear_unshared(void)
{
    twostate_iolock_clear(&iolock);
}

static void pair_clear_unshared(void)
{
    twostate_iopair_clear(&pair);
}

/* A live holder whose hold was cleared away stops at its release. */
static void release_after_clear(void)
{
    if (twostate_lock_init_with(&lock, TWOSTATE_PROCESS_SHARED, 0) != 0)
        return;
    twostate_lock_acquire(&lock, A);
    twostate_lock_clear(&lock);
    twostate_lock_release(&lock, A);
}

#define DEATH(call, where, ...)                                                                    \
    {                                                                                              \
#call, call, where,                                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct death deaths[] = {
    DEATH(destroy_held, &lock, "destroy", "held in state A", "holders: 1"),
    DEATH(destroy_held_in_part, &lock, "destroy", "held in state B", "holders: 2"),
    DEATH(destroy_frozen, &lock, "destroy", "frozen"),
    DEATH(destroy_waited_for, &lock, "destroy", "waits for", "unlocked"),
    DEATH(destroy_with_async_waiter, &lock, "destroy", "unlocked"),
    DEATH(destroy_after_release_to_an_async_waiter, &lock, "destroy", "held in state B"),
    DEATH(iolock_destroy_shared, &iolock, "iolock", "destroy", "held shared"),
    DEATH(iolock_destroy_exclusive, &iolock, "iolock", "destroy", "held exclusive"),
    DEATH(pair_destroy_held, &pair.iolock_, "iolock", "destroy", "held shared"),
    DEATH(pair_destroy_in_flight, &pair.iotype_, "destroy", "held in state B"),
    DEATH(clear_unshared, &lock, "clear", "not shared", "unlocked"),
    DEATH(clear_held_unshared, &lock, "clear", "not shared", "held in state B"),
    DEATH(iolock_clear_unshared, &iolock, "iolock", "clear", "not shared"),
    DEATH(pair_clear_unshared, &pair.iotype_, "clear", "not shared"),
    DEATH(release_after_clear, &lock, "release A", "unlocked"),
};

static void test_deaths(void **state) /* G12 */
{
    (void)state;
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
        assert_dies(&deaths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deaths)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
