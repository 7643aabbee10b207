/* SPDX-License-Identifier: MIT */
/*
 * The bound of G3, exactly: with the clock in the test's hand, nobody gets the turn before its
 * patience is over, everybody has it then, and the phases that pass before its own are counted.
 */
#include "caller.h"
#include "peek.h"
#include "spy.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/iolock.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

#define START UINT64_C(1000000000000)

static int stop_clock(void **state)
{
    (void)state;
    spy_clock_set(START);
    return 0;
}

static int start_clock(void **state)
{
    (void)state;
    spy_interrupt(false);
    spy_clock_set(0);
    return 0;
}

/* Every waiter has looked again, twice, by the clock as it is now. */
static void let_them_look(uint32_t waiters)
{
    const uint32_t waits = spy_waits();

    spy_interrupt(true);
    AWAIT(spy_waits() > waits + 4 * waiters);
    spy_interrupt(false);
}

/* The first sleep of a waiter ends when its patience does. */
static void test_patience_is_what_was_asked_for(void **state) /* G3 */
{
    static const struct {
        uint32_t asked_us;
        uint32_t given_us;
    } rows[] = {
        {1, 64},          {63, 64},         {64, 64},         {65, 128},
        {1000, 1024},     {1024, 1024},     {1025, 2048},     {100000, 131072},
        {262144, 262144}, {262145, 524288}, {524287, 524288}, {524288, 524288},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint32_t waits = spy_waits();
        struct twostate_lock lock;
        struct caller waiter;

        spy_clock_set(START);
        assert_int_equal(twostate_lock_init_with(&lock, 0, rows[i].asked_us), 0);
        twostate_lock_acquire(&lock, A);
        caller_start(&waiter, &lock, CALL_ACQUIRE, B);
        AWAIT(spy_waits() > waits);
        assert_int_equal(spy_wait_end_ns(), START + UINT64_C(1000) * rows[i].given_us);
        spy_clock_set(spy_wait_end_ns());
        AWAIT(has_turn(&lock, GROUP_B));
        twostate_lock_release(&lock, A);
        caller_join(&waiter);
    }
}

static void test_patience_of_a_zeroed_lock(void **state) /* G3 */
{
    const uint32_t waits = spy_waits();
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiter;

    (void)state;
    twostate_lock_acquire(&lock, A);
    caller_start(&waiter, &lock, CALL_ACQUIRE, B);
    AWAIT(spy_waits() > waits);
    assert_int_equal(spy_wait_end_ns(), START + UINT64_C(1000) * TWOSTATE_PATIENCE_DEFAULT);
    twostate_lock_release(&lock, A);
    caller_join(&waiter);
}

/* Whatever it is that waits: one nanosecond before, newcomers come in; then no more. */
static void test_turn_comes_with_the_end_of_patience(void **state) /* G3, G13, pitfall L01 */
{
    static const struct {
        enum call call;
        enum twostate_state to;
        enum group turn;
    } rows[] = {
        {CALL_ACQUIRE, B, GROUP_B},    {CALL_ACQUIRE_N, B, GROUP_B}, {CALL_DRAIN, B, GROUP_DRAIN},
        {CALL_FREEZE, B, GROUP_DRAIN}, {CALL_SWITCH, B, GROUP_B},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint32_t waits = spy_waits();
        struct twostate_lock lock;
        struct caller waiter;

        spy_clock_set(START);
        assert_int_equal(twostate_lock_init_with(&lock, 0, 64), 0);
        twostate_lock_acquire(&lock, A);
        twostate_lock_acquire(&lock, A); /* a switch waits for one more than its own */
        if (rows[i].call == CALL_ACQUIRE_N)
            caller_start_n(&waiter, &lock, B, 3);
        else
            caller_start(&waiter, &lock, rows[i].call, rows[i].to);
        AWAIT(spy_waits() > waits);
        spy_clock_set(START + 63999);
        let_them_look(1);
        for (int n = 0; n < 1000; n++) {
            assert_true(twostate_lock_try_acquire(&lock, A));
            twostate_lock_release(&lock, A);
        }
        assert_int_equal(waiting(&lock, rows[i].turn), 1);
        spy_clock_set(START + 64000);
        AWAIT(has_turn(&lock, rows[i].turn));
        assert_false(twostate_lock_try_acquire(&lock, A));
        twostate_lock_release(&lock, A);
        assert_false(twostate_lock_try_acquire(&lock, A));
        if (rows[i].call != CALL_SWITCH) {
            assert_false(caller_done(&waiter));
            twostate_lock_release(&lock, A);
        }
        assert_int_equal(caller_join(&waiter), 0);
    }
}

