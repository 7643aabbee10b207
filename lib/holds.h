/* SPDX-License-Identifier: MIT */
/*
 * Who holds what, since when, taken where: the table behind the validator and the hold times.
 *
 * watch.c fills it for all who watch. It is bounded: a hold that finds no room is counted, and its
 * release then finds no record, or takes another's. So records may lack, but none outlives its hold.
 */
#ifndef TS_HOLDS_H
#define TS_HOLDS_H

#include <stddef.h>

#include "watch.h"

struct twostate_class;

#define STACK_FRAMES 14

/* Where a call came from, innermost first; frames[0] is the call into the library. */
struct stack {
    unsigned depth;
    void *frames[STACK_FRAMES];
};

struct hold;

/* A thread. Its members are touched under the table's mutex only. */
struct holder {
    struct hold *newest; /* of its holds */
    const struct twostate_lock *waits_for;
    struct holder *next_waiting;
    int thread;    /* the kernel's id of it */
    unsigned ends; /* how often it was told that it ends */
};

/* Some holds of one lock that one call took. */
struct hold {
    const struct twostate_lock *lock;
    const struct twostate_class *cls; /* never NULL */
    const char *name;                 /* of the call: "acquire A" */
    enum group group;                 /* GROUP_DRAIN: freezes */
    bool exclusive;                   /* an IOLOCK */
    bool shared;                      /* between processes */
    bool ordered; /* it was waited for, so the order knows it (validate_order.h) */
    uint32_t count;
    int64_t since; /* CLOCK_MONOTONIC, ns */
    int thread;    /* the kernel's id of the thread that took it */
    struct stack stack;

    struct holder *holder; /* whose it is; NULL: nobody's, it was handed over */
    struct hold *next_of_lock;
    struct hold *next_of_holder;
};

/* The table's mutex; also that of everything else that the validator remembers. */
void holds_lock_(void);
void holds_unlock_(void);

/* The calling thread. */
struct holder *holds_self_(void);

/*
 * The same, for it to hold something: its end will be seen (watch.c). NULL: it was seen already, and
 * the thread runs its last destructors.
 */
struct holder *watch_self_(void);

/* Everything below is called with the mutex held. */

/* Notes what call took. holder: whose it is, or NULL. stack: NULL if nobody wants to know. */
void holds_add_(const struct watch_call *call, const struct stack *stack, struct holder *holder);

/*
 * The hold of lock and group that the calling thread gives back, if it gives back one: its newest;
 * if it has none, the oldest of nobody; if there is none, the oldest. NULL: no such hold is known.
 */
struct hold *holds_find_(const struct twostate_lock *lock, enum group group);

/* Takes up to `most` of the holds out of the table; copies the record, with `count` as taken. */
struct hold holds_take_(struct hold *hold, uint32_t most);

/* Of any group: the newest of the calling thread on this lock, the oldest of nobody. NULL: none. */
struct hold *holds_own_(const struct twostate_lock *lock);
struct hold *holds_nobodys_(const struct twostate_lock *lock);

/* Makes one hold of the record the holder's; nobody's, all of them, if there is no room to tell. */
void holds_hand_(struct hold *hold, struct holder *holder);

/* Makes all that the holder has nobody's. */
void holds_abandon_(struct holder *holder);

/* The next hold, in any order, of a lock in [memory, memory + size). Starts with NULL. */
struct hold *holds_next_in_(struct hold *after, const void *memory, size_t size);

/* Forgets the holds of locks in [memory, memory + size). */
void holds_forget_(const void *memory, size_t size);

/* The calling thread begins to wait for the lock; NULL: it does not wait any more. */
void holds_wait_(const struct twostate_lock *lock);

/* A thread that waits for a lock in [memory, memory + size), NULL if there is none. */
const struct holder *holds_waiter_in_(const void *memory, size_t size);

/* After a fork, in the child: all holds are the parent's. The child makes its copies anew. */
void holds_fork_child_(void);

/* Holds in the table, and how many found no room since it was cleared. */
uint32_t holds_known_(void);
uint64_t holds_missed_(void);
void holds_clear_(void);

#endif
