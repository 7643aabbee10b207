/* SPDX-License-Identifier: MIT */
/* What one thread alone sees of a two-state lock. */
#include "peek.h"
#include "spy.h"
#include "threads.h"
#include "watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const enum twostate_state states[] = {TWOSTATE_A, TWOSTATE_B};

static enum twostate_state other(enum twostate_state s)
{
    return s == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A;
}

static void test_zeroed_is_unlocked(void **state)
{
    struct twostate_lock zeroed;
    struct twostate_lock made;
    struct twostate_lock initialised = TWOSTATE_LOCK_INIT;

    (void)state;
    memset(&zeroed, 0, sizeof(zeroed));
    memset(&made, 0xff, sizeof(made));
    twostate_lock_init(&made);
    assert_memory_equal(&zeroed, &made, sizeof(made));
    assert_memory_equal(&zeroed, &initialised, sizeof(made));
    assert_int_equal(sizeof(struct twostate_lock), 8);
    assert_int_equal(twostate_lock_query(&zeroed).holders, 0);
    twostate_lock_assert_unlocked(&zeroed);
    twostate_lock_drain(&zeroed);
    assert_int_equal(twostate_lock_drain_timed(&zeroed, NULL), 0);
}

static void test_states_share_and_exclude(void **state) /* G1, G2, G13 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;

        twostate_lock_acquire(&lock, s);
        assert_true(twostate_lock_try_acquire(&lock, s));
        assert_int_equal(twostate_lock_acquire_timed(&lock, s, NULL), 0);
        assert_int_equal(twostate_lock_query(&lock).holders, 3);
        assert_int_equal(twostate_lock_query(&lock).state, s);
        twostate_lock_assert_held(&lock, s);
        for (int n = 3; n > 0; n--) {
            assert_false(twostate_lock_try_acquire(&lock, other(s)));
            twostate_lock_release(&lock, s);
        }
        assert_true(at_rest(&lock));
        assert_true(twostate_lock_try_acquire(&lock, other(s)));
        twostate_lock_release(&lock, other(s));
        assert_true(at_rest(&lock));
    }
}

/* Many holders, and not a single system call or slow path: G4, G5. */
static void test_fast_path(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    uint32_t calls = 0;

    (void)state;
    if (watched_()) /* TWOSTATE_STATS, TWOSTATE_VALIDATE: then every call is slow */
        skip();
    twostate_lock_acquire(&lock, TWOSTATE_A); /* a lock's first call is slow, once */
    twostate_lock_release(&lock, TWOSTATE_A);
    calls = spy_waits() + spy_wakes() + spy_slow_calls();
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < 2; i++) {
            twostate_lock_acquire(&lock, states[i]);
            twostate_lock_acquire(&lock, states[i]);
            assert_true(twostate_lock_try_acquire(&lock, states[i]));
            for (int n = 0; n < 3; n++)
                twostate_lock_release(&lock, states[i]);
        }
    }
    assert_int_equal(spy_waits() + spy_wakes() + spy_slow_calls(), calls);
}

/* G9: the word is the same, bit by bit. */
static void test_failed_try_and_timed_leave_no_trace(void **state)
{
    const struct timespec past = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct timespec soon = after_ms(5);
        uint64_t before = 0;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        before = peek(&lock);
        assert_false(twostate_lock_try_acquire(&lock, other(s)));
        assert_true(peek(&lock) == before);
        assert_int_equal(twostate_lock_acquire_timed(&lock, other(s), &past), -ETIMEDOUT);
        assert_true(peek(&lock) == before);
        assert_int_equal(twostate_lock_acquire_timed(&lock, other(s), &soon), -ETIMEDOUT);
        assert_true(is_past(&soon));
        assert_true(peek(&lock) == before);
        assert_int_equal(twostate_lock_drain_timed(&lock, &past), -ETIMEDOUT);
        soon = after_ms(5);
        assert_int_equal(twostate_lock_drain_timed(&lock, &soon), -ETIMEDOUT);
        assert_true(peek(&lock) == before);
        assert_false(twostate_lock_try_switch(&lock, other(s)));
        assert_int_equal(twostate_lock_switch_timed(&lock, other(s), &past), -ETIMEDOUT);
        soon = after_ms(5);
        assert_int_equal(twostate_lock_switch_timed(&lock, other(s), &soon), -ETIMEDOUT);
        assert_true(peek(&lock) == before); /* pitfalls L05, L08 */
    }
}

