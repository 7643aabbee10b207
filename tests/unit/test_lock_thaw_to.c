/* SPDX-License-Identifier: MIT */
/* A freeze that turns into a hold of a state, with nobody in between. */
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

static const struct timespec past;

static void test_sole_freeze_turns_into_either_state(void **state) /* G10 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;

        for (int form = 0; form < 4; form++) {
            twostate_lock_freeze(&lock);
            if (form == 0)
                assert_true(twostate_lock_try_thaw_to(&lock, s));
            else if (form == 1)
                assert_int_equal(twostate_lock_thaw_to(&lock, s), 0);
            else
                assert_int_equal(twostate_lock_thaw_to_timed(&lock, s, form == 2 ? &past : NULL),
                                 0);
            assert_int_equal(twostate_lock_query(&lock).frozen, 0);
            assert_true(holds_only(&lock, (enum group)s, 1));
            assert_true(twostate_lock_try_acquire(&lock, s));
            twostate_lock_release(&lock, s);
            twostate_lock_release(&lock, s);
            assert_true(at_rest(&lock));
        }
    }
}

static void test_thaw_to_waits_for_other_freezes(void **state) /* G3, G10 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller converter;

        for (int n = 0; n < 3; n++)
            twostate_lock_freeze(&lock);
        assert_false(twostate_lock_try_thaw_to(&lock, s));
        caller_start(&converter, &lock, CALL_THAW_TO, s);
        AWAIT(has_turn(&lock, (enum group)s));
        assert_true(twostate_lock_query(&lock).switching);
        assert_false(twostate_lock_try_freeze(&lock)); /* new ones are kept out */
        twostate_lock_thaw(&lock);
        assert_false(caller_done(&converter));
        assert_int_equal(twostate_lock_query(&lock).frozen, 2);
        twostate_lock_thaw(&lock);
        assert_int_equal(caller_join(&converter), 0);
        assert_true(holds_only(&lock, (enum group)s, 1));
    }
}

static void test_second_converter_is_refused(void **state) /* G9, G10 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller first;
    uint64_t word = 0;

    (void)state;
    twostate_lock_freeze(&lock);
    twostate_lock_freeze(&lock);
    caller_start(&first, &lock, CALL_THAW_TO, B);
    AWAIT(has_turn(&lock, GROUP_B));
    word = peek(&lock);
    for (enum twostate_state s = A; s <= B; s++) {
        assert_int_equal(twostate_lock_thaw_to(&lock, s), -EDEADLK);
        assert_int_equal(twostate_lock_thaw_to_timed(&lock, s, NULL), -EDEADLK);
        assert_false(twostate_lock_try_thaw_to(&lock, s));
    }
    assert_true(peek(&lock) == word);
    twostate_lock_thaw(&lock);
    assert_int_equal(caller_join(&first), 0);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

static void test_failed_thaw_to_leaves_the_freeze(void **state) /* G9, pitfalls L05, L08, L10 */
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};

    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct timespec soon = after_ms(5);

        twostate_lock_freeze(&lock);
        for (int n = 0; n < 2; n++)
            assert_int_equal(twostate_lock_thaw_to_timed(&lock, s, &invalid[n]), -EINVAL);
        assert_true(holds_only(&lock, GROUP_DRAIN, 1));
        twostate_lock_freeze(&lock);
        assert_false(twostate_lock_try_thaw_to(&lock, s));
        assert_true(holds_only(&lock, GROUP_DRAIN, 2));
        assert_int_equal(twostate_lock_thaw_to_timed(&lock, s, &past), -ETIMEDOUT);
        assert_true(holds_only(&lock, GROUP_DRAIN, 2));
        assert_int_equal(twostate_lock_thaw_to_timed(&lock, s, &soon), -ETIMEDOUT);
        assert_true(is_past(&soon));
        assert_true(holds_only(&lock, GROUP_DRAIN, 2));
    }
}

