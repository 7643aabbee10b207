/* SPDX-License-Identifier: MIT */
/*
 * Who holds what, since when, taken where: the table behind the validator and the hold times.
 *
 * watch.c fills it for all who watch. It is bounded: a hold that finds no room is counted, and its
 * release then finds no record.
 */
#ifndef TS_HOLDS_H
#define TS_HOLDS_H

#include <stddef.h>

#include "watch.h"

struct twostate_class;

#define HOLDS_MAX    8192
#define STACK_FRAMES 14

/* Where a call came from, innermost first; frames[0] is the call into the library. */
struct stack {
    unsigned depth;
    void *frames[STACK_FRAMES];
};

struct holder;

/* Some holds of one lock that one call took. */
struct hold {
    const struct twostate_lock *lock;
    const struct twostate_class *class; /* never NULL */
    const char *name;                   /* of the call: "acquire A" */
    enum group group;                   /* GROUP_DRAIN: freezes */
    bool exclusive;                     /* an IOLOCK */
    bool paired;                        /* of an IO pair */
    uint32_t count;
    int64_t since; /* CLOCK_MONOTONIC, ns */
    int thread;    /* the kernel's id of the thread that took it */
    struct stack stack;

    struct holder *holder; /* whose it is; NULL: it was disowned */
    struct hold *next_of_lock;
    struct hold *next_of_holder;
};

/* What a thread holds, newest first; its hold records are only touched under the table's mutex. */
struct holder {
    struct hold *newest;
    int thread;
    unsigned ends; /* how often its destructor ran */
};

/* The table's mutex; also that of everything else the validator remembers. */
void holds_lock_(void);
void holds_unlock_(void);

/* The calling thread. */
struct holder *holds_self_(void);

/* Everything below is called with the mutex held. */

/* Notes what call took; disowned: it belongs to a request, not to the calling thread. */
void holds_add_(const struct watch_call *call, const struct twostate_class *class, bool paired,
                const struct stack *stack, bool disowned);

/*
 * Takes up to `most` holds of call's lock and group out of the table: the caller's newest; if it has
 * none, the oldest disowned; if there is none, the oldest. Copies the record that they came from,
 * with `count` as taken. False: no such hold is known.
 */
bool holds_take_(const struct watch_call *call, uint32_t most, struct hold *taken);

/* The same choice, without taking it out. NULL: no such hold is known. */
struct hold *holds_find_(const struct watch_call *call);

/* Of any group, the newest of the calling thread on this lock; or the oldest disowned one. */
struct hold *holds_own_(const struct twostate_lock *lock);
struct hold *holds_disowned_(const struct twostate_lock *lock);

void holds_disown_(struct hold *hold);
void holds_adopt_(struct hold *hold);

/* The first hold of a lock in [memory, memory + size), other than the caller knows; NULL: none. */
struct hold *holds_in_(const void *memory, size_t size);

/* Forgets the holds of locks in [memory, memory + size). */
void holds_forget_(const void *memory, size_t size);

/* Forgets all. */
void holds_clear_(void);

/* Holds in the table, and how many found no room since it was cleared. */
uint32_t holds_known_(void);
uint64_t holds_missed_(void);

#endif
