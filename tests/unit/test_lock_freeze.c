/* SPDX-License-Identifier: MIT */
/* A frozen lock is held unlocked: neither state gets in before the last thaw. */
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

static void assert_frozen(struct twostate_lock *lock, uint32_t freezes)
{
    assert_int_equal(twostate_lock_query(lock).frozen, freezes);
    assert_int_equal(twostate_lock_query(lock).holders, 0);
    twostate_lock_assert_unlocked(lock);
    for (enum twostate_state s = A; s <= B; s++) {
        assert_false(twostate_lock_try_acquire(lock, s));
        assert_int_equal(twostate_lock_acquire_timed(lock, s, &past), -ETIMEDOUT);
    }
}

static void thaw_elsewhere(void *lock)
{
    twostate_lock_thaw(lock);
}

/* By every form, and each ended by another thread: G6, G8. */
static void test_freezes_are_counted(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;

    (void)state;
    twostate_lock_freeze(&lock);
    assert_frozen(&lock, 1);
    assert_true(twostate_lock_try_freeze(&lock));
    assert_int_equal(twostate_lock_freeze_timed(&lock, &past), 0);
    assert_int_equal(twostate_lock_freeze_timed(&lock, NULL), 0);
    for (uint32_t freezes = 4; freezes > 0; freezes--) {
        struct task task;

        assert_frozen(&lock, freezes);
        task_start(&task, thaw_elsewhere, &lock);
        task_join(&task);
    }
    assert_true(at_rest(&lock));
    for (enum twostate_state s = A; s <= B; s++) {
        assert_true(twostate_lock_try_acquire(&lock, s));
        twostate_lock_release(&lock, s);
    }
}

static void test_freeze_waits_for_unlocked(void **state) /* G3, G8 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller freeze;

        twostate_lock_acquire(&lock, s);
        twostate_lock_acquire(&lock, s);
        assert_false(twostate_lock_try_freeze(&lock));
        caller_start(&freeze, &lock, CALL_FREEZE, A);
        AWAIT(has_turn(&lock, GROUP_DRAIN));
        assert_int_equal(twostate_lock_query(&lock).draining, 1);
        assert_int_equal(twostate_lock_query(&lock).frozen, 0);
        assert_false(twostate_lock_try_acquire(&lock, s)); /* G13: it is being handed over */
        twostate_lock_release(&lock, s);
        assert_false(caller_done(&freeze));
        twostate_lock_release(&lock, s);
        caller_join(&freeze);
        assert_true(holds_only(&lock, GROUP_DRAIN, 1));
        assert_frozen(&lock, 1);
        twostate_lock_thaw(&lock);
        assert_true(at_rest(&lock));
    }
}

static void test_several_freezes_wait_together(void **state) /* G2, G8 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller freezes[3];

    (void)state;
    twostate_lock_acquire(&lock, B);
    for (int n = 0; n < 3; n++)
        caller_start(&freezes[n], &lock, CALL_FREEZE, A);
    AWAIT(waiting(&lock, GROUP_DRAIN) == 3 && has_turn(&lock, GROUP_DRAIN));
    twostate_lock_release(&lock, B);
    for (int n = 0; n < 3; n++)
        caller_join(&freezes[n]);
    assert_true(holds_only(&lock, GROUP_DRAIN, 3));
    for (int n = 0; n < 3; n++)
        twostate_lock_thaw(&lock);
    assert_true(at_rest(&lock));
}

static void test_failed_freeze_leaves_no_trace(void **state) /* G9, pitfalls L05, L08 */
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};

    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct timespec soon = after_ms(5);
        uint64_t before = 0;

        twostate_lock_acquire(&lock, s);
        before = peek(&lock);
        assert_false(twostate_lock_try_freeze(&lock));
        assert_true(peek(&lock) == before);
        assert_int_equal(twostate_lock_freeze_timed(&lock, &past), -ETIMEDOUT);
        assert_true(peek(&lock) == before);
        assert_int_equal(twostate_lock_freeze_timed(&lock, &soon), -ETIMEDOUT);
        assert_true(is_past(&soon));
        assert_true(peek(&lock) == before);
        for (int n = 0; n < 2; n++)
            assert_int_equal(twostate_lock_freeze_timed(&lock, &invalid[n]), -EINVAL);
        assert_true(peek(&lock) == before);
    }
}

