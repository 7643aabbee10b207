/* SPDX-License-Identifier: MIT */
/* The validator's rules self-deadlock and recursion: one thread, one lock. */
#include "collect.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

#define SELF      TWOSTATE_RULE_SELF_DEADLOCK
#define RECURSION TWOSTATE_RULE_RECURSION

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;

SHOWN void the_first_hold(enum twostate_state state)
{
    twostate_lock_acquire(&lock, state);
    expect_none();
}

/* A deadline that is far off: the call would wait, and is told that it need not. */
static int other_way(enum twostate_state state)
{
    const struct timespec end = after_ms(600000);

    return twostate_lock_acquire_timed(&lock, state, &end);
}

static void test_a_then_b(void **unused)
{
    (void)unused;
    for (enum twostate_state state = A; state <= B; state++) {
        the_first_hold(state);
        assert_int_equal(other_way(state == A ? B : A), -EDEADLK);
        EXPECT(SELF, &lock, "self-deadlock", "class lock", state == A ? "acquire B" : "acquire A",
               "the_first_hold+");
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
        twostate_lock_release(&lock, state);
    }
}

static void test_a_past_deadline_is_a_try(void **unused)
{
    const struct timespec past = {0};

    (void)unused;
    the_first_hold(A);
    assert_false(twostate_lock_try_acquire(&lock, B));
    assert_int_equal(twostate_lock_acquire_timed(&lock, B, &past), -ETIMEDOUT);
    twostate_lock_release(&lock, A);
}

static void test_shared_and_exclusive(void **unused)
{
    const struct timespec end = after_ms(600000);

    (void)unused;
    for (enum twostate_iomode held = TWOSTATE_SHARED; held <= TWOSTATE_EXCLUSIVE; held++)
        for (enum twostate_iomode wanted = TWOSTATE_SHARED; wanted <= TWOSTATE_EXCLUSIVE;
             wanted++) {
            if (held == TWOSTATE_SHARED && wanted == TWOSTATE_SHARED)
                continue;
            twostate_iolock_acquire(&iolock, held);
            assert_int_equal(twostate_iolock_acquire_timed(&iolock, wanted, &end), -EDEADLK);
            EXPECT(SELF, &iolock, "class iolock",
                   held == TWOSTATE_SHARED ? "is held shared" : "is held exclusive",
                   wanted == TWOSTATE_SHARED ? "acquire shared" : "acquire exclusive");
            twostate_iolock_release(&iolock, held);
        }
}

static void test_demote_is_known(void **unused)
{
    const struct timespec end = after_ms(600000);

    (void)unused;
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_demote(&iolock);
    assert_int_equal(twostate_iolock_acquire_timed(&iolock, TWOSTATE_EXCLUSIVE, &end), -EDEADLK);
    EXPECT(SELF, &iolock, "is held shared", "demote");
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    assert_int_equal(twostate_validate_query().holds, 0);
}

static void test_drain_while_holding(void **unused)
{
    const struct timespec end = after_ms(600000);

    (void)unused;
    the_first_hold(B);
    assert_int_equal(twostate_lock_drain_timed(&lock, &end), -EDEADLK);
    EXPECT(SELF, &lock, "drain", "is held state B", "the_first_hold+");
    assert_int_equal(twostate_lock_freeze_timed(&lock, &end), -EDEADLK);
    EXPECT(SELF, &lock, "freeze");
    twostate_lock_release(&lock, B);
    twostate_lock_drain(&lock);
}

static void test_acquire_while_frozen(void **unused)
{
    (void)unused;
    twostate_lock_freeze(&lock);
    assert_int_equal(other_way(A), -EDEADLK);
    EXPECT(SELF, &lock, "acquire A", "froze");
    twostate_lock_drain(&lock); /* passes */
    twostate_lock_thaw(&lock);
}

