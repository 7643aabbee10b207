/* SPDX-License-Identifier: MIT */
/* The steps of the lock word, one at a time, as functions from word to word. */
#include "word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A GROUP_A
#define B GROUP_B
#define D GROUP_DRAIN

static uint64_t held(enum group g, uint32_t count)
{
    return word_held(g) | count;
}

static uint64_t waiters(enum group g, uint64_t count)
{
    return count << word_waiting_shift(g);
}

/* No bit has two meanings, and none is left over. */
static void test_bits_are_distinct(void **state)
{
    const uint64_t parts[] = {
        WORD_COUNT,
        WORD_STATES,
        WORD_SWITCHING,
        word_reserved(A) | word_reserved(B) | word_reserved(D),
        WORD_FAST,
        WORD_ASYNC,
        WORD_SHARED,
        waiters(A, word_waiting_max(A)),
        waiters(B, word_waiting_max(B)),
        waiters(D, word_waiting_max(D)),
        WORD_SLEEPERS,
        WORD_TURN,
        WORD_PATIENCE,
    };
    uint64_t seen = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_true((seen & parts[i]) == 0);
        seen |= parts[i];
    }
    assert_true(seen == UINT64_MAX);
    assert_true((waiters(A, 511) | waiters(B, 511) | waiters(D, 15)) == WORD_WAITING);
    assert_true((word_sleep(A) | word_sleep(B) | word_sleep(D) | WORD_SLEEP_SW) == WORD_SLEEPERS);
    for (enum group g = A; g <= D; g++) {
        assert_true((word_turn(g) & ~WORD_TURN) == 0 && word_turn(g) != 0);
        assert_true((word_held(g) & ~WORD_STATES) == 0 && word_held(g) != 0);
    }
}

static void test_enter_and_remove(void **state) /* G1, G2 */
{
    (void)state;
    for (enum group g = A; g <= D; g++) {
        uint64_t w = 0;

        for (uint32_t n = 1; n <= 3; n++) {
            assert_true(word_admits(w, g, false, 1));
            w = word_enter(w, g, false, 1);
            assert_true(w == held(g, n));
        }
        assert_true(word_enter(w, g, false, 4) == held(g, 7));
        w = word_remove_holds(w, 2);
        assert_true(w == held(g, 1));
        assert_true(word_remove_holds(w, 1) == 0);
        assert_true(word_remove_holds(held(g, 5), 5) == 0);
    }
    assert_true(word_enter(held(A, 2), D, false, 0) == held(A, 2));
    assert_true(word_enter(0, D, false, 0) == 0);
}

static void test_states_exclude(void **state) /* G1 */
{
    (void)state;
    for (enum group h = A; h <= D; h++)
        for (enum group g = A; g <= D; g++)
            assert_int_equal(word_admits(held(h, 1), g, false, 1), g == h);
    assert_true(word_admits(held(A, 5), A, true, 1));
    assert_false(word_admits(held(B, 1), B, true, 1));
    assert_true(word_admits(0, B, true, 1));
}

static void test_drain_passes_unless_a_state_is_held(void **state) /* G8 */
{
    (void)state;
    assert_true(word_admits(0, D, false, 0));
    assert_false(word_admits(held(A, 1), D, false, 0));
    assert_false(word_admits(held(B, 1), D, false, 0));
    assert_true(word_admits(held(D, 1), D, false, 0));
    /* Whoever's turn it is, unlocked is what it waits for, and all. */
    for (enum group turn = A; turn <= D; turn++)
        assert_true(word_admits(word_turn(turn), D, false, 0));
    assert_false(word_admits(held(A, 1) | word_turn(D), D, false, 0));
}

static void test_full_admits_nobody(void **state) /* G2, pitfall L21 */
{
    (void)state;
    for (enum group h = A; h <= D; h++) {
        const uint64_t full = held(h, TWOSTATE_LOCK_MAX_HOLDERS);

        for (enum group g = A; g <= D; g++)
            assert_false(word_admits(full, g, false, 1));
        assert_true(word_admits(full - 1, h, false, 1));
        assert_false(word_admits(full - 1, h, false, 2));
        assert_true(word_enter(full - 1, h, false, 1) == full);
        assert_int_equal(word_holders(full), TWOSTATE_LOCK_MAX_HOLDERS);
        assert_true(word_admits(0, h, false, TWOSTATE_LOCK_MAX_HOLDERS));
        assert_false(word_admits(0, h, false, TWOSTATE_LOCK_MAX_HOLDERS + 1));
        assert_false(word_admits(0, h, false, UINT32_MAX));
    }
}

