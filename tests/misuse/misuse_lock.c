/* SPDX-License-Identifier: MIT */
/* Misuse of the two-state lock and of the IOLOCK stops the program and says what was done (G12). */
#include "deaths.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/iolock.h>
#include <twostate/lock.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/* In the parent both stay unlocked; each child makes its own mistake on its own copy. */
static struct twostate_lock lock;
static struct twostate_iolock iolock;

static void release_unlocked(void)
{
    twostate_lock_release(&lock, A);
}

static void *cancel_and_release(void *unused)
{
    pthread_cancel(pthread_self());
    twostate_lock_release(&lock, A);
    return unused;
}

/* The thread is to end where it waits or writes, but not before the program has. */
static void release_in_a_cancelled_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, cancel_and_release, NULL) == 0)
        pthread_join(thread, NULL);
}

static void release_twice(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    twostate_lock_release(&lock, B);
}

static void release_b_while_a(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, B);
}

static void release_a_while_b(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, A);
}

static void switch_unlocked(void)
{
    twostate_lock_switch(&lock, B);
}

static void try_switch_unlocked(void)
{
    twostate_lock_try_switch(&lock, A);
}

static void switch_to_what_is_held(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_switch_timed(&lock, B, NULL);
}

static void try_switch_to_what_is_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_try_switch(&lock, A);
}

static void assert_held_unlocked(void)
{
    twostate_lock_assert_held(&lock, A);
}

static void assert_held_other(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_assert_held(&lock, B);
}

static void assert_unlocked_held(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_assert_unlocked(&lock);
}

static void acquire_past_the_limit(void)
{
    lock.word_ = TWOSTATE_HELD_A_ | TWOSTATE_LOCK_MAX_HOLDERS;
    twostate_lock_acquire(&lock, A);
}

/* Also where the fast path is open: state 2 is what drains are inside. */
static void acquire_no_state(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    twostate_lock_acquire(&lock, (enum twostate_state)2);
}

static void acquire_timed_no_state(void)
{
    twostate_lock_acquire_timed(&lock, (enum twostate_state)7, NULL);
}

static void release_no_state(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, (enum twostate_state)7);
}

static void iolock_acquire_no_mode(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_acquire(&iolock, (enum twostate_iomode)5);
}

static void iolock_release_no_mode(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, (enum twostate_iomode)5);
}

static void switch_no_state(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_switch(&lock, (enum twostate_state)7);
}

static void release_more_than_held(void)
{
    twostate_lock_acquire_n(&lock, A, 3);
    twostate_lock_release_n(&lock, A, 4);
}

static void release_n_in_pieces_too_many(void)
{
    twostate_lock_acquire_n(&lock, B, 3);
    twostate_lock_release_n(&lock, B, 2);
    twostate_lock_release_n(&lock, B, 2);
}

static void release_n_huge(void)
{
    twostate_lock_acquire_n(&lock, B, 3);
    twostate_lock_release_n(&lock, B, (1U << 23) + 3); /* the count has 23 bits */
}

static void release_n_of_other(void)
{
    twostate_lock_acquire_n(&lock, B, 3);
    twostate_lock_release_n(&lock, A, 3);
}

static void release_n_of_unlocked(void)
{
    twostate_lock_release_n(&lock, A, 1);
}

static void release_of_none(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_release_n(&lock, A, 0);
}

static void release_n_no_state(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_release_n(&lock, (enum twostate_state)7, 1);
}

static void acquire_n_no_state(void)
{
    twostate_lock_acquire_n(&lock, (enum twostate_state)7, 1);
}

static void join_unlocked(void)
{
    twostate_lock_join(&lock, A);
}

static void join_other(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_join(&lock, B);
}

static void join_released(void)
{
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    twostate_lock_join(&lock, B);
}

static void join_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_join(&lock, A);
}

static void join_no_state(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_join(&lock, (enum twostate_state)7);
}

static void thaw_unlocked(void)
{
    twostate_lock_thaw(&lock);
}

static void thaw_twice(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_thaw(&lock);
    twostate_lock_thaw(&lock);
}

static void thaw_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_thaw(&lock);
}

static void thaw_after_thaw_to(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_thaw_to(&lock, B);
    twostate_lock_thaw(&lock);
}

static void thaw_to_unlocked(void)
{
    twostate_lock_thaw_to(&lock, A);
}

static void thaw_to_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_try_thaw_to(&lock, B);
}

static void thaw_to_no_state(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_thaw_to_timed(&lock, (enum twostate_state)7, NULL);
}

static void release_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_release(&lock, A);
}

static void release_b_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_release_n(&lock, B, 1);
}

static void switch_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_switch(&lock, A);
}

static void assert_held_frozen(void)
{
    twostate_lock_freeze(&lock);
    twostate_lock_assert_held(&lock, B);
}

static void freeze_past_the_limit(void)
{
    lock.word_ = TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_ | TWOSTATE_LOCK_MAX_HOLDERS;
    twostate_lock_freeze(&lock);
}

static void iolock_release_unlocked(void)
{
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
}

static void iolock_release_shared_while_exclusive(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
}

static void iolock_release_exclusive_while_shared(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
}