static void test_turn_of_a_thaw_to(void **state) /* G3 */
{
    const uint32_t waits = spy_waits();
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiter;

    (void)state;
    twostate_lock_freeze(&lock);
    twostate_lock_freeze(&lock);
    caller_start(&waiter, &lock, CALL_THAW_TO, B);
    AWAIT(spy_waits() > waits);
    spy_clock_set(START + 1023999);
    let_them_look(1);
    assert_true(twostate_lock_try_freeze(&lock));
    twostate_lock_thaw(&lock);
    spy_clock_set(START + 1024000);
    AWAIT(has_turn(&lock, GROUP_B));
    assert_false(twostate_lock_try_freeze(&lock));
    twostate_lock_thaw(&lock);
    assert_int_equal(caller_join(&waiter), 0);
}

struct iolock_user {
    struct task task;
    struct twostate_iolock *lock;
    enum twostate_iomode mode;
};

static void take_iolock(void *argument)
{
    const struct iolock_user *user = argument;

    twostate_iolock_acquire(user->lock, user->mode);
}

static void test_turn_of_an_iolock(void **state) /* G3, pitfall L01 */
{
    (void)state;
    for (enum twostate_iomode mode = TWOSTATE_SHARED; mode <= TWOSTATE_EXCLUSIVE; mode++) {
        const enum twostate_iomode held =
            mode == TWOSTATE_SHARED ? TWOSTATE_EXCLUSIVE : TWOSTATE_SHARED;
        const uint32_t waits = spy_waits();
        struct twostate_iolock lock;
        struct iolock_user user = {.lock = &lock, .mode = mode};

        spy_clock_set(START);
        assert_int_equal(twostate_iolock_init_with(&lock, 0, 4096), 0);
        twostate_iolock_acquire(&lock, held);
        task_start(&user.task, take_iolock, &user);
        AWAIT(spy_waits() > waits);
        spy_clock_set(START + 4095999);
        let_them_look(1);
        assert_true((peek(&lock.lock_) & WORD_TURN) == 0);
        spy_clock_set(START + 4096000);
        AWAIT(has_turn(&lock.lock_, (enum group)mode));
        assert_false(twostate_iolock_try_acquire(&lock, held));
        twostate_iolock_release(&lock, held);
        assert_false(twostate_iolock_try_acquire(&lock, held));
        task_join(&user.task);
    }
}

/* With patience 0, there is no word in which one waits and the turn is not its group's. */
static void test_no_patience_no_newcomer(void **state) /* G3, G13, pitfall L01 */
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        const enum twostate_state s = round % 2 ? A : B;
        struct twostate_lock lock;
        struct caller waiter;
        uint64_t w = 0;

        assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
        twostate_lock_acquire(&lock, opposite(s));
        caller_start(&waiter, &lock, CALL_ACQUIRE, s);
        while (word_waiting(w, (enum group)s) == 0)
            w = peek(&lock);
        assert_true((w & WORD_TURN) == word_turn((enum group)s));
        assert_false(twostate_lock_try_acquire(&lock, opposite(s)));
        twostate_lock_release(&lock, opposite(s));
        assert_false(twostate_lock_try_acquire(&lock, opposite(s)));
        caller_join(&waiter);
        twostate_lock_release(&lock, s);
        assert_true(at_rest(&lock));
    }
}

/*
 * The worst moment to come is just after the other state got the turn. Even then a waiter waits for
 * the holds in progress and for one phase of the other, not two: whoever of the other comes during
 * its own wait comes after it. With patience 0 the states alternate strictly.
 */
static void test_one_phase_of_the_other_state(void **state) /* G3, pitfall L02 */
{
    struct twostate_lock lock;
    struct caller callers[2];
    enum twostate_state s = B;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
    twostate_lock_acquire(&lock, s);
    caller_start(&callers[A], &lock, CALL_ACQUIRE, A);
    AWAIT(has_turn(&lock, GROUP_A));
    for (int phase = 0; phase < 50; phase++) {
        const enum twostate_state next = opposite(s);

        /* s is held, next has the turn; one more of s comes, and has to wait for next. */
        caller_start(&callers[s], &lock, CALL_ACQUIRE, s);
        AWAIT(has_reserved(&lock, (enum group)s));
        assert_false(twostate_lock_try_acquire(&lock, s));
        twostate_lock_release(&lock, s);
        caller_join(&callers[next]);
        twostate_lock_assert_held(&lock, next);
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
        assert_false(caller_done(&callers[s]));
        assert_true(has_turn(&lock, (enum group)s));
        s = next;
    }
    twostate_lock_release(&lock, s);
    caller_join(&callers[opposite(s)]);
    twostate_lock_release(&lock, opposite(s));
    assert_true(at_rest(&lock));
}

