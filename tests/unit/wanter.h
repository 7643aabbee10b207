/* SPDX-License-Identifier: MIT */
/* An asynchronous waiter that notes what it was told, how often and by which thread. */
#ifndef TESTS_WANTER_H
#define TESTS_WANTER_H

#include "threads.h"

#include <twostate/async.h>

struct wanter {
    struct twostate_waiter waiter;
    void (*then)(struct wanter *wanter); /* called after the notes are made; may be NULL */
    void *argument;                      /* then's */
    uint32_t calls;
    int result;
    pthread_t thread;
};

/* Ready to be queued. (A waiter need not be zeroed: here it is the opposite.) */
void wanter_init(struct wanter *wanter);

/* How often it was called back. */
static inline uint32_t called(const struct wanter *wanter)
{
    return load(&wanter->calls);
}

/* It was called back once, with this result, by the thread that asks. */
bool told_here(const struct wanter *wanter, int result);

#endif
