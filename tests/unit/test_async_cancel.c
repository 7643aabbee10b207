/* SPDX-License-Identifier: MIT */
/* Giving up a queued waiter: no trace if it was in time, and an honest answer if it was not. */
#include "caller.h"
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/* Queues a waiter of each kind behind two holders of A, or two freezes. */
static int queue_kind(struct twostate_lock *lock, int kind, struct twostate_waiter *waiter)
{
    switch (kind) {
    case 0:
        return twostate_lock_acquire_async(lock, B, waiter);
    case 1:
        return twostate_lock_acquire_n_async(lock, B, 7, waiter);
    case 2:
        return twostate_lock_drain_async(lock, waiter);
    case 3:
        return twostate_lock_freeze_async(lock, waiter);
    case 4:
        return twostate_lock_switch_async(lock, B, waiter);
    case 5:
        return twostate_lock_acquire_async(lock, A, waiter);
    default:
        return twostate_lock_thaw_to_async(lock, A, waiter);
    }
}

#define KINDS  7
#define FROZEN 5 /* from this kind on */

static const uint32_t patience[] = {TWOSTATE_PATIENCE_DEFAULT, 0};

static void obstruct(struct twostate_lock *lock, int kind, uint32_t patience_us)
{
    assert_int_equal(twostate_lock_init_with(lock, 0, patience_us), 0);
    for (int n = 0; n < 2; n++) {
        if (kind >= FROZEN)
            twostate_lock_freeze(lock);
        else
            twostate_lock_acquire(lock, A);
    }
}

static void make_way(struct twostate_lock *lock, int kind)
{
    for (int n = 0; n < 2; n++) {
        if (kind >= FROZEN)
            twostate_lock_thaw(lock);
        else
            twostate_lock_release(lock, A);
    }
}

static void test_cancelled_leaves_no_trace(void **state) /* G9, pitfalls L05, L08, L09 */
{
    (void)state;
    for (int i = 0; i < 2 * KINDS; i++) {
        const int kind = i / 2;
        struct twostate_lock lock;
        struct wanter wanter;
        uint64_t before = 0;

        wanter_init(&wanter);
        obstruct(&lock, kind, patience[i % 2]);
        before = peek(&lock);
        for (int round = 0; round < 3; round++) { /* a cancelled waiter may be used again */
            assert_int_equal(queue_kind(&lock, kind, &wanter.waiter), -EINPROGRESS);
            assert_true(twostate_waiter_cancel(&wanter.waiter));
            assert_true(peek(&lock) == before);
        }
        assert_true(twostate_waiter_cancel(&wanter.waiter)); /* still so */
        make_way(&lock, kind);
        assert_true(at_rest(&lock));
        assert_int_equal(called(&wanter), 0);
    }
}

/* One of two: the other keeps what the group has. Pitfall L06. */
static void test_cancel_takes_no_grant_along(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * FROZEN - 4; i++) {
        const int kind = i / 4;
        struct twostate_lock lock;
        struct wanter wanters[2];
        struct wanter *stays = &wanters[i / 2 % 2];

        obstruct(&lock, kind, patience[i % 2]);
        for (int n = 0; n < 2; n++) {
            wanter_init(&wanters[n]);
            assert_int_equal(queue_kind(&lock, kind, &wanters[n].waiter), -EINPROGRESS);
        }
        assert_true(twostate_waiter_cancel(&wanters[1 - i / 2 % 2].waiter));
        make_way(&lock, kind);
        assert_true(told_here(stays, 0));
        assert_int_equal(called(&wanters[1 - i / 2 % 2]), 0);
    }
}

/* It was granted: the answer says so, and what was granted is the caller's to give back. L09. */
static void test_cancel_after_the_grant(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct twostate_lock lock;
        struct wanter wanter;
        uint64_t after = 0;

        wanter_init(&wanter);
        obstruct(&lock, kind, TWOSTATE_PATIENCE_DEFAULT);
        assert_int_equal(queue_kind(&lock, kind, &wanter.waiter), -EINPROGRESS);
        if (kind == 4)
            twostate_lock_release(&lock, A);
        else if (kind == 6)
            twostate_lock_thaw(&lock);
        else
            make_way(&lock, kind);
        assert_true(told_here(&wanter, 0));
        after = peek(&lock);
        for (int n = 0; n < 2; n++)
            assert_false(twostate_waiter_cancel(&wanter.waiter));
        assert_true(peek(&lock) == after);
        assert_int_equal(called(&wanter), 1);
    }
}

