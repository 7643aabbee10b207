/* SPDX-License-Identifier: MIT */
/* A waiter without a thread is treated as one with: patience, turns, phases, and beside threads. */
#include "caller.h"
#include "peek.h"
#include "spy.h"
#include "wanter.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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
    spy_clock_set(0);
    return 0;
}

static int queue_kind(struct twostate_lock *lock, int kind, struct twostate_waiter *waiter)
{
    switch (kind) {
    case 0:
        return twostate_lock_acquire_async(lock, B, waiter);
    case 1:
        return twostate_lock_acquire_n_async(lock, B, 3, waiter);
    case 2:
        return twostate_lock_drain_async(lock, waiter);
    case 3:
        return twostate_lock_freeze_async(lock, waiter);
    default:
        return twostate_lock_switch_async(lock, B, waiter);
    }
}

static enum group group_of(int kind)
{
    return kind == 2 || kind == 3 ? GROUP_DRAIN : GROUP_B;
}

#define KINDS 5

/*
 * It has no thread to look at the clock: the newcomers do it. One nanosecond before its patience is
 * over they come in, and then no more.
 */
static void test_newcomers_claim_for_it(void **state) /* G3, G13, pitfall L01 */
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct twostate_lock lock;
        struct wanter wanter;

        spy_clock_set(START);
        assert_int_equal(twostate_lock_init_with(&lock, 0, 256), 0);
        wanter_init(&wanter);
        twostate_lock_acquire(&lock, A);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(queue_kind(&lock, kind, &wanter.waiter), -EINPROGRESS);
        spy_clock_set(START + 255999);
        for (int n = 0; n < 100; n++) {
            assert_true(twostate_lock_try_acquire(&lock, A));
            twostate_lock_release(&lock, A);
            twostate_lock_acquire(&lock, A);
            twostate_lock_release(&lock, A);
        }
        spy_clock_set(START + 256000);
        assert_false(twostate_lock_try_acquire(&lock, A));
        assert_true(has_turn(&lock, group_of(kind)));
        twostate_lock_release(&lock, A);
        if (kind < 4)
            twostate_lock_release(&lock, A);
        assert_true(told_here(&wanter, 0));
    }
}

/* Each has its own patience: the first one's claim does not make the newcomers forget the second. */
static void test_each_has_its_own_patience(void **state) /* G3 */
{
    struct twostate_lock lock;
    struct wanter first;
    struct wanter second;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 64), 0);
    wanter_init(&first);
    wanter_init(&second);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &first.waiter), -EINPROGRESS);
    spy_clock_set(START + 1000);
    assert_int_equal(twostate_lock_freeze_async(&lock, &second.waiter), -EINPROGRESS);
    spy_clock_set(START + 64999);
    assert_false(twostate_lock_try_acquire(&lock, A));
    assert_true(has_turn(&lock, GROUP_B));
    assert_false(has_reserved(&lock, GROUP_DRAIN));
    spy_clock_set(START + 65000);
    assert_false(twostate_lock_try_acquire(&lock, A));
    assert_true(has_turn(&lock, GROUP_B));
    assert_true(has_reserved(&lock, GROUP_DRAIN));
    twostate_lock_release(&lock, A);
    assert_true(told_here(&first, 0));
    twostate_lock_release(&lock, B);
    assert_true(told_here(&second, 0));
    twostate_lock_thaw(&lock);
    assert_true(at_rest(&lock));
}

/*
 * The word counts 15 drains and freezes. One more claims nothing while they wait; once they have gone
 * it is counted, and claims, whoever comes by.
 */
static void test_one_too_many_to_count(void **state) /* G3 */
{
    (void)state;
    for (uint32_t patience = 0; patience <= 256; patience += 256) {
        struct twostate_lock lock;
        struct wanter counted[15];
        struct wanter more;

        spy_clock_set(START);
        assert_int_equal(twostate_lock_init_with(&lock, 0, patience), 0);
        twostate_lock_acquire(&lock, A);
        for (int n = 0; n < 15; n++) {
            wanter_init(&counted[n]);
            assert_int_equal(twostate_lock_freeze_async(&lock, &counted[n].waiter), -EINPROGRESS);
        }
        wanter_init(&more);
        assert_int_equal(twostate_lock_freeze_async(&lock, &more.waiter), -EINPROGRESS);
        spy_clock_set(START + 300000);
        assert_false(twostate_lock_try_acquire(&lock, A)); /* the turn is that of the counted */
        for (int n = 0; n < 15; n++)
            assert_true(twostate_waiter_cancel(&counted[n].waiter));
        spy_clock_set(START + 2000000);
        assert_false(twostate_lock_try_acquire(&lock, A));
        assert_true(has_turn(&lock, GROUP_DRAIN));
        twostate_lock_release(&lock, A);
        assert_true(told_here(&more, 0));
        twostate_lock_thaw(&lock);
        assert_true(at_rest(&lock));
    }
}

