/* SPDX-License-Identifier: MIT */
/*
 * The order in which locks were taken so far, as a graph without a cycle.
 *
 * A node is a class; or one lock, where locks of one class are nested that are ordered each by
 * itself. An edge says that the second was waited for while the first was held, with the places of
 * both. What would close a cycle is not put in, but returned.
 */
#ifndef TS_VALIDATE_ORDER_H
#define TS_VALIDATE_ORDER_H

#include "holds.h"

/* Longest cycle that is told in full. */
#define ORDER_PATH 6

/* One side of an edge. */
struct order_end {
    const void *key;  /* the class, or the lock */
    const char *name; /* of the class */
    bool is_lock;
};

struct order_edge {
    struct order_end from; /* held */
    struct order_end to;   /* waited for meanwhile */
    const char *held_call;
    const char *wanted_call;
    int thread;
    struct stack held;
    struct stack wanted;
};

/* The other order: the edges by which `to` came before `from`, as long as there is room. */
struct order_cycle {
    unsigned length; /* of the cycle, without the new edge; 0: there is none */
    const struct order_edge *edges[ORDER_PATH];
};

/* All under the holds' mutex. */

/* Notes the edge, unless it closes a cycle that was not told before: then fills *cycle. */
void order_note_(const struct order_edge *edge, struct order_cycle *cycle);

/* Forgets the nodes that are locks in [memory, memory + size). */
void order_forget_(const void *memory, size_t size);
void order_clear_(void);

/* Edges that found no room, or had to make room for others. */
uint64_t order_missed_(void);

#endif
