/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous acquires, in four ways: a callback that gives back what it was granted; one that its
 * owner cancels; grants that the completion side takes from its queue; and a thread that waits,
 * until another cancels it. Each is granted or cancelled, once. (pitfalls L09, L15)
 */
#include "torture.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_QUEUED 64

struct request {
    struct twostate_waiter waiter;
    struct place *place;
    struct hold hold;
    uint32_t parties; /* who still looks at it; the last one frees it */
    uint32_t granted;
    uint32_t cancelled;   /* a cancel returned true */
    uint32_t cancel_over; /* by another thread */
};

static void drop(struct request *request)
{
    if (add(&request->parties, UINT32_MAX) == 0)
        free(request);
}

static void no_longer_queued(struct request *request)
{
    __atomic_fetch_sub(&request->place->queued, 1, __ATOMIC_SEQ_CST);
}

/* A callback may use the lock. */
static void use_in_callback(struct entry *entry)
{
    union object *object = entry->place->object;
    struct hold more = {.mode = entry->hold->mode, .n = 1};

    if (below(8) == 0 && torture.subject->take(object, &more, HOW_TRY, NULL) == 0)
        torture.subject->give(object, &more, 1);
}

static void use_grant(struct request *request, struct entry *entry)
{
    const bool before = self->for_others;

    self->for_others = true;
    entry_enter(entry, request->place, &request->hold);
    no_longer_queued(request);
    use_in_callback(entry);
    entry_stay(entry);
    entry_end(entry);
    self->for_others = before;
}

static void granted(struct twostate_waiter *waiter, int result)
{
    struct request *request = (struct request *)waiter;

    if (add(&request->granted, 1) != 1)
        found("a callback came twice");
    if (load(&request->cancelled) != 0)
        found("a callback came after its cancel");
    if (result != 0)
        found("a waiter was refused");
    use_grant(request, &self->entries[ENTRY_CALLED]);
    drop(request);
}

/* Queues it. Returns whether it is queued; if not, it is over. */
static bool queue(struct request *request)
{
    struct place *place = request->place;
    int result = 0;

    add(&request->parties, 1); /* a callback that should not come must not free it here */
    doing("queues a waiter", place);
    __atomic_fetch_add(&place->queued, 1, __ATOMIC_SEQ_CST);
    result = torture.subject->queue(place->object, &request->hold, &request->waiter);
    if (result == -EINPROGRESS) {
        drop(request);
        return true;
    }
    if (result != 0 && result != -ENOTSUP)
        found("an asynchronous acquire failed for no reason");
    if (load(&request->granted) != 0)
        found("a callback came for what was had at once");
    if (result == 0)
        use_grant(request, &self->entries[ENTRY_GRANT]);
    else
        no_longer_queued(request);
    drop(request);
    return false;
}

static void stay_a_moment(void)
{
    const uint32_t how = below(8);

    if (how == 0)
        usleep(50);
    else if (how < 5)
        sched_yield();
}

static void queue_and_cancel(struct request *request)
{
    request->waiter.done = granted;
    if (!queue(request)) {
        drop(request);
        drop(request);
        return;
    }
    place_entered();
    stay_a_moment();
    doing("cancels", request->place);
    if (torture.subject->cancel(&request->waiter)) {
        store(&request->cancelled, 1);
        if (load(&request->granted) != 0)
            found("cancelled and granted");
        no_longer_queued(request);
        drop(request); /* the callback's part */
    } else {
        doing("waits for a callback after its cancel", request->place);
        while (load(&request->granted) == 0)
            usleep(20);
    }
    drop(request);
}

/* Nobody cancels it any more. Returns whether somebody did. */
static bool end_of_cancelling(struct request *request, bool cancellable)
{
    if (!cancellable || __atomic_exchange_n(&self->cancellable, NULL, __ATOMIC_ACQ_REL) != NULL)
        return false;
    doing("waits for the one who cancels", request->place);
    while (load(&request->cancel_over) == 0)
        usleep(20);
    return load(&request->cancelled) != 0;
}

static void queue_and_wait(struct request *request)
{
    const struct timespec deadline = any_deadline();
    const bool timed = below(2) == 0;
    const bool cancellable = below(2) == 0;
    bool cancelled = false;
    int result = 0;

    if (queue(request)) {
        place_entered();
        if (cancellable)
            __atomic_store_n(&self->cancellable, request, __ATOMIC_RELEASE);
        doing("waits for its waiter", request->place);
        result = torture.subject->wait(&request->waiter, timed ? &deadline : NULL);
        cancelled = end_of_cancelling(request, cancellable);
        if (result != 0 && result != -ETIMEDOUT && result != -ECANCELED)
            found("the wait for a waiter failed for no reason");
        if ((result == -ECANCELED && !cancelled) || (result == 0 && cancelled) ||
            (result == -ETIMEDOUT && !timed))
            found("the wait for a waiter and its cancel do not agree");
        if (result == 0)
            use_grant(request, &self->entries[ENTRY_GRANT]);
        else
            no_longer_queued(request);
    }
    drop(request);
}

static void queue_and_forget(struct request *request, bool by_callback)
{
    request->waiter.done = by_callback ? granted : twostate_grants_done;
    request->waiter.context = &torture.grants;
    if (!queue(request))
        drop(request);
}

void request_operate(struct place *place, struct hold *hold)
{
    struct request *request = calloc(1, sizeof(*request));
    const uint32_t how = below(4);

    CHECK(request != NULL);
    request->place = place;
    request->hold = *hold;
    request->parties = how == 0 ? 2 : 1;
    if (how == 0)
        queue_and_cancel(request);
    else if (how == 1 || __atomic_load_n(&place->queued, __ATOMIC_RELAXED) > MOST_QUEUED)
        queue_and_wait(request);
    else
        queue_and_forget(request, how == 2);
    place_entered();
}

bool request_cancel_of(struct worker *other)
{
    struct request *request = NULL;

    if (__atomic_load_n(&other->cancellable, __ATOMIC_RELAXED) == NULL)
        return false;
    request = __atomic_exchange_n(&other->cancellable, NULL, __ATOMIC_ACQ_REL);
    if (request == NULL)
        return false;
    if (torture.subject->cancel(&request->waiter))
        store(&request->cancelled, 1);
    store(&request->cancel_over, 1);
    return true;
}

/* The completion side: takes what was granted from the queue. */
bool requests_complete(void)
{
    struct twostate_waiter *waiter = NULL;
    bool some = false;

    while ((waiter = twostate_grants_next(&torture.grants)) != NULL) {
        struct request *request = (struct request *)waiter;

        CHECK(twostate_waiter_result(waiter) == 0);
        use_grant(request, &self->entries[ENTRY_GRANT]);
        drop(request);
        some = true;
    }
    return some;
}