static void test_turn_keeps_others_out(void **state) /* G3, pitfall L01 */
{
    (void)state;
    for (enum group turn = A; turn <= D; turn++)
        for (enum group g = A; g <= D; g++) {
            assert_int_equal(word_admits(word_turn(turn), g, false, 1), g == turn);
            assert_int_equal(word_admits(held(g, 1) | word_turn(turn), g, false, 1), g == turn);
            /* A reservation is for later. */
            assert_true(word_admits(held(g, 1) | word_reserved(turn), g, false, 1));
        }
}

static void test_patience_is_rounded_up(void **state) /* G3 */
{
    (void)state;
    assert_int_equal(word_patience_us(0), TWOSTATE_PATIENCE_DEFAULT);
    assert_true(word_patience(TWOSTATE_PATIENCE_DEFAULT) == 0);
    assert_int_equal(word_patience_us(word_patience(0)), 0);
    for (uint32_t us = 64; us <= TWOSTATE_PATIENCE_MAX; us *= 2) {
        assert_true((word_patience(us) & ~WORD_PATIENCE) == 0);
        assert_int_equal(word_patience_us(word_patience(us)), us);
        assert_int_equal(word_patience_us(word_patience(us - 1)), us);
        assert_int_equal(word_patience_us(word_patience(us / 2 + 1)), us);
    }
    assert_int_equal(word_patience_us(word_patience(1)), 64);
}

static void test_claim(void **state)
{
    (void)state;
    assert_true(word_claim(held(A, 2), B) == (held(A, 2) | word_turn(B)));
    assert_true(word_claim(word_turn(B), B) == word_turn(B));
    assert_true(word_claim(word_turn(B), A) == (word_turn(B) | word_reserved(A)));
    assert_true(word_claim(word_turn(B) | word_reserved(A), A) ==
                (word_turn(B) | word_reserved(A)));
}

/* Each of three groups that always want the turn has it every third time. */
static void test_pass_turn_goes_round(void **state) /* G3 */
{
    const uint64_t all = word_reserved(A) | word_reserved(B) | word_reserved(D);

    (void)state;
    for (enum group g = A; g <= D; g++) {
        const enum group next = (enum group)((g + 1) % 3);
        const enum group after = (enum group)((g + 2) % 3);

        assert_true(word_pass_turn(word_turn(g), g) == 0);
        assert_true(word_pass_turn(word_turn(g) | (all & ~word_reserved(g)), g) ==
                    (word_turn(next) | word_reserved(after)));
        assert_true(word_pass_turn(word_turn(g) | word_reserved(after), g) == word_turn(after));
    }
}

static void test_leave(void **state)
{
    (void)state;
    for (enum group g = A; g <= D; g++) {
        const uint64_t group = word_turn(g) | word_sleep(g);
        const enum group next = (enum group)((g + 1) % 3);

        /* Not the last: the group keeps its turn and its sleep bit. */
        assert_true(word_leave(waiters(g, 2) | group, g, false) == (waiters(g, 1) | group));
        /* The last takes them along, and passes the turn: pitfall L08. */
        assert_true(word_leave(waiters(g, 1) | group, g, false) == 0);
        assert_true(word_leave(waiters(g, 1) | group | word_reserved(next), g, false) ==
                    word_turn(next));
        /* The last of a group that had only a reservation leaves the other's turn alone: L02. */
        assert_true(word_leave(waiters(g, 1) | word_reserved(g) | word_turn(next), g, false) ==
                    word_turn(next));
    }
}

/* Who may be asleep without being counted keeps the sleep bit; and no count falls below 0. */
static void test_leave_beside_uncounted(void **state)
{
    const uint64_t uncounted[] = {WORD_ASYNC, WORD_SHARED};

    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (enum group g = A; g <= D; g++) {
            const uint64_t asleep = uncounted[i] | word_sleep(g);

            assert_true(word_leave(asleep | waiters(g, 1) | word_turn(g), g, false) == asleep);
            assert_true(word_leave(asleep, g, false) == asleep);
        }
    assert_true(word_leave(WORD_SHARED | waiters(B, 1), B, true) == (WORD_SHARED | word_sleep(B)));
}