/* A freeze that gives up hands its turn back: who waited behind it goes on. G9, pitfall L07. */
static void test_timed_out_freeze_parks_nobody(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller timed;
    struct caller behind;

    (void)state;
    twostate_lock_acquire(&lock, A);
    caller_start_timed(&timed, &lock, CALL_FREEZE_TIMED, A, 300);
    AWAIT(has_turn(&lock, GROUP_DRAIN) || caller_done(&timed));
    caller_start(&behind, &lock, CALL_ACQUIRE, A);
    assert_int_equal(caller_join(&timed), -ETIMEDOUT);
    caller_join(&behind); /* though the lock was never unlocked */
    assert_true(holds_only(&lock, GROUP_A, 2));
}

static void test_limit_of_freezes(void **state) /* G2, pitfall L21 */
{
    const uint64_t full = WORD_STATES | TWOSTATE_LOCK_MAX_HOLDERS;
    struct twostate_lock lock = {.word_ = full - 1};

    (void)state;
    assert_true(twostate_lock_try_freeze(&lock));
    assert_int_equal(twostate_lock_query(&lock).frozen, TWOSTATE_LOCK_MAX_HOLDERS);
    assert_false(twostate_lock_try_freeze(&lock));
    assert_int_equal(twostate_lock_freeze_timed(&lock, NULL), -EOVERFLOW);
    assert_true(peek(&lock) == full);
    twostate_lock_thaw(&lock);
    assert_true(peek(&lock) == full - 1);
}

/* A drain waits for "nobody holds it", and so it is: whoever else waits for the thaw. G8. */
static void test_drains_pass_while_frozen(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiters[2];

    (void)state;
    twostate_lock_freeze(&lock);
    assert_int_equal(twostate_lock_drain_timed(&lock, &past), 0);
    for (enum twostate_state s = A; s <= B; s++)
        caller_start(&waiters[s], &lock, CALL_ACQUIRE, s);
    AWAIT((has_turn(&lock, GROUP_A) && has_reserved(&lock, GROUP_B)) ||
          (has_turn(&lock, GROUP_B) && has_reserved(&lock, GROUP_A)));
    assert_int_equal(twostate_lock_drain_timed(&lock, &past), 0);
    twostate_lock_drain(&lock);
    assert_int_equal(twostate_lock_query(&lock).frozen, 1);
    twostate_lock_thaw(&lock);
    for (int n = 0; n < 2; n++) {
        AWAIT(twostate_lock_query(&lock).holders == 1);
        twostate_lock_release(&lock, twostate_lock_query(&lock).state);
    }
    for (enum twostate_state s = A; s <= B; s++)
        caller_join(&waiters[s]);
    assert_true(at_rest(&lock));
}

/* One unlock lets a drain and a freeze through, though the freeze then holds. G8, pitfall L17. */
static void test_drain_and_freeze_wait_together(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller drain;
        struct caller freeze;

        twostate_lock_acquire(&lock, A);
        caller_start(&drain, &lock, CALL_DRAIN, A);
        caller_start(&freeze, &lock, CALL_FREEZE, A);
        AWAIT(waiting(&lock, GROUP_DRAIN) == 2);
        twostate_lock_release(&lock, A);
        caller_join(&drain);
        caller_join(&freeze);
        assert_frozen(&lock, 1);
        twostate_lock_thaw(&lock);
        assert_true(at_rest(&lock));
    }
}