static void iolock_release_after_demote(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_demote(&iolock);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
}

static void demote_unlocked(void)
{
    twostate_iolock_demote(&iolock);
}

static void demote_shared(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_iolock_demote(&iolock);
}

static void iolock_assert_held_other(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_iolock_assert_held(&iolock, TWOSTATE_EXCLUSIVE);
}

static void iolock_acquire_past_the_limit(void)
{
    iolock.lock_.word_ = TWOSTATE_HELD_A_ | TWOSTATE_LOCK_MAX_HOLDERS;
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
}

#define DEATH(call, where, ...)                                                                    \
    {                                                                                              \
#call, call, where,                                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct death deaths[] = {
    DEATH(release_unlocked, &lock, "release A", "unlocked", "holders: 0 (word 0x00"),
    DEATH(release_in_a_cancelled_thread, &lock, "release A", "unlocked"),
    DEATH(release_twice, &lock, "release B", "unlocked"),
    DEATH(release_b_while_a, &lock, "release B", "held in state A", "holders: 2"),
    DEATH(release_a_while_b, &lock, "release A", "held in state B", "holders: 1"),
    DEATH(switch_unlocked, &lock, "switch to B", "unlocked"),
    DEATH(try_switch_unlocked, &lock, "switch to A", "unlocked"),
    DEATH(switch_to_what_is_held, &lock, "switch to B", "held in state B"),
    DEATH(try_switch_to_what_is_held, &lock, "switch to A", "held in state A"),
    DEATH(assert_held_unlocked, &lock, "assert held in state A", "unlocked"),
    DEATH(assert_held_other, &lock, "assert held in state B", "held in state A"),
    DEATH(assert_unlocked_held, &lock, "assert unlocked", "held in state B"),
    DEATH(acquire_past_the_limit, &lock, "acquire", "limit", "holders: 4194304"), /* L21 */
    DEATH(acquire_no_state, &lock, "acquire", "state 2"),
    DEATH(acquire_timed_no_state, &lock, "acquire", "state 7"),
    DEATH(release_no_state, &lock, "release", "state 7"),
    DEATH(iolock_acquire_no_mode, &iolock, "acquire", "mode 5"),
    DEATH(iolock_release_no_mode, &iolock, "release", "mode 5"),
    DEATH(switch_no_state, &lock, "switch of state 7"),
    DEATH(release_more_than_held, &lock, "release A of 4 holds", "held in state A", "holders: 3"),
    DEATH(release_n_in_pieces_too_many, &lock, "release B of 2 holds", "held in state B",
          "holders: 1"),
    DEATH(release_n_huge, &lock, "release B", "held in state B", "holders: 3"),
    DEATH(release_n_of_other, &lock, "release A", "held in state B", "holders: 3"),
    DEATH(release_n_of_unlocked, &lock, "release A", "unlocked"),
    DEATH(release_of_none, &lock, "release of no holds", "held in state A"),
    DEATH(release_n_no_state, &lock, "release", "state 7"),
    DEATH(acquire_n_no_state, &lock, "acquire", "state 7"),
    DEATH(join_unlocked, &lock, "join A", "unlocked"),
    DEATH(join_other, &lock, "join B", "held in state A"),
    DEATH(join_released, &lock, "join B", "unlocked"),
    DEATH(join_frozen, &lock, "join A", "frozen"),
    DEATH(join_no_state, &lock, "join", "state 7"),
    DEATH(thaw_unlocked, &lock, "thaw", "unlocked"),
    DEATH(thaw_twice, &lock, "thaw", "unlocked"),
    DEATH(thaw_held, &lock, "thaw", "held in state A"),
    DEATH(thaw_after_thaw_to, &lock, "thaw", "held in state B"),
    DEATH(thaw_to_unlocked, &lock, "thaw to A", "unlocked"),
    DEATH(thaw_to_held, &lock, "thaw to B", "held in state A"),
    DEATH(thaw_to_no_state, &lock, "thaw", "state 7"),
    DEATH(release_frozen, &lock, "release A", "frozen"),
    DEATH(release_b_frozen, &lock, "release B", "frozen"),
    DEATH(switch_frozen, &lock, "switch to A", "frozen"),
    DEATH(assert_held_frozen, &lock, "assert held in state B", "frozen"),
    DEATH(freeze_past_the_limit, &lock, "freeze", "limit", "4194304"), /* L21 */
    DEATH(iolock_release_unlocked, &iolock, "release exclusive", "unlocked"),
    DEATH(iolock_release_shared_while_exclusive, &iolock, "release shared", "held exclusive"),
    DEATH(iolock_release_exclusive_while_shared, &iolock, "release exclusive", "held shared"),
    DEATH(iolock_release_after_demote, &iolock, "release exclusive", "held shared"),
    DEATH(demote_unlocked, &iolock, "demote", "unlocked"),
    DEATH(demote_shared, &iolock, "demote", "held shared"),
    DEATH(iolock_assert_held_other, &iolock, "assert held exclusive", "held shared"),
    DEATH(iolock_acquire_past_the_limit, &iolock, "acquire", "limit"), /* L21 */
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