/* Who had to wait because of it goes on, thread or not, without a release. Pitfalls L07, L14. */
static void test_cancel_parks_nobody(void **state)
{
    struct twostate_lock lock;
    struct wanter opposite_waiter;
    struct wanter behind[3];
    struct caller thread;

    (void)state;
    obstruct(&lock, 0, 0);
    wanter_init(&opposite_waiter);
    assert_int_equal(queue_kind(&lock, 0, &opposite_waiter.waiter), -EINPROGRESS);
    assert_true(has_turn(&lock, GROUP_B));
    for (int n = 0; n < 3; n++) {
        wanter_init(&behind[n]);
        assert_int_equal(twostate_lock_acquire_async(&lock, A, &behind[n].waiter), -EINPROGRESS);
    }
    caller_start(&thread, &lock, CALL_ACQUIRE, A);
    AWAIT(waiting(&lock, GROUP_A) == 4);
    assert_true(twostate_waiter_cancel(&opposite_waiter.waiter));
    for (int n = 0; n < 3; n++)
        assert_true(told_here(&behind[n], 0));
    caller_join(&thread);
    assert_true(holds_only(&lock, GROUP_A, 6));
}

/* From a callback: its own waiter, one granted with it, one that still waits. */
struct trio {
    struct twostate_lock lock;
    struct wanter own;
    struct wanter granted;
    struct wanter waiting;
    uint32_t own_cancelled;
    uint32_t granted_cancelled;
    uint32_t waiting_cancelled;
};

static void cancel_all(struct wanter *wanter)
{
    struct trio *trio = wanter->argument;

    trio->own_cancelled = twostate_waiter_cancel(&trio->own.waiter);
    trio->granted_cancelled = twostate_waiter_cancel(&trio->granted.waiter);
    trio->waiting_cancelled = twostate_waiter_cancel(&trio->waiting.waiter);
}

static void test_cancel_from_a_callback(void **state)
{
    struct trio trio = {.own_cancelled = 7};

    (void)state;
    wanter_init(&trio.own);
    wanter_init(&trio.granted);
    wanter_init(&trio.waiting);
    trio.own.then = cancel_all;
    trio.own.argument = &trio;
    twostate_lock_acquire(&trio.lock, A);
    assert_int_equal(queue_kind(&trio.lock, 0, &trio.own.waiter), -EINPROGRESS);
    assert_int_equal(queue_kind(&trio.lock, 0, &trio.granted.waiter), -EINPROGRESS);
    assert_int_equal(queue_kind(&trio.lock, 3, &trio.waiting.waiter), -EINPROGRESS);
    twostate_lock_release(&trio.lock, A);
    assert_int_equal(trio.own_cancelled, false);
    assert_int_equal(trio.granted_cancelled, false);
    assert_int_equal(trio.waiting_cancelled, true);
    assert_true(told_here(&trio.own, 0));
    assert_true(told_here(&trio.granted, 0));
    assert_int_equal(called(&trio.waiting), 0);
    assert_true(holds_only(&trio.lock, GROUP_B, 2));
}

/* A cancel and a release at once: one of them has it, never both, never neither. Pitfall L09. */
struct race {
    struct twostate_lock lock;
    uint32_t round;
    uint32_t released;
    uint32_t stop;
};

static void release_each_round(void *argument)
{
    struct race *race = argument;

    for (uint32_t round = 1;; round++) {
        while (load(&race->round) < round) {
            if (load(&race->stop))
                return;
            if (round % 4 == 0)
                sched_yield(); /* and else as fast as can be */
        }
        twostate_lock_release(&race->lock, A);
        store(&race->released, round);
    }
}

static void test_cancel_races_with_the_grant(void **state) /* G9 */
{
    const struct timespec enough = after_ms(3000);
    struct race race = {.round = 0};
    uint32_t cancelled = 0;
    uint32_t round = 0;
    struct task task;

    (void)state;
    task_start(&task, release_each_round, &race);
    /* Each round needs the other thread, which may be long in coming where there are many. */
    for (round = 1; round <= 5000 && (round <= 50 || !is_past(&enough)); round++) {
        struct wanter wanter;
        bool gone = false;

        wanter_init(&wanter);
        twostate_lock_acquire(&race.lock, A);
        assert_int_equal(twostate_lock_acquire_async(&race.lock, B, &wanter.waiter), -EINPROGRESS);
        store(&race.round, round);
        for (uint32_t n = 0; n < round % 64; n++)
            sys_pause_(1);
        gone = twostate_waiter_cancel(&wanter.waiter);
        cancelled += gone;
        while (load(&race.released) < round)
            sched_yield();
        assert_int_equal(called(&wanter), !gone); /* its release has returned */
        if (!gone)
            twostate_lock_release(&race.lock, B);
        assert_true(at_rest(&race.lock));
    }
    store(&race.stop, 1);
    task_join(&task);
    print_message("%u of %u cancelled\n", cancelled, round - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancelled_leaves_no_trace),
        cmocka_unit_test(test_cancel_takes_no_grant_along),
        cmocka_unit_test(test_cancel_after_the_grant),
        cmocka_unit_test(test_cancel_parks_nobody),
        cmocka_unit_test(test_cancel_from_a_callback),
        cmocka_unit_test(test_cancel_races_with_the_grant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
