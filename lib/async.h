/* SPDX-License-Identifier: MIT */
/* The waiters that have no thread: what the waiting loop and the pair need of async.c. */
#ifndef TS_ASYNC_H
#define TS_ASYNC_H

#include "wait.h"

/*
 * Around the call that a waiter is for. go_on: what to do when it has a lock, if it wants several:
 * called with 0 or why not, or with -ECANCELED to give back what it has; returns -EINPROGRESS if it
 * queued the waiter again, else the result.
 */
void async_begin_(struct twostate_waiter *waiter,
                  int (*go_on)(struct twostate_waiter *waiter, int result));
int async_end_(struct twostate_waiter *waiter, int result);

/* Takes what is wanted at once, or queues the waiter. Returns as wait_take_ does with a waiter. */
int async_take_(struct twostate_lock *lock, const struct want *want, struct twostate_waiter *waiter,
                const void *site);

/* Looks at the lock for the waiters of the groups (1 << group) that a step has woken. */
void async_woken_(struct twostate_lock *lock, uint32_t groups);

/* A newcomer is about to enter: claims the turn for waiters whose patience is over. */
void async_passed_by_(struct twostate_lock *lock);

#endif