/* A waiter that read the clock before the one it is queued behind does not rely on that one's claim. */
static void test_behind_a_more_patient_one(void **state) /* G3 */
{
    struct twostate_lock lock;
    struct wanter freeze;
    struct wanter first;
    struct wanter second;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 256), 0);
    wanter_init(&freeze);
    wanter_init(&first);
    wanter_init(&second);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_freeze_async(&lock, &freeze.waiter), -EINPROGRESS);
    spy_clock_set(START + 200000);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &first.waiter), -EINPROGRESS);
    spy_clock_set(START + 1000);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &second.waiter), -EINPROGRESS);
    spy_clock_set(START + 300000);
    twostate_lock_release(&lock, A);
    assert_true(told_here(&freeze, 0));
    assert_true(twostate_waiter_cancel(&first.waiter));
    assert_false(twostate_lock_try_freeze(&lock));
    assert_true(has_turn(&lock, GROUP_B));
    twostate_lock_thaw(&lock);
    assert_true(told_here(&second, 0));
    twostate_lock_release(&lock, B);
    assert_true(at_rest(&lock));
}

/* Every form of newcomer does: blocking, timed, several holds, a drain, async. */
static void test_every_newcomer_claims(void **state) /* G3 */
{
    static const struct timespec past;

    (void)state;
    for (int form = 0; form < 6; form++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct wanter wanter;
        struct wanter newcomer;
        struct caller caller;

        spy_clock_set(START);
        wanter_init(&wanter);
        wanter_init(&newcomer);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(twostate_lock_acquire_async(&lock, B, &wanter.waiter), -EINPROGRESS);
        spy_clock_set(START + UINT64_C(1000) * TWOSTATE_PATIENCE_DEFAULT);
        assert_true((peek(&lock) & WORD_TURN) == 0); /* nobody came by */
        if (form == 0)
            caller_start(&caller, &lock, CALL_ACQUIRE, A);
        else if (form == 1)
            assert_int_equal(twostate_lock_acquire_timed(&lock, A, &past), -ETIMEDOUT);
        else if (form == 2)
            assert_false(twostate_lock_try_acquire_n(&lock, A, 2));
        else if (form == 3)
            assert_int_equal(twostate_lock_acquire_async(&lock, A, &newcomer.waiter), -EINPROGRESS);
        else if (form == 4)
            assert_false(twostate_lock_try_freeze(&lock));
        else
            assert_int_equal(twostate_lock_drain_timed(&lock, &past), -ETIMEDOUT);
        AWAIT(has_turn(&lock, GROUP_B));
        if (form == 0)
            AWAIT(waiting(&lock, GROUP_A) == 1);
        twostate_lock_release(&lock, A);
        assert_true(told_here(&wanter, 0));
        twostate_lock_release(&lock, B);
        if (form == 0)
            caller_join(&caller);
        assert_int_equal(called(&newcomer), form == 3);
        assert_int_equal(twostate_lock_query(&lock).holders, form == 0 || form == 3);
    }
}

/* With patience 0 it has the turn from the moment when it is queued. */
static void test_no_patience(void **state) /* G3, pitfall L01 */
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct twostate_lock lock;
        struct wanter wanter;

        assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
        wanter_init(&wanter);
        twostate_lock_acquire(&lock, A);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(queue_kind(&lock, kind, &wanter.waiter), -EINPROGRESS);
        assert_true(has_turn(&lock, group_of(kind)));
        assert_false(twostate_lock_try_acquire(&lock, A));
        twostate_lock_release_n(&lock, A, kind < 4 ? 2 : 1);
        assert_true(told_here(&wanter, 0));
    }
}

