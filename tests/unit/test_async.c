/* SPDX-License-Identifier: MIT */
/* Every asynchronous call on a lock: at once, or queued and granted by whoever makes room. */
#include "caller.h"
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/* A call, what must be held for it, and what it leaves. */
struct row {
    const char *name;
    int (*call)(struct twostate_lock *lock, struct twostate_waiter *waiter);
    void (*prepare)(struct twostate_lock *lock);  /* what the caller holds itself */
    void (*obstruct)(struct twostate_lock *lock); /* and what of others is in the way */
    void (*make_way)(struct twostate_lock *lock);
    enum group group; /* held afterwards */
    uint32_t holds;   /* 0: nothing */
};

static void nothing(struct twostate_lock *lock)
{
    (void)lock;
}

static void hold_a(struct twostate_lock *lock)
{
    twostate_lock_acquire(lock, A);
}

static void hold_b(struct twostate_lock *lock)
{
    twostate_lock_acquire(lock, B);
}

static void release_a(struct twostate_lock *lock)
{
    twostate_lock_release(lock, A);
}

static void release_b(struct twostate_lock *lock)
{
    twostate_lock_release(lock, B);
}

static int acquire_a(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_acquire_async(lock, A, waiter);
}

static int acquire_b(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_acquire_async(lock, B, waiter);
}

static int acquire_five(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_acquire_n_async(lock, B, 5, waiter);
}

static int switch_to_a(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_switch_async(lock, A, waiter);
}

static int switch_to_b(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_switch_async(lock, B, waiter);
}

static int thaw_to_a(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_thaw_to_async(lock, A, waiter);
}

static int thaw_to_b(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return twostate_lock_thaw_to_async(lock, B, waiter);
}

static const struct row rows[] = {
    {"acquire A", acquire_a, nothing, hold_b, release_b, GROUP_A, 1},
    {"acquire B", acquire_b, nothing, hold_a, release_a, GROUP_B, 1},
    {"acquire 5", acquire_five, nothing, hold_a, release_a, GROUP_B, 5},
    {"acquire A, frozen", acquire_a, nothing, twostate_lock_freeze, twostate_lock_thaw, GROUP_A, 1},
    {"acquire B, frozen", acquire_b, nothing, twostate_lock_freeze, twostate_lock_thaw, GROUP_B, 1},
    {"drain of A", twostate_lock_drain_async, nothing, hold_a, release_a, GROUP_DRAIN, 0},
    {"drain of B", twostate_lock_drain_async, nothing, hold_b, release_b, GROUP_DRAIN, 0},
    {"freeze of A", twostate_lock_freeze_async, nothing, hold_a, release_a, GROUP_DRAIN, 1},
    {"freeze of B", twostate_lock_freeze_async, nothing, hold_b, release_b, GROUP_DRAIN, 1},
    {"switch to A", switch_to_a, hold_b, hold_b, release_b, GROUP_A, 1},
    {"switch to B", switch_to_b, hold_a, hold_a, release_a, GROUP_B, 1},
    {"thaw to A", thaw_to_a, twostate_lock_freeze, twostate_lock_freeze, twostate_lock_thaw,
     GROUP_A, 1},
    {"thaw to B", thaw_to_b, twostate_lock_freeze, twostate_lock_freeze, twostate_lock_thaw,
     GROUP_B, 1},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void assert_left(const struct row *row, const struct twostate_lock *lock)
{
    if (!(row->holds ? holds_only(lock, row->group, row->holds) : at_rest(lock)))
        fail_msg("%s left %#llx", row->name, (unsigned long long)peek(lock));
}

static void test_at_once(void **state) /* done is not called */
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct wanter wanter;

        wanter_init(&wanter);
        rows[i].prepare(&lock);
        assert_int_equal(rows[i].call(&lock, &wanter.waiter), 0);
        assert_left(&rows[i], &lock);
        assert_int_equal(called(&wanter), 0);
    }
}

