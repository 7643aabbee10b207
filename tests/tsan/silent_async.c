/* SPDX-License-Identifier: MIT */
/* The same for asynchronous waiters: what was done before is seen by who is granted. */
#include "cases.h"

#include <twostate/async.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>

#include <errno.h>
#include <poll.h>

#define ROUNDS 200

struct request {
    struct twostate_waiter waiter;
    struct twostate_hold hold;
    long data;
    int done;
};

static struct twostate_lock lock;
static struct twostate_iopair pair;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long data;
static int step;

/* A release by another thread calls back: it sees the request and what both locks covered. */

static void *holds_a(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    reach(&step, 1);
    await(&step, 2);
    data++;
    twostate_lock_release(&lock, A);
    return NULL;
}

static void called(struct twostate_waiter *waiter, int result)
{
    struct request *request = waiter->context;

    CHECK(result == 0 && data == 1);
    data++;
    request->data++;
    twostate_lock_release(&lock, B);
    send(&request->done, 1);
}

static void callback(void)
{
    struct request *request = calloc(1, sizeof(*request));
    pthread_t thread = start(holds_a, NULL);

    CHECK(request != NULL);
    await(&step, 1);
    request->data = 1;
    request->waiter.done = called;
    request->waiter.context = request;
    CHECK(twostate_lock_acquire_async(&lock, B, &request->waiter) == -EINPROGRESS);
    CHECK(pthread_mutex_lock(&mutex) == 0); /* the request waits, not this thread */
    pthread_mutex_unlock(&mutex);
    reach(&step, 2);
    receive(&request->done, 1);
    CHECK(request->data == 2);
    free(request);
    join(thread);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    pthread_mutex_unlock(&mutex);
}

/* The callback comes with the last release, and sees what was done before the first, too. */

static long early;

static void *leaves_early(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    early = 1;
    await(&step, 1);
    twostate_lock_release(&lock, A);
    reach(&step, 2);
    return NULL;
}

static void sees_early(struct twostate_waiter *waiter, int result)
{
    (void)waiter;
    CHECK(result == 0 && early == 1);
    early++;
    twostate_lock_release(&lock, B);
}

static void callback_of_the_last(void)
{
    struct twostate_waiter waiter = {.done = sees_early};
    pthread_t thread = start(leaves_early, NULL);

    while (twostate_lock_query(&lock).holders == 0)
        sched_yield();
    twostate_lock_acquire(&lock, A);
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
    reach(&step, 1);
    await(&step, 2);
    twostate_lock_release(&lock, A);
    join(thread);
}

/* The thread that granted a hold does not have it. */

static void *grants_and_goes_on(void *argument)
{
    twostate_lock_acquire(&lock, A);
    reach(&step, 1);
    await(&step, 2);
    twostate_lock_release(&lock, A);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
    reach(&step, 3);
    return argument;
}

static void *lock_inside_mutex(void *argument)
{
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    pthread_mutex_unlock(&mutex);
    return argument;
}

static void granter_goes_on(void)
{
    struct twostate_waiter waiter = {.done = NULL};
    pthread_t granter = start(grants_and_goes_on, NULL);
    pthread_t thread;

    await(&step, 1);
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
    reach(&step, 2);
    CHECK(twostate_waiter_wait(&waiter, NULL) == 0);
    await(&step, 3);
    thread = start(lock_inside_mutex, NULL);
    while (twostate_lock_query(&lock).waiting_a == 0)
        sched_yield();
    twostate_lock_release(&lock, B);
    join(granter);
    join(thread);
}

/* Without a callback: the thread waits, and sees what was done under the other state. */
static void waiter_wait(void)
{
    struct twostate_waiter waiter = {.done = NULL};
    pthread_t thread = start(holds_a, NULL);

    await(&step, 1);
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
    reach(&step, 2);
    CHECK(twostate_waiter_wait(&waiter, NULL) == 0);
    CHECK(data == 1);
    data++;
    twostate_lock_release(&lock, B);
    join(thread);
}

/* A cancel that comes too late holds the lock, as if it had waited. */
static void cancel_after_grant(void)
{
    struct twostate_waiter waiter = {.done = NULL};
    pthread_t thread = start(holds_a, NULL);

    await(&step, 1);
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
    reach(&step, 2);
    while (twostate_lock_query(&lock).state != TWOSTATE_B)
        sched_yield();
    CHECK(!twostate_waiter_cancel(&waiter));
    CHECK(data == 1);
    twostate_lock_release(&lock, B);
    join(thread);
}

/* An event loop takes what other threads granted. */
static void event_loop(void)
{
    struct twostate_grants grants;
    struct twostate_waiter *waiter = NULL;
    struct request request = {.waiter = {.done = twostate_grants_done, .context = &grants}};
    struct pollfd ready = {.events = POLLIN};
    pthread_t thread = start(holds_a, NULL);

    CHECK(twostate_grants_init(&grants) == 0);
    ready.fd = grants.fd;
    await(&step, 1);
    CHECK(twostate_lock_acquire_async(&lock, B, &request.waiter) == -EINPROGRESS);
    reach(&step, 2);
    CHECK(poll(&ready, 1, -1) == 1);
    waiter = twostate_grants_next(&grants);
    CHECK(waiter == &request.waiter && data == 1);
    data++;
    twostate_lock_release(&lock, B);
    join(thread);
    twostate_grants_destroy(&grants);
}

/* Requests of a pair by two threads: every one is alone with the file. */

static void pair_called(struct twostate_waiter *waiter, int result)
{
    struct request *request = waiter->context;

    CHECK(result == 0);
    data++;
    twostate_iopair_end(&request->hold);
    send(&request->done, 1);
}

static void *pair_user(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct request request = {.waiter = {.done = pair_called, .context = &request}};
        const int result = twostate_iopair_begin_async(&pair, TWOSTATE_EXCLUSIVE_IO, &request.hold,
                                                       &request.waiter);

        CHECK(result == 0 || result == -EINPROGRESS);
        if (result == 0)
            pair_called(&request.waiter, 0);
        receive(&request.done, 1);
    }
    return NULL;
}

static void pair_exclusion(void)
{
    pthread_t threads[2] = {start(pair_user, NULL), start(pair_user, NULL)};

    join(threads[0]);
    join(threads[1]);
    CHECK(data == 2L * ROUNDS);
}

static const struct test_case cases[] = {
    {"callback", callback},
    {"callback_of_the_last", callback_of_the_last},
    {"granter_goes_on", granter_goes_on},
    {"waiter_wait", waiter_wait},
    {"cancel_after_grant", cancel_after_grant},
    {"event_loop", event_loop},
    {"pair_exclusion", pair_exclusion},
};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
