/* SPDX-License-Identifier: MIT */
/* Grants for an event loop: a descriptor that is readable when, and only when, there is one. */
#include "threads.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static bool readable(const struct twostate_grants *grants)
{
    struct pollfd events = {.fd = grants->fd, .events = POLLIN};

    CHECK(poll(&events, 1, 0) >= 0);
    return (events.revents & POLLIN) != 0;
}

static void prepare(struct twostate_waiter *waiter, struct twostate_grants *grants)
{
    waiter->done = twostate_grants_done;
    waiter->context = grants;
}

static void test_readable_when_there_is_one(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_grants grants;
    struct twostate_waiter waiter;

    (void)state;
    assert_int_equal(twostate_grants_init(&grants), 0);
    for (int round = 0; round < 3; round++) {
        prepare(&waiter, &grants);
        assert_false(readable(&grants));
        assert_null(twostate_grants_next(&grants));
        twostate_lock_acquire(&lock, A);
        assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
        assert_false(readable(&grants));
        assert_null(twostate_grants_next(&grants));
        twostate_lock_release(&lock, A);
        assert_true(readable(&grants));
        assert_true(readable(&grants)); /* to look does not reset it */
        assert_ptr_equal(twostate_grants_next(&grants), &waiter);
        assert_int_equal(twostate_waiter_result(&waiter), 0);
        twostate_lock_assert_held(&lock, B);
        assert_null(twostate_grants_next(&grants));
        assert_false(readable(&grants));
        twostate_lock_release(&lock, B);
    }
    twostate_grants_destroy(&grants);
}

/* In the order they were granted; readable until the last is taken; results are each one's. */
static void test_many_in_order(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_grants grants;
    struct twostate_waiter waiters[100];

    (void)state;
    assert_int_equal(twostate_grants_init(&grants), 0);
    twostate_lock_acquire(&lock, A);
    for (int n = 0; n < 100; n++) {
        prepare(&waiters[n], &grants);
        assert_int_equal(twostate_lock_acquire_n_async(
                             &lock, B, n == 98 ? TWOSTATE_LOCK_MAX_HOLDERS : 1, &waiters[n]),
                         -EINPROGRESS);
    }
    assert_true(twostate_waiter_cancel(&waiters[50]));
    twostate_lock_release(&lock, A);
    for (int n = 0; n < 100; n++) {
        if (n == 50)
            continue;
        assert_true(readable(&grants));
        assert_ptr_equal(twostate_grants_next(&grants), &waiters[n]);
        assert_int_equal(twostate_waiter_result(&waiters[n]), n == 98 ? -EOVERFLOW : 0);
    }
    assert_null(twostate_grants_next(&grants));
    assert_false(readable(&grants));
    assert_int_equal(twostate_lock_query(&lock).holders, 98);
    twostate_grants_destroy(&grants);
}

static void cancel_and_release(void *lock)
{
    pthread_cancel(pthread_self());
    twostate_lock_release(lock, A);
}

/* A release is no cancellation point, whatever the queue has to write. */
static void test_granted_by_a_cancelled_thread(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_grants grants;
    struct twostate_waiter waiter;
    struct task task;

    (void)state;
    assert_int_equal(twostate_grants_init(&grants), 0);
    prepare(&waiter, &grants);
    twostate_lock_acquire(&lock, A);
    assert_int_equal(twostate_lock_acquire_async(&lock, B, &waiter), -EINPROGRESS);
    task_start(&task, cancel_and_release, &lock);
    assert_int_equal(pthread_join(task.thread, NULL), 0);
    assert_true(readable(&grants));
    assert_ptr_equal(twostate_grants_next(&grants), &waiter);
    twostate_lock_release(&lock, B);
    twostate_grants_destroy(&grants);
}

static void test_no_descriptor(void **state)
{
    struct twostate_grants grants;
    struct rlimit before;
    struct rlimit none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    errno = 77;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(twostate_grants_init(&grants), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(errno, 77); /* never set */
}

/*
 * An event loop that sleeps in epoll and nowhere else, edge-triggered too, while other threads
 * grant: it hears of every grant.
 */
#define LOCKS  16
#define ROUNDS 300

struct loop {
    struct twostate_lock locks[LOCKS];
    struct twostate_waiter waiters[LOCKS];
    struct twostate_grants grants;
    uint32_t asked[LOCKS]; /* by the loop: please release */
    uint32_t stop;
};

static void grant_again_and_again(void *argument)
{
    struct loop *loop = argument;

    while (!load(&loop->stop)) {
        for (int n = 0; n < LOCKS; n++)
            if (__atomic_exchange_n(&loop->asked[n], 0, __ATOMIC_ACQ_REL))
                twostate_lock_release(&loop->locks[n], A);
        sched_yield();
    }
}

static void ask(struct loop *loop, int n)
{
    twostate_lock_acquire(&loop->locks[n], A);
    prepare(&loop->waiters[n], &loop->grants);
    CHECK(twostate_lock_acquire_async(&loop->locks[n], B, &loop->waiters[n]) == -EINPROGRESS);
    store(&loop->asked[n], 1);
}

static void run_loop(uint32_t events)
{
    static struct loop loop;
    struct epoll_event event = {.events = events};
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct task granters[2];
    int taken = 0;

    loop = (struct loop){.stop = 0};
    assert_true(epoll >= 0);
    assert_int_equal(twostate_grants_init(&loop.grants), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, loop.grants.fd, &event), 0);
    for (int n = 0; n < 2; n++)
        task_start(&granters[n], grant_again_and_again, &loop);
    for (int n = 0; n < LOCKS; n++)
        ask(&loop, n);
    while (taken < LOCKS * ROUNDS) {
        struct twostate_waiter *waiter = NULL;

        assert_int_equal(epoll_wait(epoll, &event, 1, 100000), 1); /* the watchdog */
        while ((waiter = twostate_grants_next(&loop.grants)) != NULL) {
            const int n = (int)(waiter - loop.waiters);

            assert_int_equal(twostate_waiter_result(waiter), 0);
            twostate_lock_assert_held(&loop.locks[n], B);
            twostate_lock_release(&loop.locks[n], B);
            if (++taken <= LOCKS * (ROUNDS - 1))
                ask(&loop, n);
        }
    }
    store(&loop.stop, 1);
    for (int n = 0; n < 2; n++)
        task_join(&granters[n]);
    assert_false(readable(&loop.grants));
    twostate_grants_destroy(&loop.grants);
    close(epoll);
}

static void test_event_loop(void **state)
{
    (void)state;
    run_loop(EPOLLIN);
}

static void test_edge_triggered_event_loop(void **state)
{
    (void)state;
    run_loop(EPOLLIN | EPOLLET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readable_when_there_is_one),
        cmocka_unit_test(test_many_in_order),
        cmocka_unit_test(test_granted_by_a_cancelled_thread),
        cmocka_unit_test(test_no_descriptor),
        cmocka_unit_test(test_event_loop),
        cmocka_unit_test(test_edge_triggered_event_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
