/* SPDX-License-Identifier: MIT */
/* Asynchronous waiters of an IOLOCK: exclusive ones enter one at a time, shared ones together. */
#include "peek.h"
#include "spy.h"
#include "wanter.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SHARED    TWOSTATE_SHARED
#define EXCLUSIVE TWOSTATE_EXCLUSIVE

static void test_at_once(void **state)
{
    (void)state;
    for (enum twostate_iomode mode = SHARED; mode <= EXCLUSIVE; mode++) {
        struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
        struct wanter wanter;

        wanter_init(&wanter);
        assert_int_equal(twostate_iolock_acquire_async(&lock, mode, &wanter.waiter), 0);
        twostate_iolock_assert_held(&lock, mode);
        if (mode == SHARED)
            assert_int_equal(twostate_iolock_acquire_async(&lock, mode, &wanter.waiter), 0);
        assert_int_equal(called(&wanter), 0);
        assert_true(holds_only(&lock.lock_, (enum group)mode, mode == SHARED ? 2 : 1));
        twostate_iolock_release(&lock, mode);
        if (mode == SHARED)
            twostate_iolock_release(&lock, mode);
    }
}

/* Behind each mode, queued, granted by the release, cancelled without a trace. G3, G9, L05, L08. */
static void test_queued(void **state)
{
    static const struct {
        enum twostate_iomode held;
        enum twostate_iomode wanted;
    } rows[] = {{SHARED, EXCLUSIVE}, {EXCLUSIVE, SHARED}, {EXCLUSIVE, EXCLUSIVE}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
        struct wanter wanter;
        uint64_t before = 0;

        wanter_init(&wanter);
        twostate_iolock_acquire(&lock, rows[i].held);
        before = peek(&lock.lock_);
        assert_int_equal(twostate_iolock_acquire_async(&lock, rows[i].wanted, &wanter.waiter),
                         -EINPROGRESS);
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true(peek(&lock.lock_) == before);
        assert_int_equal(twostate_iolock_acquire_async(&lock, rows[i].wanted, &wanter.waiter),
                         -EINPROGRESS);
        assert_int_equal(called(&wanter), 0);
        twostate_iolock_release(&lock, rows[i].held);
        assert_true(told_here(&wanter, 0));
        assert_true(holds_only(&lock.lock_, (enum group)rows[i].wanted, 1));
        twostate_iolock_release(&lock, rows[i].wanted);
        assert_true(at_rest(&lock.lock_));
    }
}

/* One unlock, one exclusive holder; in the order in which they came. G1, pitfall L06. */
static void test_exclusive_one_by_one(void **state)
{
    static struct wanter wanters[600]; /* more than the word can count: pitfall L11 */
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    twostate_iolock_acquire(&lock, SHARED);
    for (int n = 0; n < 600; n++) {
        wanter_init(&wanters[n]);
        assert_int_equal(twostate_iolock_acquire_async(&lock, EXCLUSIVE, &wanters[n].waiter),
                         -EINPROGRESS);
    }
    twostate_iolock_release(&lock, SHARED);
    for (int n = 0; n < 600; n++) {
        assert_true(told_here(&wanters[n], 0));
        assert_int_equal(twostate_iolock_query(&lock).holders, 1);
        assert_true(n == 599 || called(&wanters[n + 1]) == 0);
        twostate_iolock_release(&lock, EXCLUSIVE);
    }
    assert_true(at_rest(&lock.lock_));
}

static void test_demote_grants_the_shared(void **state) /* G10, pitfall L14 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct wanter readers[2];
    struct wanter writer;

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    wanter_init(&writer);
    for (int n = 0; n < 2; n++) {
        wanter_init(&readers[n]);
        assert_int_equal(twostate_iolock_acquire_async(&lock, SHARED, &readers[n].waiter),
                         -EINPROGRESS);
    }
    assert_int_equal(twostate_iolock_acquire_async(&lock, EXCLUSIVE, &writer.waiter), -EINPROGRESS);
    twostate_iolock_demote(&lock);
    for (int n = 0; n < 2; n++)
        assert_true(told_here(&readers[n], 0));
    assert_int_equal(called(&writer), 0);
    assert_int_equal(twostate_iolock_query(&lock).holders, 3);
    for (int n = 0; n < 3; n++)
        twostate_iolock_release(&lock, SHARED);
    assert_true(told_here(&writer, 0));
    twostate_iolock_release(&lock, EXCLUSIVE);
    assert_true(at_rest(&lock.lock_));
}

/*
 * Patience 0, and exclusive waiters without end: a shared one waits for the hold in progress and for
 * one of theirs, not two. G3, pitfalls L01, L02.
 */
