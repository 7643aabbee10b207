/* SPDX-License-Identifier: MIT */
/* A program for tracers: goes on waiting in every way that has a probe, until it is killed. */
#include <twostate/async.h>
#include <twostate/iolock.h>
#include <twostate/lock.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* So that a run that was forgotten ends. */
#define SECONDS 230

/* The names that the test looks for in the stacks. */
#define IN_STACK __attribute__((noinline))

static struct twostate_lock lock;
static struct twostate_iolock iolock;

static void wait_for_a_waiter(void)
{
    struct twostate_lock_info info;
    struct twostate_iolock_info io;

    do {
        sched_yield();
        info = twostate_lock_query(&lock);
        io = twostate_iolock_query(&iolock);
    } while (info.waiting_a + info.waiting_b + info.draining + io.waiting_shared +
                 io.waiting_exclusive ==
             0);
}

IN_STACK static void waits_for_b(void)
{
    twostate_lock_acquire(&lock, TWOSTATE_B);
    twostate_lock_release(&lock, TWOSTATE_B);
}

IN_STACK static void waits_for_drain(void)
{
    twostate_lock_drain(&lock);
}

IN_STACK static void waits_for_exclusive(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
}

static void *waiter(void *barrier)
{
    for (;;) {
        pthread_barrier_wait(barrier);
        waits_for_b();
        pthread_barrier_wait(barrier);
        waits_for_drain();
        pthread_barrier_wait(barrier);
        waits_for_exclusive();
    }
    return NULL;
}

IN_STACK static void blocks_in_a(pthread_barrier_t *barrier)
{
    twostate_lock_acquire(&lock, TWOSTATE_A);
    pthread_barrier_wait(barrier);
    wait_for_a_waiter();
    twostate_lock_release(&lock, TWOSTATE_A);
}

IN_STACK static void blocks_in_shared(pthread_barrier_t *barrier)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    pthread_barrier_wait(barrier);
    wait_for_a_waiter();
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
}

static void granted(struct twostate_waiter *asynchronous, int result)
{
    (void)asynchronous;
    if (result == 0)
        twostate_lock_release(&lock, TWOSTATE_B);
}

static void grants(void)
{
    struct twostate_waiter asynchronous = {.done = granted};

    twostate_lock_acquire(&lock, TWOSTATE_A);
    if (twostate_lock_acquire_async(&lock, TWOSTATE_B, &asynchronous) == 0)
        twostate_lock_release(&lock, TWOSTATE_B);
    twostate_lock_release(&lock, TWOSTATE_A);
}

int main(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    alarm(SECONDS);
    /* Without patience every wait claims the turn. */
    twostate_lock_init_with(&lock, 0, 0);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, waiter, &barrier) != 0)
        return 1;
    for (;;) {
        blocks_in_a(&barrier);
        blocks_in_a(&barrier);
        blocks_in_shared(&barrier);
        grants();
    }
}
