/* SPDX-License-Identifier: MIT */
/* Misuse that only the validator sees stops the program, and says which rule it broke where. */
#include "deaths.h"

#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/iopair.h>
#include <twostate/validate.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static struct twostate_lock lock;
static struct twostate_lock other_lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static struct twostate_iopair other_pair;
static struct twostate_hold hold;
static struct twostate_hold other_hold;

static void start(void)
{
    twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL);
}

static void in_thread(void (*run)(void *))
{
    struct task task;

    task_start(&task, run, NULL);
    task_join(&task);
}

static void acquire_b(void *unused)
{
    (void)unused;
    twostate_lock_acquire(&lock, B);
}

static void release_b(void *unused)
{
    (void)unused;
    twostate_lock_release(&lock, B);
}

static void a_then_b(void)
{
    start();
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, B);
}

static void exclusive_then_shared(void)
{
    start();
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
}

static void drain_while_holding(void)
{
    start();
    twostate_lock_acquire(&lock, B);
    twostate_lock_drain(&lock);
}

static void recursion_while_the_other_waits(void)
{
    struct task task;

    start();
    twostate_lock_acquire(&lock, A);
    task_start(&task, acquire_b, NULL);
    AWAIT(twostate_lock_query(&lock).waiting_b == 1);
    twostate_lock_acquire(&lock, A);
}

static void iotype_before_iolock(void)
{
    start();
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    twostate_iopair_begin(&other_pair, TWOSTATE_BUFFERED_READ, &other_hold);
}

static void nest(struct twostate_lock *outer, struct twostate_lock *inner)
{
    twostate_lock_acquire(outer, A);
    twostate_lock_acquire(inner, A);
    twostate_lock_release(inner, A);
    twostate_lock_release(outer, A);
}

static void both_orders(void)
{
    start();
    nest(&lock, &other_lock);
    nest(&other_lock, &lock);
}

static void release_by_another_thread(void)
{
    start();
    acquire_b(NULL);
    in_thread(release_b);
}

static void destroy_while_held(void)
{
    start();
    acquire_b(NULL);
    twostate_lock_destroy(&lock);
}

static void thread_ends_while_holding(void)
{
    start();
    in_thread(acquire_b);
}

static void free_while_held(void)
{
    start();
    acquire_b(NULL);
    twostate_validate_free(&lock, sizeof(lock));
}

static void fork_while_held(void)
{
    start();
    acquire_b(NULL);
    if (fork() == 0)
        _exit(0);
}

static void leaks_at_the_end(void)
{
    start();
    acquire_b(NULL);
    twostate_validate_leaks();
}

#define DEATH(call, where, ...)                                                                    \
    {                                                                                              \
#call, call, where,                                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct death deaths[] = {
    DEATH(a_then_b, &lock, "acquire B: self-deadlock", "class lock", "is held state A"),
    DEATH(exclusive_then_shared, &iolock, "acquire shared: self-deadlock", "is held exclusive"),
    DEATH(drain_while_holding, &lock, "drain: self-deadlock", "is held state B"),
    DEATH(recursion_while_the_other_waits, &lock, "acquire A: recursion", "is held state A"),
    DEATH(iotype_before_iolock, &other_pair, "rank", "class IOLOCK", "class IOTYPE"),
    DEATH(both_orders, &lock, "acquire A: order", "the other order"),
    DEATH(release_by_another_thread, &lock, "release B: hand-off", "acquire B"),
    DEATH(destroy_while_held, &lock, "destroy: leak", "is held state B"),
    DEATH(thread_ends_while_holding, &lock, "thread ends: leak", "acquire B"),
    DEATH(free_while_held, &lock, "free: free", "is held state B"),
    DEATH(fork_while_held, &lock, "fork: fork", "acquire B"),
    DEATH(leaks_at_the_end, &lock, "leak", "acquire B"),
};

static void test_deaths(void **state)
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
