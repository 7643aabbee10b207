/* SPDX-License-Identifier: MIT */
/*
 * The locks' memory: see torture.h. A lock is freed as soon as a drain, or whatever else shows that
 * nobody holds it, returns; its memory is poisoned, and then is another lock at once or can't be
 * touched for a while (G7, pitfall L16).
 */
#include "torture.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   ((size_t)4096)
#define PAGES  (PLACES + 5)
#define POISON 0xa5

static unsigned char *memory; /* PAGES of it; each place uses one, the others rest, in turn */
static unsigned resting[PAGES];
static uint32_t busy; /* a spin lock for the pages that rest */
static unsigned next_resting;

bool place_has(const void *address)
{
    const unsigned char *byte = address;

    return memory != NULL && byte >= memory && byte < memory + PAGES * PAGE;
}

static void check_poison(const unsigned char *page)
{
    for (size_t i = 0; i < PAGE; i++)
        if (page[i] != POISON)
            found("G7: a lock was written to after it was freed");
}

/* Gives away a page and gets the one that rests longest. */
static unsigned exchange_page(unsigned page)
{
    unsigned other = 0;

    CHECK(mprotect(memory + page * PAGE, PAGE, PROT_NONE) == 0);
    while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        sched_yield();
    other = resting[next_resting];
    resting[next_resting] = page;
    next_resting = (next_resting + 1) % (PAGES - PLACES);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    CHECK(mprotect(memory + other * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    check_poison(memory + other * PAGE);
    return other;
}

static void make(struct place *place, unsigned char *at)
{
    static const uint32_t patiences[] = {TWOSTATE_PATIENCE_DEFAULT, 0, 64, 256};

    place->object = (union object *)(void *)at;
    torture.subject->make(place->object, patiences[below(4)], below(4) == 0);
}

/* The lock is free. Checks that, ends it, and makes another. */
static void renew(struct place *place)
{
    unsigned char *at = (unsigned char *)place->object;
    const size_t offset = (size_t)(at - memory);

    if (!torture.subject->at_rest(place->object))
        found("G9: the lock is not at rest, though nobody uses it");
    memset(place->cells, 0, sizeof(place->cells));
    if (below(2) == 0)
        torture.subject->destroy(place->object);
    memset(at, POISON, sizeof(union object));
    if (below(4) == 0) {
        const unsigned page = exchange_page((unsigned)(offset / PAGE));

        at = memory + page * PAGE + (size_t)8 * below((PAGE - sizeof(union object)) / 8);
    } else {
        check_poison(memory + offset / PAGE * PAGE);
    }
    make(place, at);
}

void places_start(void)
{
    if (memory == NULL) {
        memory =
            mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
    }
    CHECK(mprotect(memory, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
    memset(memory, POISON, PAGES * PAGE);
    for (unsigned i = 0; i < PAGES - PLACES; i++)
        resting[i] = PLACES + i;
    for (unsigned i = 0; i < PLACES; i++)
        make(&torture.places[i], memory + i * PAGE);
}

void places_stop(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        const struct place *place = &torture.places[i];

        for (unsigned mode = 0; mode < MODES; mode++)
            CHECK(place->inside[mode] == 0);
        if (torture.subject->look(place->object).holds != 0)
            found("G2: holds are left over, though all were given back");
        if (!torture.subject->at_rest(place->object))
            found("G9: the lock is not at rest at the end");
        torture.subject->destroy(torture.places[i].object);
    }
}

struct place *place_enter(void)
{
    const uint32_t which = below(8); /* most of them at one */
    struct place *place = &torture.places[which < PLACES ? which : 0];

    for (;;) {
        __atomic_store_n(&self->submitting, place, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&place->closed, __ATOMIC_SEQ_CST) == 0)
            return place;
        __atomic_store_n(&self->submitting, NULL, __ATOMIC_SEQ_CST);
        doing("waits for a new lock", place);
        while (load(&place->closed) != 0)
            usleep(20);
    }
}

void place_entered(void)
{
    __atomic_store_n(&self->submitting, NULL, __ATOMIC_SEQ_CST);
}

static bool somebody_submits(const struct place *place)
{
    for (uint32_t i = 0; i < torture.threads + SIDE_THREADS; i++)
        if (__atomic_load_n(&torture.workers[i].submitting, __ATOMIC_SEQ_CST) == place)
            return true;
    return __atomic_load_n(&place->queued, __ATOMIC_SEQ_CST) != 0;
}

/* In the thread that let the lock go. */
static void renew_when_drained(struct twostate_waiter *waiter, int result)
{
    struct place *place = waiter->context;

    if (result != 0)
        found("an asynchronous drain failed");
    self->for_others = true;
    renew(place);
    self->for_others = false;
    store(&place->renewed, 1);
}

static void renew_asynchronously(struct place *place)
{
    struct hold none = {.mode = MODE_NONE};
    int result = 0;

    store(&place->renewed, 0);
    place->waiter.done = renew_when_drained;
    place->waiter.context = place;
    result = torture.subject->queue(place->object, &none, &place->waiter);
    if (result == -ENOTSUP) { /* the lock is process-shared */
        torture.subject->drain(place->object, HOW_WAIT, NULL);
        result = 0;
    }
    if (result == 0) {
        renew(place);
        return;
    }
    if (result != -EINPROGRESS)
        found("an asynchronous drain failed for no reason");
    doing("waits for the one who frees for it", place);
    while (load(&place->renewed) == 0)
        usleep(20);
}

/* Nobody holds it any more, and nobody comes. */
static void await_unlocked(struct place *place, uint32_t how)
{
    const struct subject *subject = torture.subject;
    struct hold hold = {.mode = MODE_FROZEN, .n = 1};

    if (how == 0) {
        while (subject->look(place->object).holds != 0)
            usleep(20);
    } else if ((subject->can & CAN_DRAIN) != 0 && how < 4) {
        const struct timespec deadline = any_deadline();

        if (subject->drain(place->object, how == 1 ? HOW_TIMED : HOW_ASYNC, &deadline) != 0)
            subject->drain(place->object, HOW_WAIT, NULL);
    } else {
        if ((subject->can & CAN_FREEZE) == 0)
            hold.mode = MODE_B; /* the IOLOCK's, alone */
        CHECK(subject->take(place->object, &hold, HOW_WAIT, NULL) == 0);
        subject->give(place->object, &hold, 1);
    }
}

void place_free(void)
{
    struct place *place = &torture.places[below(PLACES)];
    const uint32_t how = below(8);
    uint32_t open = 0;

    if (!__atomic_compare_exchange_n(&place->closed, &open, 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return;
    doing("waits for submitters, to free the lock", place);
    while (somebody_submits(place))
        usleep(20);
    doing("waits for holders, to free the lock", place);
    while ((torture.subject->can & CAN_DRAIN) != 0 &&
           torture.subject->look(place->object).mode == MODE_FROZEN)
        usleep(20); /* a drain would pass */
    if (how == 7 && (torture.subject->can & CAN_DRAIN) != 0) {
        renew_asynchronously(place);
    } else {
        /* A pair is two locks: only its own calls see both free at once. */
        await_unlocked(place, torture.subject->at_rest == subject_pair.at_rest ? 7 : how);
        renew(place);
    }
    __atomic_store_n(&place->closed, 0, __ATOMIC_SEQ_CST);
}
