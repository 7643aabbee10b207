/* SPDX-License-Identifier: MIT */
/* Waiting for a two-state lock: who is let in when, and what those who give up leave behind. */
#include "caller.h"
#include "peek.h"
#include "spy.h"
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static const enum twostate_state states[] = {A, B};

static enum twostate_state other(enum twostate_state s)
{
    return s == A ? B : A;
}

static enum group group(enum twostate_state s)
{
    return (enum group)s;
}

static const struct timespec past;

/* And what a waiter acquired, another thread releases: G6. */
static void test_unlock_lets_a_waiter_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        caller_start(&waiter, &lock, CALL_ACQUIRE, other(s));
        AWAIT(has_turn(&lock, group(other(s))));
        twostate_lock_release(&lock, s);
        assert_int_equal(waiting(&lock, group(other(s))), 1);
        assert_false(caller_done(&waiter));
        twostate_lock_release(&lock, s);
        caller_join(&waiter);
        twostate_lock_assert_held(&lock, other(s));
        twostate_lock_release(&lock, other(s));
        assert_true(at_rest(&lock)); /* pitfall L22 */
    }
}

/* After its patience a waiter has the turn: newcomers stay out, and come after it. G3, L01, L02. */
static void test_turns_alternate(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        const enum twostate_state o = other(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;
        struct caller newcomer;

        twostate_lock_acquire(&lock, s);
        caller_start(&waiter, &lock, CALL_ACQUIRE, o);
        AWAIT(has_turn(&lock, group(o)));
        assert_false(twostate_lock_try_acquire(&lock, s)); /* G13: it is being handed over */
        assert_int_equal(twostate_lock_acquire_timed(&lock, s, &past), -ETIMEDOUT);
        caller_start(&newcomer, &lock, CALL_ACQUIRE, s);
        AWAIT(has_reserved(&lock, group(s)));
        twostate_lock_release(&lock, s);
        caller_join(&waiter);
        twostate_lock_assert_held(&lock, o);
        assert_true(has_turn(&lock, group(s)));
        assert_false(twostate_lock_try_acquire(&lock, o));
        assert_int_equal(waiting(&lock, group(s)), 1);
        twostate_lock_release(&lock, o);
        caller_join(&newcomer);
        twostate_lock_assert_held(&lock, s);
        twostate_lock_release(&lock, s);
        assert_true(at_rest(&lock));
    }
}

static void test_a_group_enters_together(void **state) /* G2, G3 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiters[3];

        twostate_lock_acquire(&lock, other(s));
        for (int n = 0; n < 3; n++)
            caller_start(&waiters[n], &lock, CALL_ACQUIRE, s);
        AWAIT(waiting(&lock, group(s)) == 3 && has_turn(&lock, group(s)));
        twostate_lock_release(&lock, other(s));
        for (int n = 0; n < 3; n++)
            caller_join(&waiters[n]);
        assert_true(holds_only(&lock, group(s), 3));
        for (int n = 0; n < 3; n++)
            twostate_lock_release(&lock, s);
    }
}

static void test_drain_waits_for_unlocked(void **state) /* G8 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller drain;
        struct caller newcomer;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        caller_start(&drain, &lock, CALL_DRAIN, A);
        AWAIT(has_turn(&lock, GROUP_DRAIN));
        assert_int_equal(twostate_lock_query(&lock).draining, 1);
        assert_false(twostate_lock_try_acquire(&lock, s));
        caller_start(&newcomer, &lock, CALL_ACQUIRE, s);
        AWAIT(waiting(&lock, group(s)) == 1);
        twostate_lock_release(&lock, s);
        assert_false(caller_done(&drain));
        twostate_lock_release(&lock, s);
        caller_join(&drain);
        caller_join(&newcomer);
        twostate_lock_release(&lock, s);
        assert_true(at_rest(&lock));
    }
}

/* Waiters of the other state and a drain, all woken by one unlock, in whatever order they come. */
static void test_drain_beside_waiters(void **state) /* G3, G8 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller drain;
    struct caller waiter;

    (void)state;
    for (int round = 0; round < 20; round++) {
        twostate_lock_acquire(&lock, A);
        caller_start(&drain, &lock, CALL_DRAIN, A);
        caller_start(&waiter, &lock, CALL_ACQUIRE, B);
        AWAIT(has_reserved(&lock, GROUP_B) || has_reserved(&lock, GROUP_DRAIN));
        twostate_lock_release(&lock, A);
        caller_join(&waiter);
        twostate_lock_release(&lock, B);
        caller_join(&drain);
        assert_true(at_rest(&lock));
    }
}

/* A waiter that times out hands its turn back: who waited behind it goes on. G9, L05, L07, L08. */
static void test_timed_out_waiter_parks_nobody(void **state)
{
    static const struct {
        enum call call;
        enum twostate_state state;
    } rows[] = {{CALL_ACQUIRE_TIMED, B}, {CALL_DRAIN_TIMED, A}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller timed;
        struct caller behind;

        twostate_lock_acquire(&lock, A);
        caller_start_timed(&timed, &lock, rows[i].call, rows[i].state, 300);
        AWAIT((sys_load_(&lock.word_) & WORD_TURN) != 0 || caller_done(&timed));
        caller_start(&behind, &lock, CALL_ACQUIRE, A);
        assert_int_equal(caller_join(&timed), -ETIMEDOUT);
        caller_join(&behind); /* though the lock was never unlocked */
        assert_true(holds_only(&lock, GROUP_A, 2));
        twostate_lock_release(&lock, A);
        twostate_lock_release(&lock, A);
    }
}