static void test_switch_with_two_holds(void **unused)
{
    (void)unused;
    the_first_hold(A);
    assert_int_equal(twostate_lock_switch(&lock, B), 0);
    expect_none();
    assert_int_equal(twostate_lock_join(&lock, B), 0);
    assert_int_equal(twostate_lock_switch(&lock, A), -EDEADLK);
    EXPECT(SELF, &lock, "switch to A", "twice");
    twostate_lock_release_n(&lock, B, 2);

    twostate_lock_freeze(&lock);
    assert_int_equal(twostate_lock_thaw_to(&lock, A), 0);
    twostate_lock_release(&lock, A);
}

static void test_recursion(void **unused)
{
    (void)unused;
    the_first_hold(A);
    twostate_lock_acquire(&lock, A);
    EXPECT(RECURSION, &lock, "acquire A", "recursion", "the_first_hold+");
    twostate_lock_release_n(&lock, A, 2);

    twostate_lock_freeze(&lock);
    twostate_lock_freeze(&lock);
    EXPECT(RECURSION, &lock, "freeze");
    twostate_lock_thaw(&lock);
    twostate_lock_thaw(&lock);

    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    EXPECT(RECURSION, &iolock, "acquire shared");
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
}

static void acquire_b(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
}

/* pitfall L03: the recursion that would deadlock now, and the join that does not */
static void test_recursion_while_the_other_waits(void **unused)
{
    struct timespec soon;
    struct task task;
    int result = 0;

    (void)unused;
    the_first_hold(A);
    task_start(&task, acquire_b, NULL);
    AWAIT(twostate_lock_query(&lock).waiting_b == 1);
    soon = after_ms(500);
    result = twostate_lock_acquire_timed(&lock, A, &soon); /* in time, or late: either is right */
    EXPECT(RECURSION, &lock, "acquire A", "is held state A");
    assert_int_equal(twostate_lock_join(&lock, A), 0);
    expect_none();
    twostate_lock_release_n(&lock, A, result == 0 ? 3 : 2);
    task_join(&task);
}

/* A wait that another thread can cancel is a wait. Refused, its waiter is queued no more. */
static void test_cancellable_wait(void **unused)
{
    const struct timespec end = after_ms(10000);
    const struct timespec past = {0};
    struct twostate_waiter waiter = {.done = NULL};

    (void)unused;
    the_first_hold(A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
    expect_none(); /* somebody else may give it back */
    assert_int_equal(twostate_waiter_wait(&waiter, &end), -EDEADLK);
    EXPECT(SELF, &lock, "acquire B", "the_first_hold+");
    assert_int_equal(twostate_lock_query(&lock).waiting_b, 0);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
    assert_int_equal(twostate_waiter_wait(&waiter, &past), -ETIMEDOUT); /* a try */
    twostate_lock_release(&lock, A);
}

static void test_second_hold_of_a_pair(void **unused)
{
    const struct timespec end = after_ms(600000);
    struct twostate_hold first;
    struct twostate_hold second;

    (void)unused;
    twostate_iopair_begin(&pair, TWOSTATE_UNALIGNED, &first);
    assert_int_equal(twostate_iopair_begin_timed(&pair, TWOSTATE_DIRECT, &second, &end), -EDEADLK);
    EXPECT(SELF, &pair, "class IOLOCK", "is held exclusive");
    EXPECT(TWOSTATE_RULE_RANK, &pair, "class IOLOCK", "class IOTYPE");
    twostate_iopair_end(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_then_b, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_a_past_deadline_is_a_try, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_shared_and_exclusive, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_demote_is_known, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_drain_while_holding, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_acquire_while_frozen, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_switch_with_two_holds, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_recursion, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_recursion_while_the_other_waits, collect_start,
                                        collect_stop),
        cmocka_unit_test_setup_teardown(test_cancellable_wait, collect_start, collect_stop),
        cmocka_unit_test_setup_teardown(test_second_hold_of_a_pair, collect_start, collect_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
