/* SPDX-License-Identifier: MIT */
/* Several holds taken in one step, and given back in pieces. */
#include "caller.h"
#include "peek.h"
#include "spy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A   TWOSTATE_A
#define B   TWOSTATE_B
#define MAX TWOSTATE_LOCK_MAX_HOLDERS

static const struct timespec past;

static void release_two_elsewhere(void *lock)
{
    twostate_lock_release_n(lock, A, 2);
}

static void test_taken_at_once_given_back_in_pieces(void **state) /* G2, G6 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct task task;

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, A, 2), 0);
    assert_true(twostate_lock_try_acquire_n(&lock, A, 1));
    assert_int_equal(twostate_lock_acquire_n_timed(&lock, A, 3, &past), 0);
    assert_int_equal(twostate_lock_acquire_n_timed(&lock, A, 1, NULL), 0);
    assert_true(holds_only(&lock, GROUP_A, 7));
    assert_false(twostate_lock_try_acquire(&lock, B));
    twostate_lock_release(&lock, A);
    task_start(&task, release_two_elsewhere, &lock);
    task_join(&task);
    twostate_lock_release_n(&lock, A, 1);
    assert_true(holds_only(&lock, GROUP_A, 3));
    twostate_lock_release_n(&lock, A, 3);
    assert_true(at_rest(&lock));
    assert_true(twostate_lock_try_acquire_n(&lock, B, 2));
    twostate_lock_release_n(&lock, B, 2);
    assert_true(at_rest(&lock));
}

static void test_none_is_invalid(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        uint64_t before = 0;

        if (held)
            twostate_lock_acquire(&lock, A);
        before = peek(&lock);
        for (enum twostate_state s = A; s <= B; s++) {
            assert_int_equal(twostate_lock_acquire_n(&lock, s, 0), -EINVAL);
            assert_int_equal(twostate_lock_acquire_n_timed(&lock, s, 0, NULL), -EINVAL);
            assert_false(twostate_lock_try_acquire_n(&lock, s, 0));
        }
        assert_true(peek(&lock) == before);
    }
}

/* What doesn't fit now, or never will, is refused at once, and whole. G2, pitfall L21. */
static void test_overflow_changes_nothing(void **state)
{
    static const struct {
        uint32_t held;
        uint32_t n;
    } rows[] = {
        {0, MAX + 1},        {0, UINT32_MAX},        {1, MAX},
        {1, UINT32_MAX},     {MAX - 1, 2},           {MAX, 1},
        {MAX, UINT32_MAX},   {MAX / 2, MAX / 2 + 1}, {MAX, MAX},
        {2, UINT32_MAX - 1}, {MAX - 1, MAX},         {1, (1U << 23)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (enum twostate_state s = A; s <= B; s++) {
            struct twostate_lock lock = TWOSTATE_LOCK_INIT;
            uint64_t before = 0;

            if (rows[i].held)
                assert_int_equal(twostate_lock_acquire_n(&lock, s, rows[i].held), 0);
            before = peek(&lock);
            assert_int_equal(twostate_lock_acquire_n(&lock, s, rows[i].n), -EOVERFLOW);
            assert_int_equal(twostate_lock_acquire_n_timed(&lock, s, rows[i].n, &past), -EOVERFLOW);
            assert_false(twostate_lock_try_acquire_n(&lock, s, rows[i].n));
            assert_true(peek(&lock) == before);
        }
}

/* More than can ever be held is not waited for, though the other state is in the way. */
static void test_overflow_does_not_wait(void **state) /* pitfall L21 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_n(&lock, B, MAX + 1), -EOVERFLOW);
    assert_int_equal(twostate_lock_acquire_n_timed(&lock, B, UINT32_MAX, NULL), -EOVERFLOW);
    assert_true(holds_only(&lock, GROUP_A, 1));
}

static void test_as_many_as_can_be(void **state) /* G2 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, B, MAX), 0);
    assert_int_equal(twostate_lock_query(&lock).holders, MAX);
    assert_false(twostate_lock_try_acquire(&lock, B));
    twostate_lock_release_n(&lock, B, 5);
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 6), -EOVERFLOW);
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 5), 0);
    twostate_lock_release_n(&lock, B, MAX);
    assert_true(at_rest(&lock));
}

static void test_waits_for_all_at_once(void **state) /* G3 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        assert_int_equal(twostate_lock_acquire_n(&lock, opposite(s), 4), 0);
        caller_start_n(&waiter, &lock, s, 5);
        AWAIT(has_turn(&lock, (enum group)s));
        assert_int_equal(waiting(&lock, (enum group)s), 1);
        twostate_lock_release_n(&lock, opposite(s), 3);
        assert_false(caller_done(&waiter));
        twostate_lock_release_n(&lock, opposite(s), 1);
        assert_int_equal(caller_join(&waiter), 0);
        assert_true(holds_only(&lock, (enum group)s, 5));
    }
}

static void test_failed_leaves_no_trace(void **state) /* G9, pitfalls L05, L08 */
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};
    const struct timespec soon = after_ms(5);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, A, 2), 0);
    assert_false(twostate_lock_try_acquire_n(&lock, B, 3));
    assert_int_equal(twostate_lock_acquire_n_timed(&lock, B, 3, &past), -ETIMEDOUT);
    assert_int_equal(twostate_lock_acquire_n_timed(&lock, B, 3, &soon), -ETIMEDOUT);
    assert_true(is_past(&soon));
    for (int n = 0; n < 2; n++)
        assert_int_equal(twostate_lock_acquire_n_timed(&lock, B, 3, &invalid[n]), -EINVAL);
    assert_true(holds_only(&lock, GROUP_A, 2));
}