static void test_one_exclusive_phase(void **state)
{
    static struct wanter writers[41];
    struct twostate_iolock lock;
    struct wanter reader;
    int inside = 0; /* this writer is */

    (void)state;
    assert_int_equal(twostate_iolock_init_with(&lock, 0, 0), 0);
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    for (int n = 0; n < 41; n++) {
        wanter_init(&writers[n]);
        assert_int_equal(twostate_iolock_acquire_async(&lock, EXCLUSIVE, &writers[n].waiter),
                         -EINPROGRESS);
    }
    twostate_iolock_release(&lock, EXCLUSIVE);
    for (int round = 0; round < 20; round++) {
        assert_true(told_here(&writers[inside], 0));
        wanter_init(&reader);
        assert_int_equal(twostate_iolock_acquire_async(&lock, SHARED, &reader.waiter),
                         -EINPROGRESS);
        twostate_iolock_release(&lock, EXCLUSIVE);
        assert_true(told_here(&writers[++inside], 0));
        assert_int_equal(called(&reader), 0);
        twostate_iolock_release(&lock, EXCLUSIVE);
        assert_true(told_here(&reader, 0));
        assert_false(twostate_iolock_try_acquire(&lock, SHARED)); /* it is theirs again */
        assert_int_equal(called(&writers[++inside]), 0);
        twostate_iolock_release(&lock, SHARED);
    }
    twostate_iolock_release(&lock, EXCLUSIVE);
    assert_true(at_rest(&lock.lock_));
}

/* Threads and waiters of both modes, plain data that exclusive holders write. */
#define WANTERS 4
#define ROUNDS  3000

struct load_test {
    struct twostate_iolock lock;
    unsigned long first;
    unsigned long second;
    uint32_t next;
};

struct member {
    struct load_test *test;
    struct wanter wanters[WANTERS];
    enum twostate_iomode modes[WANTERS];
    uint32_t queued[WANTERS];
};

static void work(struct load_test *test, enum twostate_iomode mode)
{
    CHECK(test->first == test->second);
    if (mode == EXCLUSIVE) {
        test->first++;
        test->second++;
        if (test->first % 4 == 0) {
            twostate_iolock_demote(&test->lock);
            CHECK(test->first == test->second);
            mode = SHARED;
        }
    }
    twostate_iolock_release(&test->lock, mode);
}

static void work_at_once(struct wanter *wanter)
{
    struct member *member = wanter->argument;
    const ptrdiff_t n = wanter - member->wanters;
    const enum twostate_iomode mode = member->modes[n];
    struct load_test *test = member->test;

    CHECK(wanter->result == 0);
    store(&member->queued[n], 0);
    work(test, mode);
}

static void queue_and_work(void *argument)
{
    struct member *member = argument;
    struct load_test *test = member->test;
    uint32_t seed = add(&test->next, 1) * 7919;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint32_t n = round % WANTERS;
        const enum twostate_iomode mode = seed % 3 ? SHARED : EXCLUSIVE;

        seed = (seed * 1664525 + 1013904223) >> 1;
        if (round % 8 == 7) {
            twostate_iolock_acquire(&test->lock, mode);
            sched_yield();
            work(test, mode);
        }
        AWAIT(!load(&member->queued[n]));
        member->modes[n] = mode;
        store(&member->queued[n], 1);
        if (twostate_iolock_acquire_async(&test->lock, mode, &member->wanters[n].waiter) == 0) {
            store(&member->queued[n], 0);
            work(test, mode);
        } else if (seed % 16 == 0 && twostate_waiter_cancel(&member->wanters[n].waiter)) {
            store(&member->queued[n], 0);
        }
    }
    for (int n = 0; n < WANTERS; n++)
        AWAIT(!load(&member->queued[n]));
}

static void test_under_load(void **state) /* G1, G3, G9, G11, pitfalls L06, L09, L22 */
{
    static struct load_test test;
    static struct member members[3];
    struct task tasks[3];

    (void)state;
    for (int m = 0; m < 3; m++) {
        members[m].test = &test;
        for (int n = 0; n < WANTERS; n++) {
            wanter_init(&members[m].wanters[n]);
            members[m].wanters[n].then = work_at_once;
            members[m].wanters[n].argument = &members[m];
        }
        task_start(&tasks[m], queue_and_work, &members[m]);
    }
    for (int m = 0; m < 3; m++)
        task_join(&tasks[m]);
    AWAIT(at_rest(&test.lock.lock_));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_queued),
        cmocka_unit_test(test_exclusive_one_by_one),
        cmocka_unit_test(test_demote_grants_the_shared),
        cmocka_unit_test(test_one_exclusive_phase),
        cmocka_unit_test(test_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