static void test_deadlines(void **state)
{
    const struct timespec past = {0};
    const struct timespec before_boot = {.tv_sec = -1};
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    assert_int_equal(twostate_lock_acquire_timed(&lock, TWOSTATE_A, &past), 0);
    assert_int_equal(twostate_lock_switch_timed(&lock, TWOSTATE_B, &past), 0);
    twostate_lock_assert_held(&lock, TWOSTATE_B);
    twostate_lock_release(&lock, TWOSTATE_B);
    assert_int_equal(twostate_lock_drain_timed(&lock, &past), 0);
    twostate_lock_acquire(&lock, TWOSTATE_A);
    assert_int_equal(twostate_lock_acquire_timed(&lock, TWOSTATE_B, &before_boot), -ETIMEDOUT);
    assert_int_equal(twostate_lock_drain_timed(&lock, &before_boot), -ETIMEDOUT);
    twostate_lock_release(&lock, TWOSTATE_A);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(twostate_lock_acquire_timed(&lock, TWOSTATE_A, &invalid[i]), -EINVAL);
        assert_int_equal(twostate_lock_drain_timed(&lock, &invalid[i]), -EINVAL);
        assert_true(at_rest(&lock));
        twostate_lock_acquire(&lock, TWOSTATE_A);
        assert_int_equal(twostate_lock_switch_timed(&lock, TWOSTATE_B, &invalid[i]), -EINVAL);
        twostate_lock_assert_held(&lock, TWOSTATE_A);
        twostate_lock_release(&lock, TWOSTATE_A);
    }
}

static void test_limit_of_holders(void **state) /* G2, pitfall L21 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        const uint64_t full = word_held((enum group)s) | TWOSTATE_LOCK_MAX_HOLDERS;
        struct timespec soon = after_ms(3);
        struct twostate_lock lock = {.word_ = full - 1};

        assert_true(twostate_lock_try_acquire(&lock, s));
        assert_int_equal(twostate_lock_query(&lock).holders, TWOSTATE_LOCK_MAX_HOLDERS);
        assert_false(twostate_lock_try_acquire(&lock, s));
        assert_int_equal(twostate_lock_acquire_timed(&lock, s, NULL), -EOVERFLOW);
        assert_int_equal(twostate_lock_acquire_timed(&lock, other(s), &soon), -ETIMEDOUT);
        assert_false(twostate_lock_try_switch(&lock, other(s)));
        assert_true(peek(&lock) == full);
        twostate_lock_release(&lock, s);
        assert_true(peek(&lock) == full - 1);
        assert_int_equal(twostate_lock_acquire_timed(&lock, s, NULL), 0);
        twostate_lock_release(&lock, s);
        assert_true(peek(&lock) == full - 1);
    }
}

static void test_sole_holder_switches(void **state) /* G10 */
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const enum twostate_state s = states[i];
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;

        twostate_lock_acquire(&lock, s);
        assert_true(twostate_lock_try_switch(&lock, other(s)));
        assert_int_equal(twostate_lock_query(&lock).state, other(s));
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
        assert_int_equal(twostate_lock_switch(&lock, s), 0);
        twostate_lock_assert_held(&lock, s);
        assert_true(twostate_lock_try_acquire(&lock, s));
        assert_false(twostate_lock_try_switch(&lock, other(s)));
        twostate_lock_release(&lock, s);
        twostate_lock_release(&lock, s);
        twostate_lock_assert_unlocked(&lock);
    }
}

/* A drain takes nothing, so it returns at once from an unlocked lock, whoever's turn is next. */
static void test_drain_of_unlocked(void **state) /* G8 */
{
    const struct timespec past = {0, 0};

    (void)state;
    for (uint64_t turn = 0; turn <= 3; turn++) {
        const uint64_t word = turn * word_turn(GROUP_A);
        struct twostate_lock lock = {word};

        assert_int_equal(twostate_lock_drain_timed(&lock, &past), 0);
        assert_true(peek(&lock) == word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_is_unlocked),
        cmocka_unit_test(test_states_share_and_exclude),
        cmocka_unit_test(test_fast_path),
        cmocka_unit_test(test_failed_try_and_timed_leave_no_trace),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_limit_of_holders),
        cmocka_unit_test(test_sole_holder_switches),
        cmocka_unit_test(test_drain_of_unlocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