/* In the thread that made room, before its release returns, and once. G3, G6, pitfall L14. */
static void test_queued_and_granted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct wanter wanter;

        wanter_init(&wanter);
        rows[i].prepare(&lock);
        rows[i].obstruct(&lock);
        rows[i].obstruct(&lock);
        assert_int_equal(rows[i].call(&lock, &wanter.waiter), -EINPROGRESS);
        rows[i].make_way(&lock);
        assert_int_equal(called(&wanter), 0);
        rows[i].make_way(&lock);
        assert_true(told_here(&wanter, 0));
        assert_int_equal(twostate_waiter_result(&wanter.waiter), 0);
        assert_left(&rows[i], &lock);
        assert_false(twostate_waiter_cancel(&wanter.waiter));
    }
}

/* A waiter is counted like one that has a thread. */
static void test_queued_is_registered(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanters[5];

    (void)state;
    for (int n = 0; n < 5; n++)
        wanter_init(&wanters[n]);
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(acquire_b(&lock, &wanters[0].waiter), -EINPROGRESS);
    assert_int_equal(acquire_five(&lock, &wanters[1].waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_drain_async(&lock, &wanters[2].waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_freeze_async(&lock, &wanters[3].waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_query(&lock).waiting_b, 2);
    assert_int_equal(twostate_lock_query(&lock).draining, 2);
    assert_false(twostate_lock_query(&lock).switching);
    assert_int_equal(switch_to_b(&lock, &wanters[4].waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_query(&lock).waiting_b, 3);
    assert_true(twostate_lock_query(&lock).switching);
    for (int n = 0; n < 5; n++)
        assert_true(twostate_waiter_cancel(&wanters[n].waiter));
    assert_true(holds_only(&lock, GROUP_A, 2));
}

/* Many of one state come in together, in the order they came. G2, G3. */
static void test_a_group_is_granted_together(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanters[700]; /* more than the word can count: pitfall L11 */

    (void)state;
    twostate_lock_acquire(&lock, A);
    for (int n = 0; n < 700; n++) {
        wanter_init(&wanters[n]);
        assert_int_equal(acquire_b(&lock, &wanters[n].waiter), -EINPROGRESS);
    }
    assert_int_equal(twostate_lock_query(&lock).waiting_b, 511);
    twostate_lock_release(&lock, A);
    for (int n = 0; n < 700; n++)
        assert_true(told_here(&wanters[n], 0));
    assert_true(holds_only(&lock, GROUP_B, 700));
    twostate_lock_release_n(&lock, B, 700);
    assert_true(at_rest(&lock));
}

static void release_elsewhere(void *lock)
{
    twostate_lock_release(lock, A);
}

static void test_granted_by_another_thread(void **state) /* G6, G11 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanter;
    struct task task;

    (void)state;
    wanter_init(&wanter);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(acquire_b(&lock, &wanter.waiter), -EINPROGRESS);
    task_start(&task, release_elsewhere, &lock);
    AWAIT(called(&wanter) == 1);
    assert_true(pthread_equal(wanter.thread, task.thread));
    assert_int_equal(wanter.result, 0);
    task_join(&task);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

/* Errors are those of the other forms, told at once, with nothing changed. G9. */
static void test_refused_at_once(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter wanter;
    struct wanter first;
    uint64_t before = 0;

    (void)state;
    wanter_init(&wanter);
    wanter_init(&first);
    /* Whoever comes late must not find that the patience of the first is over. */
    assert_int_equal(twostate_lock_init_with(&lock, 0, TWOSTATE_PATIENCE_MAX), 0);
    twostate_lock_acquire(&lock, A);
    before = peek(&lock);
    assert_int_equal(twostate_lock_acquire_n_async(&lock, B, 0, &wanter.waiter), -EINVAL);
    assert_int_equal(twostate_lock_acquire_n_async(&lock, A, 0, &wanter.waiter), -EINVAL);
    assert_int_equal(
        twostate_lock_acquire_n_async(&lock, A, TWOSTATE_LOCK_MAX_HOLDERS, &wanter.waiter),
        -EOVERFLOW); /* pitfall L21 */
    assert_int_equal(twostate_lock_acquire_n_async(&lock, B, UINT32_MAX, &wanter.waiter),
                     -EOVERFLOW);
    assert_true(peek(&lock) == before);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(switch_to_b(&lock, &first.waiter), -EINPROGRESS);
    before = peek(&lock);
    assert_int_equal(switch_to_b(&lock, &wanter.waiter), -EDEADLK); /* pitfall L18 */
    assert_int_equal(twostate_lock_switch(&lock, B), -EDEADLK);
    assert_true(peek(&lock) == before);
    twostate_lock_release(&lock, A);
    assert_true(told_here(&first, 0));
    assert_int_equal(called(&wanter), 0);
    assert_true(holds_only(&lock, GROUP_B, 1));
}

/* Room when it was queued, none left when its turn came: it is told so, and holds nothing. */
static void test_refused_later(void **state) /* G2, pitfall L21 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct wanter most;
    struct wanter more;

    (void)state;
    wanter_init(&most);
    wanter_init(&more);
    twostate_lock_acquire(&lock, B);
    assert_int_equal(
        twostate_lock_acquire_n_async(&lock, A, TWOSTATE_LOCK_MAX_HOLDERS - 1, &most.waiter),
        -EINPROGRESS);
    assert_int_equal(twostate_lock_acquire_n_async(&lock, A, 2, &more.waiter), -EINPROGRESS);
    twostate_lock_release(&lock, B);
    assert_true(told_here(&most, 0));
    assert_true(told_here(&more, -EOVERFLOW));
    assert_int_equal(twostate_waiter_result(&more.waiter), -EOVERFLOW);
    assert_true(holds_only(&lock, GROUP_A, TWOSTATE_LOCK_MAX_HOLDERS - 1));
}

/* A switch or a thaw that is had at once lets in who waits for that state. G10, L12, L14. */
static void test_others_come_in_with_it(void **state)
{
    (void)state;
    for (int thaw = 0; thaw < 2; thaw++) {
        struct twostate_lock lock = TWOSTATE_LOCK_INIT;
        struct wanter wanter;
        struct wanter others[2];
        struct caller thread;

        wanter_init(&wanter);
        if (thaw)
            twostate_lock_freeze(&lock);
        else
            twostate_lock_acquire(&lock, A);
        for (int n = 0; n < 2; n++) {
            wanter_init(&others[n]);
            assert_int_equal(acquire_b(&lock, &others[n].waiter), -EINPROGRESS);
        }
        caller_start(&thread, &lock, CALL_ACQUIRE, B);
        AWAIT(waiting(&lock, GROUP_B) == 3);
        assert_int_equal((thaw ? thaw_to_b : switch_to_b)(&lock, &wanter.waiter), 0);
        caller_join(&thread);
        for (int n = 0; n < 2; n++)
            assert_true(told_here(&others[n], 0));
        assert_int_equal(called(&wanter), 0);
        assert_true(holds_only(&lock, GROUP_B, 4));
    }
}

/* Each waiter of its own lock: one's release is nothing to the others. */
static void test_many_locks(void **state)
{
    static struct twostate_lock locks[300];
    static struct wanter wanters[300];

    (void)state;
    for (int n = 0; n < 300; n++) {
        wanter_init(&wanters[n]);
        twostate_lock_acquire(&locks[n], A);
        assert_int_equal(acquire_b(&locks[n], &wanters[n].waiter), -EINPROGRESS);
    }
    for (int n = 299; n >= 0; n--) {
        assert_int_equal(called(&wanters[n]), 0);
        twostate_lock_release(&locks[n], A);
        assert_true(told_here(&wanters[n], 0));
        twostate_lock_release(&locks[n], B);
        assert_true(at_rest(&locks[n]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_queued_and_granted),
        cmocka_unit_test(test_queued_is_registered),
        cmocka_unit_test(test_a_group_is_granted_together),
        cmocka_unit_test(test_granted_by_another_thread),
        cmocka_unit_test(test_refused_at_once),
        cmocka_unit_test(test_refused_later),
        cmocka_unit_test(test_others_come_in_with_it),
        cmocka_unit_test(test_many_locks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
