/* SPDX-License-Identifier: MIT */
/*
 * The index of a user cache: its folios by number. Look-ups take no lock; they run beside each other
 * and beside changes, under RCU. A folio that is in the index all the time is found.
 */
#ifndef TS_IO_INDEX_H
#define TS_IO_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

#include "../aligned.h"

struct folio;
struct index_node;

struct index {
    pthread_mutex_t mutex;   /* changes */
    struct index_node *root; /* RCU */
    aligned_u64 bytes;       /* atomic */
};

/* Any number of folios up to 2^63 - 1. */
void index_init_(struct index *index);
/* Frees what is left; nobody is looking any more, and no folio is in it. */
void index_destroy_(struct index *index);

/* The folio, or NULL. It may be another's by the time that the caller looks at it: see folio.h. */
struct folio *index_find_(struct index *index, uint64_t number);

/*
 * Puts the folio in, unless there is one: then *there is that one. 0, -EEXIST, or -ENOMEM: nothing
 * has changed.
 */
int index_insert_(struct index *index, uint64_t number, struct folio *folio, struct folio **there);

/* Takes out what is there, which must be the folio. Nodes that become empty are freed, later. */
void index_remove_(struct index *index, uint64_t number, struct folio *folio);

/* The first folio with a number from `from` to `last`, and its number in *number; or NULL. */
struct folio *index_next_(struct index *index, uint64_t from, uint64_t last, uint64_t *number);

/* Bytes of memory that the index has; without nodes that wait to be freed. */
uint64_t index_bytes_(struct index *index);

/*
 * Frees the nodes that left an index, of whatever engine, once there are some dozens: waits until no
 * look-up can be at them, some microseconds as a rule. To be called now and then by a thread that
 * may wait; if nobody does, removals do it, more rarely.
 */
void index_reclaim_(void);

#endif