static void test_thaw_lets_waiters_in(void **state) /* G3, pitfall L14 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller waiters[3];

        twostate_lock_freeze(&lock);
        twostate_lock_freeze(&lock);
        for (int n = 0; n < 3; n++)
            caller_start(&waiters[n], &lock, CALL_ACQUIRE, s);
        AWAIT(waiting(&lock, (enum group)s) == 3 && has_turn(&lock, (enum group)s));
        assert_false(twostate_lock_try_freeze(&lock)); /* G13: it is being handed over */
        twostate_lock_thaw(&lock);
        assert_int_equal(waiting(&lock, (enum group)s), 3);
        twostate_lock_thaw(&lock);
        for (int n = 0; n < 3; n++)
            caller_join(&waiters[n]);
        assert_true(holds_only(&lock, (enum group)s, 3));
    }
}

/* Freezes follow each other without a gap, and yet a waiter of either state gets in. G3, L01. */
struct freezers {
    struct twostate_lock lock;
    uint32_t frozen;
    uint32_t stop;
};

static void freeze_and_thaw(void *argument)
{
    struct freezers *freezers = argument;

    while (!load(&freezers->stop)) {
        twostate_lock_freeze(&freezers->lock);
        add(&freezers->frozen, 1);
        while (!load(&freezers->stop) && load(&freezers->frozen) < 2) {
            if (!twostate_lock_try_freeze(&freezers->lock))
                break;
            twostate_lock_thaw(&freezers->lock);
            sched_yield();
        }
        add(&freezers->frozen, UINT32_MAX);
        twostate_lock_thaw(&freezers->lock);
    }
}

static void test_overlapping_freezes_make_way(void **state)
{
    struct freezers freezers = {.stop = 0};
    struct task tasks[3];

    (void)state;
    for (int n = 0; n < 3; n++)
        task_start(&tasks[n], freeze_and_thaw, &freezers);
    AWAIT(load(&freezers.frozen) > 0);
    for (int round = 0; round < 50; round++) {
        const enum twostate_state s = round % 2 ? A : B;

        twostate_lock_acquire(&freezers.lock, s);
        assert_int_equal(load(&freezers.frozen), 0);
        twostate_lock_release(&freezers.lock, s);
    }
    store(&freezers.stop, 1);
    for (int n = 0; n < 3; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&freezers.lock));
}

/* Plain data that holders of either state change in turn, and a freezer reads: G11, G8. */
struct data {
    struct twostate_lock lock;
    unsigned long first[2];
    unsigned long second[2];
    uint32_t next;
};

static void change(void *argument)
{
    struct data *data = argument;
    const uint32_t mine = add(&data->next, 1) - 1;
    const enum twostate_state s = mine == 0 ? A : B;

    for (int round = 0; round < 3000; round++) {
        twostate_lock_acquire(&data->lock, s);
        data->first[mine]++;
        if (round % 8 == 0)
            sched_yield();
        data->second[mine]++;
        twostate_lock_release(&data->lock, s);
    }
}

static void test_nobody_is_inside_while_frozen(void **state)
{
    struct data data = {.next = 0};
    struct task tasks[2];

    (void)state;
    for (int n = 0; n < 2; n++)
        task_start(&tasks[n], change, &data);
    for (int round = 0; round < 300; round++) {
        unsigned long seen[2];

        twostate_lock_freeze(&data.lock);
        for (int n = 0; n < 2; n++) {
            seen[n] = data.first[n];
            assert_int_equal(data.second[n], seen[n]);
        }
        sched_yield();
        for (int n = 0; n < 2; n++)
            assert_int_equal(data.first[n], seen[n]);
        twostate_lock_thaw(&data.lock);
    }
    for (int n = 0; n < 2; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&data.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freezes_are_counted),
        cmocka_unit_test(test_freeze_waits_for_unlocked),
        cmocka_unit_test(test_several_freezes_wait_together),
        cmocka_unit_test(test_failed_freeze_leaves_no_trace),
        cmocka_unit_test(test_timed_out_freeze_parks_nobody),
        cmocka_unit_test(test_limit_of_freezes),
        cmocka_unit_test(test_drains_pass_while_frozen),
        cmocka_unit_test(test_drain_and_freeze_wait_together),
        cmocka_unit_test(test_thaw_lets_waiters_in),
        cmocka_unit_test(test_overlapping_freezes_make_way),
        cmocka_unit_test(test_nobody_is_inside_while_frozen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
