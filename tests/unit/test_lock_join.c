/* SPDX-License-Identifier: MIT */
/* Who holds a state takes another hold of it past a gate that is closed to newcomers: no deadlock. */
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

/* The gate: an opposite waiter that has the turn. G3, pitfall L03. */
static void test_join_passes_a_closed_gate(void **state)
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        const enum group o = (enum group)opposite(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        twostate_lock_acquire(&lock, s);
        caller_start(&waiter, &lock, CALL_ACQUIRE, opposite(s));
        AWAIT(has_turn(&lock, o));
        assert_false(twostate_lock_try_acquire(&lock, s)); /* closed */
        assert_int_equal(twostate_lock_join(&lock, s), 0);
        assert_int_equal(twostate_lock_join(&lock, s), 0);
        assert_int_equal(twostate_lock_query(&lock).holders, 3);
        assert_true(has_turn(&lock, o));
        for (int n = 0; n < 3; n++) {
            assert_false(caller_done(&waiter));
            twostate_lock_assert_held(&lock, s);
            twostate_lock_release(&lock, s);
        }
        caller_join(&waiter);
        assert_true(holds_only(&lock, o, 1));
    }
}

/* The same before a drain, a freeze, and a switch of another holder. Pitfall L03. */
static void test_join_passes_whoever_waits(void **state)
{
    static const enum call calls[] = {CALL_DRAIN, CALL_FREEZE, CALL_SWITCH};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        twostate_lock_acquire(&lock, A);
        if (calls[i] == CALL_SWITCH)
            twostate_lock_acquire(&lock, A); /* the switching one's own */
        caller_start(&waiter, &lock, calls[i], B);
        AWAIT((peek(&lock) & WORD_TURN) != 0);
        assert_int_equal(twostate_lock_join(&lock, A), 0);
        twostate_lock_release(&lock, A);
        assert_false(caller_done(&waiter));
        twostate_lock_release(&lock, A);
        assert_int_equal(caller_join(&waiter), 0);
    }
}

static void test_join_without_waiters(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    twostate_lock_acquire(&lock, B);
    assert_int_equal(twostate_lock_join(&lock, B), 0);
    assert_true(holds_only(&lock, GROUP_B, 2));
    twostate_lock_release_n(&lock, B, 2);
    assert_true(at_rest(&lock));
}

static void test_join_at_the_limit(void **state) /* G2, pitfall L21 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;

        assert_int_equal(twostate_lock_acquire_n(&lock, s, TWOSTATE_LOCK_MAX_HOLDERS - 1), 0);
        assert_int_equal(twostate_lock_join(&lock, s), 0);
        for (int n = 0; n < 2; n++)
            assert_int_equal(twostate_lock_join(&lock, s), -EOVERFLOW);
        assert_true(holds_only(&lock, (enum group)s, TWOSTATE_LOCK_MAX_HOLDERS));
    }
}

/* Every thread nests holds of one state while others want the other, and patience is none: L03. */
static struct twostate_lock contended;
static uint32_t inside[2];

static void nest(void *argument)
{
    const enum twostate_state s = *(const enum twostate_state *)argument;

    for (int round = 0; round < 2000; round++) {
        twostate_lock_acquire(&contended, s);
        add(&inside[s], 1);
        if (round % 4 == 0)
            sched_yield();
        CHECK(twostate_lock_join(&contended, s) == 0);
        CHECK(load(&inside[opposite(s)]) == 0);
        twostate_lock_release(&contended, s);
        add(&inside[s], UINT32_MAX);
        twostate_lock_release(&contended, s);
    }
}

static void test_nested_holds_do_not_deadlock(void **state) /* G1, G3 */
{
    static enum twostate_state states[] = {A, B};
    struct task tasks[4];

    (void)state;
    assert_int_equal(twostate_lock_init_with(&contended, 0, 0), 0);
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], nest, &states[n % 2]);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&contended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join_passes_a_closed_gate),
        cmocka_unit_test(test_join_passes_whoever_waits),
        cmocka_unit_test(test_join_without_waiters),
        cmocka_unit_test(test_join_at_the_limit),
        cmocka_unit_test(test_nested_holds_do_not_deadlock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