/* One of a group gives up; the others keep the turn and the wake. G9, pitfall L06. */
static void test_timed_out_waiter_takes_no_wake_along(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller timed;
    struct caller patient;

    (void)state;
    twostate_lock_acquire(&lock, A);
    caller_start(&patient, &lock, CALL_ACQUIRE, B);
    AWAIT(has_turn(&lock, GROUP_B));
    caller_start_timed(&timed, &lock, CALL_ACQUIRE_TIMED, B, 20);
    assert_int_equal(caller_join(&timed), -ETIMEDOUT);
    assert_true(has_turn(&lock, GROUP_B));
    twostate_lock_release(&lock, A);
    caller_join(&patient);
    twostate_lock_release(&lock, B);
    assert_true(at_rest(&lock));
}

static void test_fast_again_after_waiting(void **state) /* G4, G5, G9, pitfall L08 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiters[3];
    uint32_t calls = 0;

    (void)state;
    if (watched_()) /* TWOSTATE_STATS, TWOSTATE_VALIDATE: then every call is slow */
        skip();
    twostate_lock_acquire(&lock, A);
    caller_start_timed(&waiters[0], &lock, CALL_ACQUIRE_TIMED, B, 10);
    caller_start_timed(&waiters[1], &lock, CALL_DRAIN_TIMED, A, 15);
    caller_start_timed(&waiters[2], &lock, CALL_ACQUIRE_TIMED, B, 20);
    for (int n = 0; n < 3; n++)
        assert_int_equal(caller_join(&waiters[n]), -ETIMEDOUT);
    calls = spy_waits() + spy_wakes() + spy_slow_calls();
    for (int n = 0; n < 10; n++) {
        twostate_lock_acquire(&lock, A);
        twostate_lock_release(&lock, A);
    }
    twostate_lock_release(&lock, A);
    assert_true(at_rest(&lock));
    assert_int_equal(spy_waits() + spy_wakes() + spy_slow_calls(), calls);
}

static void nothing(int signal_number)
{
    (void)signal_number;
}

static void test_signals_do_not_end_a_wait(void **state)
{
    static const enum call calls[] = {CALL_ACQUIRE, CALL_DRAIN};
    const struct sigaction action = {.sa_handler = nothing};
    struct sigaction before;

    (void)state;
    sigaction(SIGUSR1, &action, &before);
    for (size_t i = 0; i < 2; i++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        twostate_lock_acquire(&lock, A);
        caller_start(&waiter, &lock, calls[i], B);
        AWAIT((sys_load_(&lock.word_) & WORD_TURN) != 0);
        for (int n = 0; n < 5; n++) {
            const uint32_t waits = spy_waits();

            AWAIT(pthread_kill(waiter.task.thread, SIGUSR1) == 0 && spy_waits() > waits);
        }
        assert_false(caller_done(&waiter));
        twostate_lock_release(&lock, A);
        caller_join(&waiter);
        if (calls[i] == CALL_ACQUIRE)
            twostate_lock_release(&lock, B);
        assert_true(at_rest(&lock));
    }
    sigaction(SIGUSR1, &before, NULL);
}

/* More drains than the word can count: all wait, all get through. Pitfalls L11, L21. */
static void test_more_drains_than_can_be_counted(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller drains[40];

    (void)state;
    twostate_lock_acquire(&lock, B);
    for (int n = 0; n < 40; n++)
        caller_start(&drains[n], &lock, CALL_DRAIN, A);
    AWAIT(twostate_lock_query(&lock).draining == 15);
    assert_int_equal(twostate_lock_query(&lock).waiting_a, 0);
    assert_int_equal(twostate_lock_query(&lock).waiting_b, 0);
    twostate_lock_release(&lock, B);
    for (int n = 0; n < 40; n++)
        caller_join(&drains[n]);
    assert_true(at_rest(&lock));
}

/* As many waiters as the word can count are already there (played here): L11, L21. */
static void test_more_waiters_than_can_be_counted(void **state)
{
    const uint64_t full = UINT64_C(511) << word_waiting_shift(GROUP_B);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiter;
    struct caller timed;
    uint32_t waits = spy_waits();

    (void)state;
    twostate_lock_acquire(&lock, A);
    __atomic_add_fetch(&lock.word_, full, __ATOMIC_ACQ_REL);
    for (long ms = 10; ms < 20000 && spy_waits() == waits; ms *= 2) { /* until it came to sleep */
        caller_start_timed(&timed, &lock, CALL_ACQUIRE_TIMED, B, ms);
        assert_int_equal(caller_join(&timed), -ETIMEDOUT);
    }
    assert_true(spy_waits() > waits);
    caller_start(&waiter, &lock, CALL_ACQUIRE, B);
    waits = spy_waits();
    AWAIT(spy_waits() > waits + 2);
    assert_true(peek(&lock) == (full | word_held(GROUP_A) | 1));
    __atomic_sub_fetch(&lock.word_, full, __ATOMIC_ACQ_REL);
    twostate_lock_release(&lock, A);
    caller_join(&waiter);
    twostate_lock_release(&lock, B);
    assert_true(at_rest(&lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unlock_lets_a_waiter_in),
        cmocka_unit_test(test_turns_alternate),
        cmocka_unit_test(test_a_group_enters_together),
        cmocka_unit_test(test_drain_waits_for_unlocked),
        cmocka_unit_test(test_drain_beside_waiters),
        cmocka_unit_test(test_timed_out_waiter_parks_nobody),
        cmocka_unit_test(test_timed_out_waiter_takes_no_wake_along),
        cmocka_unit_test(test_fast_again_after_waiting),
        cmocka_unit_test(test_signals_do_not_end_a_wait),
        cmocka_unit_test(test_more_drains_than_can_be_counted),
        cmocka_unit_test(test_more_waiters_than_can_be_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
