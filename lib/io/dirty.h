/* SPDX-License-Identifier: MIT */
/* What is on disk, and what is not. */
#ifndef TS_IO_DIRTY_H
#define TS_IO_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

struct folio;
struct user_cache;

/* The folio's lock is held exclusive. Blocks became dirty, or will before it is let go. */
void dirty_mark_(struct user_cache *cache, struct folio *folio, uint32_t blocks);
/* The same. Waits until none of the blocks is being written; and forgets that they are dirty. */
void dirty_settle_(struct user_cache *cache, struct folio *folio, uint32_t blocks);
void dirty_forget_(struct user_cache *cache, struct folio *folio, uint32_t blocks);
/* The write of some blocks has ended. The cache's `unwritten` is held. */
void dirty_done_(struct user_cache *cache, struct folio *folio, uint32_t blocks, bool failed);

/* Of the blocks of a folio that [from, to) touches, those that are not on disk. */
uint32_t dirty_in_(const struct user_cache *cache, const struct folio *folio, uint64_t number,
                   int64_t from, int64_t to);
/* Whether the blocks that [from, to) touches are on disk; stays so if nobody may write. */
bool dirty_clean_(struct user_cache *cache, int64_t from, int64_t to);

/* Before a write to the disk: waits while somebody holds it back. And after it, with the cache's `unwritten`
   held. Batches do the same. */
void dirty_set_out_(struct user_cache *cache);
void dirty_arrived_(struct user_cache *cache);
/* Waits until nothing is on its way to the disk, and keeps it so until dirty_go_on_. */
void dirty_hold_(struct user_cache *cache);
void dirty_go_on_(struct user_cache *cache);

#endif
