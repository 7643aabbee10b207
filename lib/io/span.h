/* SPDX-License-Identifier: MIT */
/* A span: the folios of one request, locked in ascending order. */
#ifndef TS_IO_SPAN_H
#define TS_IO_SPAN_H

#include <twostate/io.h>

#include "user.h"

#define SPAN_MOST    (TWOSTATE_IO_ATOMIC_MAX / 4096 + 1)
#define SPAN_LINE    64
#define SPAN_FETCHED 4    /* lines */
#define SPAN_WRITTEN 2048 /* bytes */

struct span {
    struct user_cache *cache;
    enum twostate_iomode mode;
    uint64_t first;
    uint32_t within; /* the first folio */
    unsigned count;
    unsigned made; /* of those that a request made the cache take in */
    struct folio *folios[SPAN_MOST];
};

/* length > 0, at most TWOSTATE_IO_ATOMIC_MAX. */
void span_init_(struct span *span, struct user_cache *cache, int64_t offset, int64_t length);

/*
 * Locks the folios, if all are in the cache. False, and nothing is locked, if one is not; with nowait
 * also if it would wait.
 */
bool span_lock_(struct span *span, enum twostate_iomode mode, bool nowait);

/*
 * Locks them exclusive, and takes those in that are missing, with no valid block. May wait for memory.
 * 0, -ENOMEM; with nowait -EAGAIN; or why the cache can't make room.
 */
int span_make_(struct span *span, bool nowait);

void span_unlock_(struct span *span);

/* The folio of a byte of the span, and where in the folio it is. */
static inline struct folio *span_folio(const struct span *span, int64_t offset)
{
    return span->folios[((uint64_t)offset >> span->cache->shift) - span->first];
}

static inline uint32_t span_within(const struct span *span, int64_t offset)
{
    return (uint32_t)offset & (span->cache->folio - 1);
}

/* The folio is locked: whether it still is the one that was looked for. */
static inline bool span_is_(const struct user_cache *cache, const struct folio *folio,
                            uint64_t number)
{
    return folio->owner == cache && folio->index == number;
}

/* Where the data of a folio is, without reading its descriptor. */
static inline const char *span_data_(const struct user_cache *cache, const struct folio *folio,
                                     uint32_t within)
{
    const struct arena_layout *layout = &cache->layout;

    return layout->memory + ((size_t)(folio - layout->folios) << cache->shift) + within;
}

/*
 * Taking a lock and giving it back each wait for memory: so what a request begins with is asked for
 * first, all at once. The folio itself need not be read for that; and the processor goes on by itself
 * from the first lines of its data.
 */
static inline void span_fetch_(const struct user_cache *cache, const struct folio *folio,
                               uint32_t within)
{
    const char *data = span_data_(cache, folio, within);

    __builtin_prefetch(folio, 1);
    for (unsigned line = 0; line < SPAN_FETCHED; line++)
        __builtin_prefetch(data + (size_t)line * SPAN_LINE);
}

/*
 * The same for who is about to write so many bytes through the folio's gate. Memory that is written to
 * comes later than memory that is read, and nothing else goes on until the gate is closed: so it pays to ask
 * for more of it.
 */
static inline void span_fetch_to_write_(const struct user_cache *cache, const struct folio *folio,
                                        uint32_t within, size_t length)
{
    const char *data = span_data_(cache, folio, within);
    const size_t most = length < SPAN_WRITTEN ? length : SPAN_WRITTEN;

    __builtin_prefetch(folio, 1);
    for (size_t at = 0; at < most; at += SPAN_LINE)
        __builtin_prefetch(data + at, 1);
}

/*
 * Locked exclusive. Reads from disk what is not valid of the blocks that [from, to) touches. Returns 0,
 * or an error and in *end up to where it is valid from `from` on.
 */
int span_fill_(struct span *span, int64_t from, int64_t to, int64_t *end);

#endif
