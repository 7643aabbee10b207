/* SPDX-License-Identifier: MIT */
/* Switching a hold from one state to the other, beside other threads. */
#include "caller.h"
#include "peek.h"
#include "spy.h"

#include <errno.h>
#include <setjmp.h>
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

static void test_switch_waits_to_be_alone(void **state) /* G10, G3 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        const enum twostate_state o = other(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller converter;

        for (int n = 0; n < 3; n++)
            twostate_lock_acquire(&lock, s);
        caller_start(&converter, &lock, CALL_SWITCH, o);
        AWAIT(has_turn(&lock, group(o)));
        assert_true(twostate_lock_query(&lock).switching);
        assert_int_equal(waiting(&lock, group(o)), 1);
        assert_false(twostate_lock_try_acquire(&lock, s)); /* new ones are kept out */
        twostate_lock_release(&lock, s);
        assert_false(caller_done(&converter));
        twostate_lock_assert_held(&lock, s);
        twostate_lock_release(&lock, s);
        assert_int_equal(caller_join(&converter), 0);
        assert_true(holds_only(&lock, group(o), 1));
        twostate_lock_release(&lock, o);
    }
}

static void test_second_converter_is_refused(void **state) /* G10 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller first;
    uint64_t word = 0;

    (void)state;
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A);
    caller_start(&first, &lock, CALL_SWITCH, B);
    AWAIT(has_turn(&lock, GROUP_B));
    word = peek(&lock);
    assert_int_equal(twostate_lock_switch(&lock, B), -EDEADLK);
    assert_false(twostate_lock_try_switch(&lock, B));
    assert_true(peek(&lock) == word); /* G9 */
    twostate_lock_release(&lock, A);
    assert_int_equal(caller_join(&first), 0);
    twostate_lock_release(&lock, B);
    assert_true(at_rest(&lock));
}

/* Who waits for the new state comes in with it, though nothing was released. G10, L12, L14. */
static void test_waiters_come_in_with_a_switch(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const enum twostate_state s = states[i % 2];
        const enum twostate_state o = other(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiters[2];

        twostate_lock_acquire(&lock, s);
        for (int n = 0; n < 2; n++)
            caller_start(&waiters[n], &lock, CALL_ACQUIRE, o);
        AWAIT(waiting(&lock, group(o)) == 2 && has_turn(&lock, group(o)));
        if (i < 2)
            assert_true(twostate_lock_try_switch(&lock, o));
        else
            assert_int_equal(twostate_lock_switch(&lock, o), 0);
        for (int n = 0; n < 2; n++)
            caller_join(&waiters[n]);
        assert_true(holds_only(&lock, group(o), 3));
        for (int n = 0; n < 3; n++)
            twostate_lock_release(&lock, o);
    }
}

/* The same when the switch had to wait itself, and nobody of the old state comes between. */
static void test_nobody_comes_between(void **state) /* G10 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        const enum twostate_state o = other(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller converter;
        struct caller old;
        struct caller new;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        caller_start(&converter, &lock, CALL_SWITCH, o);
        AWAIT(has_turn(&lock, group(o)));
        caller_start(&old, &lock, CALL_ACQUIRE, s);
        caller_start(&new, &lock, CALL_ACQUIRE, o);
        AWAIT(has_reserved(&lock, group(s)) && waiting(&lock, group(o)) == 2);
        twostate_lock_release(&lock, s);
        assert_int_equal(caller_join(&converter), 0);
        caller_join(&new);
        assert_false(caller_done(&old));
        assert_int_equal(twostate_lock_query(&lock).state, o);
        assert_int_equal(twostate_lock_query(&lock).holders, 2);
        twostate_lock_release(&lock, o);
        twostate_lock_release(&lock, o);
        caller_join(&old);
        twostate_lock_release(&lock, s);
        assert_true(at_rest(&lock));
    }
}

static void test_timed_switch_leaves_no_trace(void **state) /* G9, pitfalls L05, L07, L08, L10 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller timed;
        struct caller behind;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        caller_start_timed(&timed, &lock, CALL_SWITCH_TIMED, other(s), 300);
        AWAIT(has_turn(&lock, group(other(s))) || caller_done(&timed));
        caller_start(&behind, &lock, CALL_ACQUIRE, s);
        assert_int_equal(caller_join(&timed), -ETIMEDOUT);
        caller_join(&behind);
        assert_true(holds_only(&lock, group(s), 3));
        for (int n = 0; n < 3; n++)
            twostate_lock_release(&lock, s);
    }
}

static void test_drain_waits_through_a_switch(void **state) /* G8, pitfall L17 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller drain;

    (void)state;
    twostate_lock_acquire(&lock, A);
    caller_start(&drain, &lock, CALL_DRAIN, A);
    AWAIT(has_turn(&lock, GROUP_DRAIN));
    assert_true(twostate_lock_try_switch(&lock, B));
    assert_int_equal(twostate_lock_query(&lock).draining, 1);
    assert_false(caller_done(&drain));
    twostate_lock_release(&lock, B);
    caller_join(&drain);
    assert_true(at_rest(&lock));
}

/* Two converters where the word has no room to count them (played): one still hears -EDEADLK. */
static void test_converters_beyond_the_count(void **state) /* G10, pitfalls L18, L21 */
{
    const uint64_t full = UINT64_C(511) << word_waiting_shift(GROUP_B);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller converters[2];
    int results[2];

    (void)state;
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A);
    __atomic_add_fetch(&lock.word_, full, __ATOMIC_ACQ_REL);
    for (int n = 0; n < 2; n++)
        caller_start(&converters[n], &lock, CALL_SWITCH, B);
    AWAIT(caller_done(&converters[0]) || caller_done(&converters[1]));
    twostate_lock_release(&lock, A);
    for (int n = 0; n < 2; n++)
        results[n] = caller_join(&converters[n]);
    assert_int_equal(results[0] + results[1], -EDEADLK);
    assert_true(peek(&lock) == (full | word_held(GROUP_B) | 1));
}

/* Sole again and again, against newcomers of both states, with waits cut short for nothing. */
static struct twostate_lock contended;
static uint32_t stop;

static void come_and_go(void *argument)
{
    const enum twostate_state s = *(const enum twostate_state *)argument;

    while (!load(&stop)) {
        twostate_lock_acquire(&contended, s);
        twostate_lock_release(&contended, s);
    }
}

static void test_switch_under_load(void **state) /* G3, G10, pitfall L22 */
{
    struct task others[4];

    (void)state;
    spy_interrupt(true);
    for (int n = 0; n < 4; n++)
        task_start(&others[n], come_and_go, (void *)&states[n % 2]);
    for (int round = 0; round < 200; round++) {
        const enum twostate_state s = states[round % 2];

        twostate_lock_acquire(&contended, s);
        assert_int_equal(twostate_lock_switch(&contended, other(s)), 0);
        twostate_lock_assert_held(&contended, other(s));
        twostate_lock_release(&contended, other(s));
    }
    store(&stop, 1);
    for (int n = 0; n < 4; n++)
        task_join(&others[n]);
    spy_interrupt(false);
    assert_true(at_rest(&contended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch_waits_to_be_alone),
        cmocka_unit_test(test_second_converter_is_refused),
        cmocka_unit_test(test_waiters_come_in_with_a_switch),
        cmocka_unit_test(test_nobody_comes_between),
        cmocka_unit_test(test_timed_switch_leaves_no_trace),
        cmocka_unit_test(test_drain_waits_through_a_switch),
        cmocka_unit_test(test_converters_beyond_the_count),
        cmocka_unit_test(test_switch_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
