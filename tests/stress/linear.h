/* SPDX-License-Identifier: MIT */
/*
 * Is a history of calls and returns linearizable: could each call have had its effect at one point
 * between its call and its return, all points in an order that the sequential lock allows?
 *
 * The answer is exact. The search goes through the events once and keeps every set of pending calls
 * that may have had their effect already ("just in time": a call is given its point when one has
 * to return, or when having had it can only help). What holds the lock follows from the set, because
 * effects add up; so the sets are all there is to remember, few for as many calls as threads have
 * pending, and the time is linear in the length of the history.
 *
 * Source: the just-in-time search of Lowe, "Testing for linearizability", after Wing and Gong.
 */
#ifndef TESTS_LINEAR_H
#define TESTS_LINEAR_H

#include <stddef.h>

#include "sequential.h"

#define LINEAR_SLOTS 64 /* calls pending at the same time */

struct event {
    uint8_t slot; /* the pending call that begins or ends here */
    bool returns;
    struct call call; /* at a return: outcome, and what a look saw */
};

struct linear_result {
    bool complete;  /* every call has returned, once */
    bool ok;        /* linearizable */
    bool too_large; /* it could not be decided */
    size_t event;   /* the first return that can't have been */
    size_t most;    /* sets at the same time */
};

/* The events in the order in which they happened. Their calls' outcomes are filled in from the
 * returns. By one thread at a time. */
struct linear_result linear_check(struct event *events, size_t count, unsigned alone);

/* Prints the events that led to this one, and before them the calls that were pending meanwhile. */
void linear_print(const struct event *events, size_t last);

#endif