/* Of the exclusive group one is woken at a time: whoever leaves answers for the others. */
static void test_leave_exclusive(void **state) /* pitfall L06 */
{
    const uint64_t two = waiters(B, 2);
    const uint64_t one = waiters(B, 1) | word_sleep(B);

    (void)state;
    assert_true(word_leave(two, B, true) == one);
    assert_true(word_leave(two | word_turn(B), B, true) == (one | word_turn(B)));
    assert_true(word_leave(waiters(B, 1) | word_turn(B), B, true) == 0);
}

/*
 * One exclusive holder is one phase, whether it waited for it or just came: a shared waiter has the
 * turn after it.
 */
static void test_enter_exclusive(void **state) /* G3, pitfall L01 */
{
    const uint64_t both = waiters(B, 1) | word_turn(B) | word_reserved(A);

    (void)state;
    assert_true(word_enter(both, B, true, 1) ==
                (held(B, 1) | waiters(B, 1) | word_turn(A) | word_reserved(B)));
    assert_true(word_enter(waiters(B, 1) | word_turn(B), B, true, 1) ==
                (held(B, 1) | waiters(B, 1) | word_turn(B)));
    /* A state that is shared is entered by all who have the turn. */
    assert_true(word_enter(both, B, false, 1) == (held(B, 1) | both));
}

static void test_wake_at_unlock(void **state)
{
    const uint64_t all = word_sleep(A) | word_sleep(B) | word_sleep(D);

    (void)state;
    assert_true(word_wake_at_unlock(all, A) == (word_sleep(B) | word_sleep(D)));
    assert_true(word_wake_at_unlock(all, B) == (word_sleep(A) | word_sleep(D)));
    assert_true(word_wake_at_unlock(word_sleep(B), B) == word_sleep(B));
    assert_true(word_wake_at_unlock(word_sleep(A), A) == word_sleep(A));
    assert_true(word_wake_at_unlock(word_sleep(D), A) == word_sleep(D));
    assert_true(word_wake_at_unlock(0, A) == 0);
    /* With async waiters, or waiters of another process, a bit may be of nobody: wake them all. */
    assert_true(word_wake_at_unlock(WORD_ASYNC | all, A) == all);
    assert_true(word_wake_at_unlock(WORD_SHARED | all, B) == all);
    assert_true(word_wake_at_unlock(WORD_SLEEP_SW, A) == 0);
    for (enum group g = A; g <= D; g++) {
        const uint64_t woken = word_sleep(g) | word_sleep(D);

        assert_true(word_wake_at_unlock(all | word_turn(g), A) == woken);
        assert_true(word_wake_at_unlock(all | word_turn(g), B) == woken);
    }
}

static void test_wake_admitted(void **state) /* pitfall L14 */
{
    const uint64_t all = word_sleep(A) | word_sleep(B) | word_sleep(D);

    (void)state;
    assert_true(word_wake_admitted(all, false) == all);
    assert_true(word_wake_admitted(held(A, 1) | all, false) == word_sleep(A));
    assert_true(word_wake_admitted(held(B, 1) | all, false) == word_sleep(B));
    assert_true(word_wake_admitted(held(B, 1) | all, true) == 0);
    assert_true(word_wake_admitted(held(D, 1) | all, false) == word_sleep(D));
    assert_true(word_wake_admitted(held(A, 1) | all | word_turn(B), false) == 0);
    assert_true(word_wake_admitted(all | word_turn(D), false) == word_sleep(D));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_distinct),
        cmocka_unit_test(test_enter_and_remove),
        cmocka_unit_test(test_states_exclude),
        cmocka_unit_test(test_full_admits_nobody),
        cmocka_unit_test(test_drain_passes_unless_a_state_is_held),
        cmocka_unit_test(test_patience_is_rounded_up),
        cmocka_unit_test(test_leave_beside_uncounted),
        cmocka_unit_test(test_turn_keeps_others_out),
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_pass_turn_goes_round),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_leave_exclusive),
        cmocka_unit_test(test_enter_exclusive),
        cmocka_unit_test(test_wake_at_unlock),
        cmocka_unit_test(test_wake_admitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