/* With freezes that always want it too, the three take turns: A, B, freeze, A, B, ... */
static void test_one_freeze(void **state) /* G3, G8 */
{
    struct twostate_lock lock;
    struct caller a;
    struct caller b;
    struct caller freeze;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
    twostate_lock_acquire(&lock, B);
    caller_start(&freeze, &lock, CALL_FREEZE, A);
    AWAIT(has_turn(&lock, GROUP_DRAIN));
    caller_start(&a, &lock, CALL_ACQUIRE, A);
    AWAIT(has_reserved(&lock, GROUP_A));
    for (int round = 0; round < 20; round++) {
        /* B is held; the freeze has the turn, A is after it. */
        caller_start(&b, &lock, CALL_ACQUIRE, B);
        AWAIT(has_reserved(&lock, GROUP_B));
        twostate_lock_release(&lock, B);
        caller_join(&freeze);
        assert_true(has_turn(&lock, GROUP_A));
        caller_start(&freeze, &lock, CALL_FREEZE, A);
        AWAIT(has_reserved(&lock, GROUP_DRAIN));
        twostate_lock_thaw(&lock);
        caller_join(&a);
        assert_true(has_turn(&lock, GROUP_B));
        caller_start(&a, &lock, CALL_ACQUIRE, A);
        AWAIT(has_reserved(&lock, GROUP_A));
        twostate_lock_release(&lock, A);
        caller_join(&b);
        assert_true(has_turn(&lock, GROUP_DRAIN));
        assert_false(caller_done(&a) || caller_done(&freeze));
    }
    twostate_lock_release(&lock, B);
    caller_join(&freeze);
    twostate_lock_thaw(&lock);
    caller_join(&a);
    twostate_lock_release(&lock, A);
    assert_true(at_rest(&lock));
}

/* Holds that overlap for ever: while the clock stands still they go on and on, and then no more. */
struct crowd {
    struct twostate_lock lock;
    uint32_t inside;
    uint32_t entered;
    uint32_t stop;
};

/* Counts itself out; but the last one inside does not, unless it could not come in again. */
static bool may_leave(struct crowd *crowd)
{
    uint32_t inside = load(&crowd->inside);

    if (inside < 2 && !load(&crowd->stop)) {
        if (twostate_lock_try_acquire(&crowd->lock, A)) {
            twostate_lock_release(&crowd->lock, A);
            return false;
        }
    }
    return __atomic_compare_exchange_n(&crowd->inside, &inside, inside - 1, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;

    while (!load(&crowd->stop)) {
        twostate_lock_acquire(&crowd->lock, A);
        add(&crowd->inside, 1);
        add(&crowd->entered, 1);
        while (!may_leave(crowd))
            sched_yield();
        twostate_lock_release(&crowd->lock, A);
    }
}

static void test_a_crowd_has_the_patience_and_no_more(void **state) /* G3, pitfall L01 */
{
    struct crowd crowd = {.stop = 0};
    struct caller waiter;
    struct task tasks[3];

    (void)state;
    for (int n = 0; n < 3; n++)
        task_start(&tasks[n], come_and_go, &crowd);
    for (uint64_t round = 1; round <= 20; round++) {
        uint32_t entered = 0;

        AWAIT(load(&crowd.inside) > 0);
        caller_start(&waiter, &crowd.lock, CALL_ACQUIRE, B);
        AWAIT(twostate_lock_query(&crowd.lock).waiting_b == 1);
        entered = load(&crowd.entered);
        AWAIT(load(&crowd.entered) > entered + 200);
        let_them_look(1); /* it has looked at this clock; of the others each may look once */
        assert_false(caller_done(&waiter));
        spy_clock_set(START + round * 1024000);
        AWAIT(has_turn(&crowd.lock, GROUP_B) || caller_done(&waiter));
        entered = load(&crowd.entered);
        caller_join(&waiter);
        /* Each of the three may have been in already, and not have counted itself. */
        assert_true(load(&crowd.entered) <= entered + 3);
        assert_int_equal(load(&crowd.inside), 0);
        twostate_lock_release(&crowd.lock, B);
    }
    store(&crowd.stop, 1);
    for (int n = 0; n < 3; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&crowd.lock));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stop_clock, start_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_patience_is_what_was_asked_for),
        TEST(test_patience_of_a_zeroed_lock),
        TEST(test_turn_comes_with_the_end_of_patience),
        TEST(test_turn_of_a_thaw_to),
        TEST(test_turn_of_an_iolock),
        TEST(test_no_patience_no_newcomer),
        TEST(test_one_phase_of_the_other_state),
        TEST(test_one_freeze),
        TEST(test_a_crowd_has_the_patience_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