/* Whoever waits to be alone is woken by the piece that leaves it so. G10, pitfall L14. */
static void test_a_piece_wakes_a_switch(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller converter;

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, A, 6), 0);
    caller_start(&converter, &lock, CALL_SWITCH, B);
    AWAIT(has_turn(&lock, GROUP_B));
    twostate_lock_release_n(&lock, A, 2);
    assert_false(caller_done(&converter));
    twostate_lock_release_n(&lock, A, 3);
    assert_int_equal(caller_join(&converter), 0);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

/* Holds of all sizes, of both states, from several threads; released one by one or together. */
struct crowd {
    struct twostate_lock lock;
    uint32_t inside[2]; /* holds */
    uint32_t next;
};

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;
    uint32_t seed = add(&crowd->next, 1) * 7919;

    for (int round = 0; round < 3000; round++) {
        const enum twostate_state s = seed & 1 ? A : B;
        const uint32_t n = 1 + (seed >> 4) % 9;
        const uint32_t piece = (seed >> 8) % (n + 1);

        seed = seed * 1664525 + 1013904223;
        CHECK(twostate_lock_acquire_n(&crowd->lock, s, n) == 0);
        add(&crowd->inside[s], n);
        CHECK(load(&crowd->inside[opposite(s)]) == 0);
        CHECK(twostate_lock_query(&crowd->lock).holders >= n);
        if (round % 8 == 0)
            sched_yield();
        if (piece) {
            add(&crowd->inside[s], -piece);
            twostate_lock_release_n(&crowd->lock, s, piece);
        }
        if (n > piece) {
            add(&crowd->inside[s], piece - n);
            twostate_lock_release_n(&crowd->lock, s, n - piece);
        }
    }
}

static void test_under_load(void **state) /* G1, G3, pitfall L22 */
{
    struct crowd crowd = {.next = 0};
    struct task tasks[4];

    (void)state;
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], come_and_go, &crowd);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&crowd.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_at_once_given_back_in_pieces),
        cmocka_unit_test(test_none_is_invalid),
        cmocka_unit_test(test_overflow_changes_nothing),
        cmocka_unit_test(test_overflow_does_not_wait),
        cmocka_unit_test(test_as_many_as_can_be),
        cmocka_unit_test(test_waits_for_all_at_once),
        cmocka_unit_test(test_failed_leaves_no_trace),
        cmocka_unit_test(test_a_piece_wakes_a_switch),
        cmocka_unit_test(test_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