/* Phases, in one thread: whoever comes during a wait comes in after it. G3, pitfall L02. */
static void test_one_phase_of_each_other_group(void **state)
{
    struct twostate_lock lock;
    struct wanter a[2];
    struct wanter b[2];
    struct wanter freeze[2];

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, 0, 0), 0);
    for (int n = 0; n < 2; n++) {
        wanter_init(&a[n]);
        wanter_init(&b[n]);
        wanter_init(&freeze[n]);
    }
    twostate_lock_acquire(&lock, B);
    assert_int_equal(twostate_lock_freeze_async(&lock, &freeze[0].waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_acquire_async(&lock, A, &a[0].waiter), -EINPROGRESS);
    for (uint32_t round = 0; round < 100; round++) {
        const int n = (int)(round % 2);

        assert_int_equal(twostate_lock_acquire_async(&lock, B, &b[n].waiter), -EINPROGRESS);
        twostate_lock_release(&lock, B);
        assert_int_equal(called(&freeze[n]), round / 2 + 1);
        assert_int_equal(twostate_lock_query(&lock).frozen, 1);
        assert_int_equal(twostate_lock_freeze_async(&lock, &freeze[1 - n].waiter), -EINPROGRESS);
        twostate_lock_thaw(&lock);
        assert_int_equal(called(&a[n]), round / 2 + 1);
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
        assert_int_equal(twostate_lock_acquire_async(&lock, A, &a[1 - n].waiter), -EINPROGRESS);
        twostate_lock_release(&lock, A);
        assert_int_equal(called(&b[n]), round / 2 + 1);
        assert_int_equal(twostate_lock_query(&lock).holders, 1);
    }
    assert_true(twostate_waiter_cancel(&a[0].waiter));
    assert_true(twostate_waiter_cancel(&freeze[0].waiter));
    assert_true(holds_only(&lock, GROUP_B, 1));
}

/*
 * Unlocked, but it is the turn of B (played): a freeze must wait on; a drain must not, though it
 * came after the freeze.
 */
static void test_drain_passes_a_freeze(void **state) /* G8 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter freeze;
    struct wanter drain;

    (void)state;
    wanter_init(&freeze);
    wanter_init(&drain);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_freeze_async(&lock, &freeze.waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_drain_async(&lock, &drain.waiter), -EINPROGRESS);
    __atomic_or_fetch(&lock.word_, word_turn(GROUP_B), __ATOMIC_ACQ_REL);
    twostate_lock_release(&lock, A);
    assert_true(told_here(&drain, 0));
    assert_int_equal(called(&freeze), 0);
    assert_true(twostate_waiter_cancel(&freeze.waiter));
    __atomic_and_fetch(&lock.word_, ~word_turn(GROUP_B), __ATOMIC_ACQ_REL);
    assert_true(at_rest(&lock));
}

/* Threads and waiters wait side by side, for a state and to drain: none is forgotten. G3, L06, L14. */
static void test_beside_threads(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        const enum twostate_state s = round % 2 ? A : B;
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller threads[2];
        struct caller drain;
        struct wanter wanters[2];
        struct wanter drained;

        wanter_init(&drained);
        twostate_lock_acquire(&lock, opposite(s));
        for (int n = 0; n < 2; n++) {
            wanter_init(&wanters[n]);
            assert_int_equal(twostate_lock_acquire_async(&lock, s, &wanters[n].waiter),
                             -EINPROGRESS);
            caller_start(&threads[n], &lock, CALL_ACQUIRE, s);
        }
        caller_start(&drain, &lock, CALL_DRAIN, s);
        assert_int_equal(twostate_lock_drain_async(&lock, &drained.waiter), -EINPROGRESS);
        AWAIT(waiting(&lock, (enum group)s) == 4 && waiting(&lock, GROUP_DRAIN) == 2);
        if (round % 3 == 0)
            AWAIT((peek(&lock) & WORD_TURN) != 0);
        twostate_lock_release(&lock, opposite(s));
        for (int n = 0; n < 4; n++) { /* the drain may come between any two of them */
            AWAIT(twostate_lock_query(&lock).holders > 0);
            twostate_lock_release(&lock, s);
        }
        for (int n = 0; n < 2; n++) {
            caller_join(&threads[n]);
            AWAIT(called(&wanters[n]) ==
                  1); /* maybe by the one that drains, which is not back yet */
        }
        caller_join(&drain);
        AWAIT(called(&drained) == 1);
        AWAIT(at_rest(&lock));
    }
}

