/* SPDX-License-Identifier: MIT */
/* What a callback may rely on and may do: nothing locked, nothing nested, everything allowed. */
#include "children.h"
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static enum twostate_state opposite(enum twostate_state s)
{
    return s == A ? B : A;
}

/* Every function of the library, on the same lock, while its holder's release has not returned. */
static void use_the_lock(struct wanter *wanter)
{
    struct twostate_lock *lock = wanter->argument;
    struct twostate_waiter waiter = wanter->waiter;

    CHECK(holds_only(lock, GROUP_B, 1));
    CHECK(twostate_lock_try_acquire(lock, B));
    CHECK(twostate_lock_join(lock, B) == 0);
    twostate_lock_release_n(lock, B, 2);
    CHECK(!twostate_lock_try_acquire(lock, A));
    CHECK(twostate_lock_acquire_async(lock, A, &waiter) == -EINPROGRESS);
    CHECK(twostate_waiter_cancel(&waiter));
    CHECK(twostate_lock_switch(lock, A) == 0);
    twostate_lock_release(lock, A);
    twostate_lock_freeze(lock);
    CHECK(twostate_lock_thaw_to(lock, A) == 0);
}

static void test_may_use_the_lock(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    wanter.then = use_the_lock;
    wanter.argument = &lock;
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &wanter.waiter), -EINPROGRESS);
    twostate_lock_release(&lock, A);
    assert_true(told_here(&wanter, 0));
    assert_true(holds_only(&lock, GROUP_A, 1));
}

/* Its waiter and the lock: AddressSanitizer says so if either is touched afterwards. */
static void release_and_free(struct wanter *wanter)
{
    struct twostate_lock *lock = wanter->argument;

    twostate_lock_release(lock, B);
    free(lock);
    free(wanter);
}

static void test_may_free_waiter_and_lock(void **state) /* G7, pitfall L16 */
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct twostate_lock *lock = calloc(1, sizeof(*lock));
        struct wanter *wanter = malloc(sizeof(*wanter));

        assert_non_null(lock);
        assert_non_null(wanter);
        wanter_init(wanter);
        wanter->then = release_and_free;
        wanter->argument = lock;
        if (round % 2)
            twostate_lock_freeze(lock);
        else
            twostate_lock_acquire(lock, A);
        assert_int_equal(twostate_lock_acquire_async(lock, B, &wanter->waiter), -EINPROGRESS);
        if (round % 2)
            twostate_lock_thaw(lock);
        else
            twostate_lock_release(lock, A);
    }
}

/* The only drainer may free the lock as soon as it is told. */
static void free_lock(struct wanter *wanter)
{
    free(wanter->argument);
}

static void test_drained_lock_may_be_freed(void **state) /* G7, G8, pitfall L16 */
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct twostate_lock *lock = calloc(1, sizeof(*lock));
        struct wanter wanter;

        assert_non_null(lock);
        wanter_init(&wanter);
        wanter.then = free_lock;
        wanter.argument = lock;
        twostate_lock_acquire(lock, B);
        assert_int_equal(twostate_lock_drain_async(lock, &wanter.waiter), -EINPROGRESS);
        twostate_lock_release(lock, B);
        assert_true(told_here(&wanter, 0));
    }
}

/*
 * Two waiters that follow each other: each callback queues the other and releases, which grants the
 * other. 100,000 callbacks on a stack of 256 KiB: none runs inside another.
 */
struct chain {
    struct twostate_lock lock;
    struct wanter wanters[2];
    uint32_t left;
    uint32_t depth;
};

static void pass_on(struct wanter *wanter)
{
    struct chain *chain = wanter->argument;
    const enum twostate_state s = wanter == &chain->wanters[0] ? A : B;
    struct wanter *next = &chain->wanters[opposite(s)];

    CHECK(++chain->depth == 1);
    twostate_lock_assert_held(&chain->lock, s);
    if (--chain->left > 0)
        CHECK(twostate_lock_acquire_async(&chain->lock, opposite(s), &next->waiter) ==
              -EINPROGRESS);
    twostate_lock_release(&chain->lock, s);
    chain->depth--;
}

static void run_chain(void *argument)
{
    struct chain *chain = argument;

    twostate_lock_acquire(&chain->lock, B);
    CHECK(twostate_lock_acquire_async(&chain->lock, A, &chain->wanters[0].waiter) == -EINPROGRESS);
    twostate_lock_release(&chain->lock, B);
    CHECK(chain->left == 0); /* the outermost release ran them all */
}

static void test_never_nested(void **state) /* pitfall L15 */
{
    struct chain chain = {.left = 100000};
    struct task task;

    (void)state;
    for (int n = 0; n < 2; n++) {
        wanter_init(&chain.wanters[n]);
        chain.wanters[n].then = pass_on;
        chain.wanters[n].argument = &chain;
    }
    task_start(&task, run_chain, &chain);
    task_join(&task);
    assert_int_equal(called(&chain.wanters[0]) + called(&chain.wanters[1]), 100000);
    assert_true(at_rest(&chain.lock));
}

/* While a callback runs, another thread can do with this lock and any other what it likes. */
static struct twostate_lock many[200];

