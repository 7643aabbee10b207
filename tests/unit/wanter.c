/* SPDX-License-Identifier: MIT */
/* An asynchronous waiter that notes what it was told: see wanter.h. */
#include "wanter.h"

#include <string.h>

static void note(struct twostate_waiter *waiter, int result)
{
    struct wanter *wanter = waiter->context;
    void (*const then)(struct wanter *) = wanter->then;

    CHECK(&wanter->waiter == waiter);
    wanter->result = result;
    wanter->thread = pthread_self();
    add(&wanter->calls, 1);
    if (then)
        then(wanter); /* may free it */
}

void wanter_init(struct wanter *wanter)
{
    memset(wanter, 0, sizeof(*wanter));
    memset(&wanter->waiter, 0xa5, sizeof(wanter->waiter));
    wanter->waiter.done = note;
    wanter->waiter.context = wanter;
}

bool told_here(const struct wanter *wanter, int result)
{
    return called(wanter) == 1 && wanter->result == result &&
           pthread_equal(wanter->thread, pthread_self());
}
