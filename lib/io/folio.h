/* SPDX-License-Identifier: MIT */
/* A folio: a piece of a file in memory, as large for all of a file, cut into blocks of 4 KiB. */
#ifndef TS_IO_FOLIO_H
#define TS_IO_FOLIO_H

#include <stdbool.h>
#include <stdint.h>

#include <urcu/list.h>

#include <twostate/iolock.h>

#define FOLIO_BLOCK     4096U
#define FOLIO_MOST_SIZE 65536U /* 16 blocks */
#define FOLIO_DIRTY     0xffffU
#define FOLIO_WRITING   0xffff0000U

struct user_cache;

/*
 * A folio's descriptor and its memory stay until the engine ends, and serve one file after another:
 * who found a folio without a lock must lock it and look whether it still is the one that he meant. What
 * a cached read or write looks at is in its first cache line.
 */
struct folio {
    /* To be taken by folio_lock.h's calls. Exclusive: to change the owner, the index, the data or `valid`, and to make blocks dirty.
       Shared: to read them. */
    struct twostate_iolock lock;
    struct user_cache *owner; /* NULL: free */
    uint64_t index;           /* its offset in the file, in folios */
    char *data;
    uint32_t valid; /* one bit a block: the data is that of the file */

    /*
     * Atomic. Low half: one bit a block that is dirty, newer than the disk. High half: one bit a block
     * that is being written back, so newer too; a block may be both. Who holds the lock exclusive makes
     * blocks dirty and moves them to the high half; the end of the write clears them there, or moves
     * them down again if it failed. While this is not 0 the folio stays what it is.
     */
    uint32_t dirty;

    uint32_t gate; /* closed: a write that is a hit is in; atomic, see folio_lock.h */
    uint32_t used; /* since the eviction last came by; atomic */

    /* Under the owner's mutex of what is not on disk. */
    bool listed;
    uint64_t dirtied; /* how many syncs of the file had begun when its dirty blocks became so, */
    uint64_t again;   /* and those that became dirty while it was being written */
    int64_t since;    /* when it was listed, in ns */
    struct cds_list_head node;

    uint32_t next_free; /* arena.c's */
} __attribute__((aligned(64)));

static inline void folio_mark_used(struct folio *folio)
{
    if (!__atomic_load_n(&folio->used, __ATOMIC_RELAXED))
        __atomic_store_n(&folio->used, 1, __ATOMIC_RELAXED);
}

/* The bits of the blocks that [from, to) of a folio touches; from < to. */
static inline uint32_t folio_blocks(uint32_t from, uint32_t to)
{
    const uint32_t first = from / FOLIO_BLOCK;
    const uint32_t last = (to - 1) / FOLIO_BLOCK;

    return ((UINT32_C(2) << last) - 1) & ~((UINT32_C(1) << first) - 1);
}

#endif