/* Who waits for the new state comes in with it; who waits for the other stays out. G10, L12, L14. */
static void test_waiters_come_in_with_a_thaw_to(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const enum twostate_state s = i % 2 ? B : A;
        const enum group g = (enum group)s;
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiters[2];
        struct caller other;

        twostate_lock_freeze(&lock);
        for (int n = 0; n < 2; n++)
            caller_start(&waiters[n], &lock, CALL_ACQUIRE, s);
        AWAIT(waiting(&lock, g) == 2 && has_turn(&lock, g));
        caller_start(&other, &lock, CALL_ACQUIRE, opposite(s));
        AWAIT(has_reserved(&lock, (enum group)opposite(s)));
        if (i < 2)
            assert_true(twostate_lock_try_thaw_to(&lock, s));
        else
            assert_int_equal(twostate_lock_thaw_to(&lock, s), 0);
        for (int n = 0; n < 2; n++)
            caller_join(&waiters[n]);
        assert_int_equal(twostate_lock_query(&lock).holders, 3);
        assert_false(caller_done(&other));
        for (int n = 0; n < 3; n++)
            twostate_lock_release(&lock, s);
        caller_join(&other);
        assert_true(holds_only(&lock, (enum group)opposite(s), 1));
    }
}

/* Though a waiter of the other state has the turn, it does not come between. G10. */
static void test_nobody_comes_between(void **state)
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        const enum twostate_state o = opposite(s);
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiter;

        twostate_lock_freeze(&lock);
        caller_start(&waiter, &lock, CALL_ACQUIRE, o);
        AWAIT(has_turn(&lock, (enum group)o));
        assert_true(twostate_lock_try_thaw_to(&lock, s));
        twostate_lock_assert_held(&lock, s);
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
        assert_false(caller_done(&waiter));
        twostate_lock_release(&lock, s);
        caller_join(&waiter);
        assert_true(holds_only(&lock, (enum group)o, 1));
    }
}

/* And never between under load: what was read frozen is still so when the state is held. */
struct data {
    struct twostate_lock lock;
    unsigned long changes[2]; /* each changed under its state by one thread */
    uint32_t stop;
};

static void change(struct data *data, enum twostate_state s)
{
    while (!load(&data->stop)) {
        twostate_lock_acquire(&data->lock, s);
        data->changes[s]++;
        twostate_lock_release(&data->lock, s);
    }
}

static void change_a(void *data)
{
    change(data, A);
}

static void change_b(void *data)
{
    change(data, B);
}

static void test_thaw_to_under_load(void **state) /* G3, G10, G11, pitfall L22 */
{
    struct data data = {.stop = 0};
    struct task tasks[2];

    (void)state;
    spy_interrupt(true);
    task_start(&tasks[0], change_a, &data);
    task_start(&tasks[1], change_b, &data);
    for (int round = 0; round < 300; round++) {
        const enum twostate_state s = round % 2 ? A : B;
        unsigned long seen = 0;

        twostate_lock_freeze(&data.lock);
        seen = data.changes[opposite(s)];
        assert_int_equal(twostate_lock_thaw_to(&data.lock, s), 0);
        sched_yield();
        assert_int_equal(data.changes[opposite(s)], seen);
        twostate_lock_release(&data.lock, s);
    }
    store(&data.stop, 1);
    for (int n = 0; n < 2; n++)
        task_join(&tasks[n]);
    spy_interrupt(false);
    assert_true(at_rest(&data.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sole_freeze_turns_into_either_state),
        cmocka_unit_test(test_thaw_to_waits_for_other_freezes),
        cmocka_unit_test(test_second_converter_is_refused),
        cmocka_unit_test(test_failed_thaw_to_leaves_the_freeze),
        cmocka_unit_test(test_waiters_come_in_with_a_thaw_to),
        cmocka_unit_test(test_nobody_comes_between),
        cmocka_unit_test(test_thaw_to_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