static void use_many(void *argument)
{
    struct twostate_lock *lock = argument;
    struct wanter wanter;

    wanter_init(&wanter);
    CHECK(twostate_lock_acquire_async(lock, A, &wanter.waiter) == -EINPROGRESS);
    CHECK(twostate_waiter_cancel(&wanter.waiter));
    for (int n = 0; n < 200; n++) { /* whatever they hash to */
        wanter_init(&wanter);
        twostate_lock_acquire(&many[n], A);
        CHECK(twostate_lock_acquire_async(&many[n], B, &wanter.waiter) == -EINPROGRESS);
        twostate_lock_release(&many[n], A);
        CHECK(told_here(&wanter, 0));
        twostate_lock_release(&many[n], B);
    }
}

static void let_another_thread_work(struct wanter *wanter)
{
    struct task task;

    task_start(&task, use_many, wanter->argument);
    task_join(&task);
}

static void test_nothing_is_locked(void **state) /* pitfall L15 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    wanter.then = let_another_thread_work;
    wanter.argument = &lock;
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &wanter.waiter), -EINPROGRESS);
    twostate_lock_release(&lock, A);
    assert_true(told_here(&wanter, 0));
    assert_true(holds_only(&lock, GROUP_B, 1));
}

/* Waiters and threads of both states on one lock: exclusion, one call each, and an end. */
#define WANTERS 6
#define ROUNDS  3000

struct crowd {
    struct twostate_lock lock;
    uint32_t inside[2];
    uint32_t granted;
};

struct member {
    struct crowd *crowd;
    struct wanter wanters[WANTERS];
    enum twostate_state states[WANTERS];
    uint32_t queued[WANTERS];
};

static void enter_and_leave(struct crowd *crowd, enum twostate_state s)
{
    add(&crowd->inside[s], 1);
    CHECK(load(&crowd->inside[opposite(s)]) == 0);
    add(&crowd->granted, 1);
    CHECK(load(&crowd->inside[opposite(s)]) == 0);
    add(&crowd->inside[s], UINT32_MAX);
    twostate_lock_release(&crowd->lock, s);
}

static void leave_at_once(struct wanter *wanter)
{
    struct member *member = wanter->argument;
    const ptrdiff_t n = wanter - member->wanters;
    struct crowd *crowd = member->crowd;
    const enum twostate_state s = member->states[n];

    CHECK(wanter->result == 0);
    store(&member->queued[n], 0); /* it may be queued again */
    enter_and_leave(crowd, s);
}

static void queue_and_wait(void *argument)
{
    struct member *member = argument;
    struct crowd *crowd = member->crowd;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t n = round % WANTERS;
        const enum twostate_state s = (round * 2654435761U) >> 31 ? A : B;

        if (round % 8 == 7) {
            twostate_lock_acquire(&crowd->lock, s);
            sched_yield();
            enter_and_leave(crowd, s);
        }
        AWAIT(!load(&member->queued[n]));
        member->states[n] = s;
        store(&member->queued[n], 1);
        if (twostate_lock_acquire_async(&crowd->lock, s, &member->wanters[n].waiter) == 0) {
            store(&member->queued[n], 0);
            enter_and_leave(crowd, s);
        }
    }
    for (int n = 0; n < WANTERS; n++)
        AWAIT(!load(&member->queued[n]));
}

static void test_under_load(void **state) /* G1, G3, G11, pitfalls L09, L22 */
{
    static struct crowd crowd;
    static struct member members[3];
    struct task tasks[3];

    (void)state;
    for (int m = 0; m < 3; m++) {
        members[m].crowd = &crowd;
        for (int n = 0; n < WANTERS; n++) {
            wanter_init(&members[m].wanters[n]);
            members[m].wanters[n].then = leave_at_once;
            members[m].wanters[n].argument = &members[m];
        }
        task_start(&tasks[m], queue_and_wait, &members[m]);
    }
    for (int m = 0; m < 3; m++)
        task_join(&tasks[m]);
    twostate_lock_drain(&crowd.lock);
    AWAIT(at_rest(&crowd.lock));
    assert_int_equal(load(&crowd.granted), 3 * (ROUNDS + ROUNDS / 8));
}

/* The child of a fork has none of its parent's waiters; the parent keeps them. */
static struct twostate_lock forked;
static struct wanter parents;

static void release_in_child(void *unused)
{
    (void)unused;
    twostate_lock_release(&forked, A);
    CHECK(called(&parents) == 0);
    CHECK(twostate_lock_query(&forked).holders == 0);
    CHECK(twostate_lock_try_acquire(&forked, B));
    twostate_lock_release(&forked, B);
    CHECK(twostate_lock_try_acquire(&forked, A));
    twostate_lock_release(&forked, A);
    CHECK(called(&parents) == 0);
}

static void test_child_has_none(void **state)
{
    (void)state;
    wanter_init(&parents);
    twostate_lock_acquire(&forked, A);
    assert_int_equal(twostate_lock_acquire_async(&forked, B, &parents.waiter), -EINPROGRESS);
    child_join(child_start(release_in_child, NULL));
    assert_int_equal(called(&parents), 0);
    twostate_lock_release(&forked, A);
    assert_true(told_here(&parents, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_may_use_the_lock),
        cmocka_unit_test(test_may_free_waiter_and_lock),
        cmocka_unit_test(test_drained_lock_may_be_freed),
        cmocka_unit_test(test_never_nested),
        cmocka_unit_test(test_nothing_is_locked),
        cmocka_unit_test(test_under_load),
        cmocka_unit_test(test_child_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
