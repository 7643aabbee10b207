/* SPDX-License-Identifier: MIT */
/*
 * Nobody starves, though the other side's holds overlap for ever: the crowd never lets the lock go
 * free while it may come in. So a waiter gets in only if the lock keeps the crowd out for it.
 */
#include "caller.h"
#include "peek.h"
#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>
#include <twostate/lock.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

struct crowd {
    struct twostate_lock lock;
    enum twostate_state state;
    uint32_t inside;
    uint32_t stop;
    struct task tasks[4];
};

/*
 * The last one inside stays until another has come. It goes only if it could not even come in again
 * itself: so a lock that does not keep the crowd out never goes free.
 */
static void stay(struct crowd *crowd)
{
    while (!load(&crowd->stop) && load(&crowd->inside) < 2) {
        if (!twostate_lock_try_acquire(&crowd->lock, crowd->state))
            return;
        twostate_lock_release(&crowd->lock, crowd->state);
        sched_yield();
    }
}

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;

    while (!load(&crowd->stop)) {
        twostate_lock_acquire(&crowd->lock, crowd->state);
        add(&crowd->inside, 1);
        stay(crowd);
        add(&crowd->inside, UINT32_MAX);
        twostate_lock_release(&crowd->lock, crowd->state);
    }
}

static void crowd_start(struct crowd *crowd, enum twostate_state state)
{
    *crowd = (struct crowd){.state = state};
    for (int n = 0; n < 4; n++)
        task_start(&crowd->tasks[n], come_and_go, crowd);
    AWAIT(load(&crowd->inside) > 0);
}

static void crowd_end(struct crowd *crowd)
{
    store(&crowd->stop, 1);
    for (int n = 0; n < 4; n++)
        task_join(&crowd->tasks[n]);
    assert_true(at_rest(&crowd->lock));
}

/* A test that never got as far as this is ended by the watchdog of the test runner. */
static void against_a_crowd(enum twostate_state theirs)
{
    const enum twostate_state ours = theirs == A ? B : A;
    struct crowd crowd;

    crowd_start(&crowd, theirs);
    for (int round = 0; round < 50; round++) {
        twostate_lock_acquire(&crowd.lock, ours);
        assert_int_equal(load(&crowd.inside), 0); /* G1 */
        twostate_lock_release(&crowd.lock, ours);
    }
    crowd_end(&crowd);
}

static void test_b_waiter_under_a_crowd_of_a(void **state) /* G3, pitfall L01 */
{
    (void)state;
    against_a_crowd(A);
}

static void test_a_waiter_under_a_crowd_of_b(void **state) /* G3, pitfall L01 */
{
    (void)state;
    against_a_crowd(B);
}

static void test_timed_waiter_under_a_crowd(void **state) /* G3, G9, pitfall L05 */
{
    struct crowd crowd;
    int entered = 0;
    long ms = 50;

    (void)state;
    crowd_start(&crowd, A);
    while (entered < 20) {
        const struct timespec deadline = after_ms(ms);

        if (twostate_lock_acquire_timed(&crowd.lock, B, &deadline) == 0) {
            twostate_lock_release(&crowd.lock, B);
            entered++;
        } else {
            ms += ms < 5000 ? 10 : 0; /* it was not let run in time */
        }
    }
    crowd_end(&crowd);
}

static void test_drain_under_a_crowd(void **state) /* G3, G8 */
{
    struct crowd crowd;

    (void)state;
    crowd_start(&crowd, B);
    for (int round = 0; round < 50; round++)
        twostate_lock_drain(&crowd.lock);
    crowd_end(&crowd);
}

static void test_freeze_under_a_crowd(void **state) /* G3, G8, pitfall L17 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct crowd crowd;

        crowd_start(&crowd, s);
        for (int round = 0; round < 30; round++) {
            twostate_lock_freeze(&crowd.lock);
            for (int looks = 0; looks < 3; looks++) {
                assert_int_equal(load(&crowd.inside), 0);
                sched_yield();
            }
            twostate_lock_thaw(&crowd.lock);
        }
        crowd_end(&crowd);
    }
}

static void test_switch_under_a_crowd(void **state) /* G3, G10 */
{
    struct crowd crowd;

    (void)state;
    crowd_start(&crowd, A);
    for (int round = 0; round < 50; round++) {
        twostate_lock_acquire(&crowd.lock, A);
        assert_int_equal(twostate_lock_switch(&crowd.lock, B), 0);
        assert_int_equal(load(&crowd.inside), 0);
        twostate_lock_release(&crowd.lock, B);
    }
    crowd_end(&crowd);
}

/* Crowds of both states on one lock, and a drain: all three make way, in turn. */
struct side {
    struct twostate_lock *lock;
    enum twostate_state state;
    uint32_t rounds;
};

static void take_rounds(void *argument)
{
    const struct side *side = argument;

    for (uint32_t n = 0; n < side->rounds; n++) {
        twostate_lock_acquire(side->lock, side->state);
        for (int turns = 0; turns < 3; turns++)
            sched_yield();
        twostate_lock_release(side->lock, side->state);
    }
}

static void test_three_sides_take_turns(void **state) /* G3 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct side sides[2] = {{&lock, A, 500}, {&lock, B, 500}};
    struct task tasks[6];

    (void)state;
    for (int n = 0; n < 6; n++)
        task_start(&tasks[n], take_rounds, &sides[n % 2]);
    for (int n = 0; n < 100; n++)
        twostate_lock_drain(&lock);
    for (int n = 0; n < 6; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_b_waiter_under_a_crowd_of_a),
        cmocka_unit_test(test_a_waiter_under_a_crowd_of_b),
        cmocka_unit_test(test_timed_waiter_under_a_crowd),
        cmocka_unit_test(test_drain_under_a_crowd),
        cmocka_unit_test(test_freeze_under_a_crowd),
        cmocka_unit_test(test_switch_under_a_crowd),
        cmocka_unit_test(test_three_sides_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