/* The same when all that wait are threads but one, and that one goes: nobody sleeps on. */
static void test_last_waiter_goes(void **state) /* pitfalls L06, L08 */
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct caller threads[2];
        struct wanter wanter;

        wanter_init(&wanter);
        twostate_lock_acquire(&lock, A);
        assert_int_equal(twostate_lock_acquire_async(&lock, B, &wanter.waiter), -EINPROGRESS);
        caller_start(&threads[0], &lock, CALL_ACQUIRE, B);
        caller_start(&threads[1], &lock, CALL_FREEZE, B);
        AWAIT(waiting(&lock, GROUP_B) == 2 && waiting(&lock, GROUP_DRAIN) == 1);
        if (round % 2)
            AWAIT((peek(&lock) & WORD_TURN) != 0);
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true((peek(&lock) & WORD_ASYNC) == 0);
        twostate_lock_release(&lock, A);
        AWAIT(caller_done(&threads[0]) || caller_done(&threads[1]));
        if (twostate_lock_query(&lock).frozen) {
            twostate_lock_thaw(&lock);
            caller_join(&threads[0]);
            twostate_lock_release(&lock, B);
            caller_join(&threads[1]);
        } else {
            caller_join(&threads[0]);
            twostate_lock_release(&lock, B);
            caller_join(&threads[1]);
            twostate_lock_thaw(&lock);
        }
        assert_true(at_rest(&lock));
    }
}

/* By the machine's clock: under holds that overlap for ever, granted again and again. */
struct crowd {
    struct twostate_lock lock;
    enum twostate_state state;
    uint32_t inside;
    uint32_t stop;
};

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;

    while (!load(&crowd->stop)) {
        twostate_lock_acquire(&crowd->lock, crowd->state);
        add(&crowd->inside, 1);
        while (!load(&crowd->stop) && load(&crowd->inside) < 2) {
            if (!twostate_lock_try_acquire(&crowd->lock, crowd->state))
                break;
            twostate_lock_release(&crowd->lock, crowd->state);
            sched_yield();
        }
        add(&crowd->inside, UINT32_MAX);
        twostate_lock_release(&crowd->lock, crowd->state);
    }
}

static void test_under_a_crowd(void **state) /* G1, G3, pitfall L01 */
{
    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        struct crowd crowd = {.state = s};
        struct wanter wanter;
        struct task tasks[4];

        for (int n = 0; n < 4; n++)
            task_start(&tasks[n], come_and_go, &crowd);
        AWAIT(load(&crowd.inside) > 0);
        for (int round = 0; round < 60; round++) {
            int result = 0;

            wanter_init(&wanter);
            if (round % 3 == 2)
                result = twostate_lock_freeze_async(&crowd.lock, &wanter.waiter);
            else
                result = twostate_lock_acquire_async(&crowd.lock, opposite(s), &wanter.waiter);
            AWAIT(result == 0 || called(&wanter) == 1);
            assert_int_equal(load(&crowd.inside), 0);
            if (round % 3 == 2)
                twostate_lock_thaw(&crowd.lock);
            else
                twostate_lock_release(&crowd.lock, opposite(s));
        }
        store(&crowd.stop, 1);
        for (int n = 0; n < 4; n++)
            task_join(&tasks[n]);
        assert_true(at_rest(&crowd.lock));
    }
}

#define BY_OUR_CLOCK(name) cmocka_unit_test_setup_teardown(name, stop_clock, start_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BY_OUR_CLOCK(test_newcomers_claim_for_it),
        BY_OUR_CLOCK(test_each_has_its_own_patience),
        BY_OUR_CLOCK(test_one_too_many_to_count),
        BY_OUR_CLOCK(test_behind_a_more_patient_one),
        BY_OUR_CLOCK(test_drain_passes_a_freeze),
        BY_OUR_CLOCK(test_every_newcomer_claims),
        cmocka_unit_test(test_no_patience),
        cmocka_unit_test(test_one_phase_of_each_other_group),
        cmocka_unit_test(test_beside_threads),
        cmocka_unit_test(test_last_waiter_goes),
        cmocka_unit_test(test_under_a_crowd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
