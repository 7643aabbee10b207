/* SPDX-License-Identifier: MIT */
/* Batches: blocks that are copied out of their folios and leave for the disk together. */
#ifndef TS_IO_BATCH_H
#define TS_IO_BATCH_H

#include <stdbool.h>
#include <stdint.h>

struct folio;
struct user_cache;
struct user_engine;

/* What one call of write-back writes. */
struct pass {
    struct user_cache *cache;
    struct batch *batch; /* being filled, or NULL */
    bool patient;        /* waits for what others are writing, and writes what is dirty then */
    unsigned pending;    /* batches on their way, and */
    int error;           /* the first; under the cache's `unwritten`, as the next */
    uint64_t bytes;      /* written */
};

/* Some blocks of a folio, in a write. */
struct part {
    struct folio *folio;
    uint32_t blocks;
};

/* After which the one that is being filled has room for a folio; it may leave for that. */
void batch_have_room_(struct pass *pass);
/* Copies adjacent whole blocks of a folio, which is locked, into it. Waits for one, if none is being
   filled. */
void batch_add_(struct pass *pass, struct folio *folio, uint32_t first, uint32_t count);
/* Lets the one that is being filled, if there is one, leave; waits for nothing but dirty_hold_. last: the
   caller is going to wait for it, and sends no other. */
void batch_submit_(struct pass *pass, bool last);

/* Parts, written by whoever, have got to the disk, or not. The cache's `unwritten` is held. */
void batch_parts_done_(struct pass *pass, const struct part *parts, unsigned count, int error);

/* The memory of an engine's batches. 0 or -ENOMEM. */
int batches_create_(struct user_engine *user);
void batches_destroy_(struct user_engine *user);

#endif
