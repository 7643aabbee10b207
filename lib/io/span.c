/* SPDX-License-Identifier: MIT */
/*
 * Locking the folios of a request.
 *
 * Found without a lock, a folio may have been evicted, and serve another file, by the time that its
 * lock is held: so look again then. Memory for those that may be missing is reserved before the first
 * lock is taken; for all of the span, because those that are there now may be evicted meanwhile.
 */
#include "span.h"

#include <errno.h>
#include <time.h>

#include <twostate/validate.h>

#define LOOK_AGAIN_NS 2000000

void span_init_(struct span *span, struct user_cache *cache, int64_t offset, int64_t length)
{
    const uint64_t last = (uint64_t)(offset + (length - 1)) >> cache->shift;

    span->cache = cache;
    span->first = (uint64_t)offset >> cache->shift;
    span->within = span_within(span, offset);
    span->count = (unsigned)(last - span->first) + 1;
    span->made = 0;
}

static void unlock_first(struct span *span, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        folio_unlock_(span->folios[i], span->mode);
}

void span_unlock_(struct span *span)
{
    unlock_first(span, span->count);
}

/*
 * With others locked one can't wait for long for a folio that was only found: it may have been evicted
 * since, and be locked as a lower one now, by who waits for one of ours. So one looks again.
 */
static int wait_for_lock(struct folio *folio, enum twostate_iomode mode, bool others)
{
    struct timespec soon;

    if (!others) {
        folio_lock_(folio, mode);
        return 0;
    }
    clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_nsec += LOOK_AGAIN_NS;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_sec++;
        soon.tv_nsec -= 1000000000;
    }
    return folio_lock_timed_(folio, mode, &soon);
}

/* Locked, or NULL: it is not in the cache. -EAGAIN: nowait, and it is locked. */
static int lock_found(struct span *span, uint64_t number, bool nowait, struct folio **found)
{
    for (;;) {
        struct folio *folio = index_find_(&span->cache->index, number);

        *found = folio;
        if (folio == NULL)
            return 0;
        if (number == span->first)
            span_fetch_(span->cache, folio, span->within);
        if (!folio_try_lock_(folio, span->mode)) {
            if (nowait)
                return -EAGAIN;
            if (wait_for_lock(folio, span->mode, number > span->first))
                continue;
        }
        if (span_is_(span->cache, folio, number)) {
            folio_mark_used(folio);
            return 0;
        }
        folio_unlock_(folio, span->mode);
    }
}

bool span_lock_(struct span *span, enum twostate_iomode mode, bool nowait)
{
    span->mode = mode;
    for (unsigned i = 0; i < span->count; i++) {
        if (lock_found(span, span->first + i, nowait, &span->folios[i]) ||
            span->folios[i] == NULL) {
            unlock_first(span, i);
            return false;
        }
    }
    return true;
}

/* A reservation, and what was taken out of it but not needed. */
struct stock {
    struct user_cache *cache;
    unsigned reserved;
    struct folio *spare;
};

static struct folio *take(struct stock *stock)
{
    struct folio *folio = stock->spare;

    stock->spare = NULL;
    if (folio == NULL) {
        folio = arena_take_(stock->cache->user->arena, stock->cache->folio);
        stock->reserved--;
    }
    return folio;
}

static void give_back(struct stock *stock)
{
    struct user_cache *cache = stock->cache;

    if (stock->spare)
        arena_free_(cache->user->arena, stock->spare, cache->folio);
    if (stock->reserved > 0)
        arena_unreserve_(cache->user->arena, cache->folio, stock->reserved);
}

/* Takes a folio in. NULL in *made: somebody else just did. */
static int make_one(struct span *span, uint64_t number, struct stock *stock, struct folio **made)
{
    struct folio *folio = take(stock);
    struct folio *there = NULL;
    int result = 0;

    folio->owner = span->cache;
    folio->index = number;
    folio->valid = 0;
    folio_mark_used(folio);
    result = index_insert_(&span->cache->index, number, folio, &there);
    *made = result ? NULL : folio;
    if (result == 0) {
        span->made++;
        return 0;
    }
    folio->owner = NULL;
    stock->spare = folio;
    return result == -EEXIST ? 0 : result;
}

static int lock_or_make(struct span *span, unsigned i, bool nowait, struct stock *stock)
{
    const uint64_t number = span->first + i;
    struct folio *folio = NULL;
    int result = 0;

    while (result == 0 && folio == NULL) {
        result = lock_found(span, number, nowait, &folio);
        if (result == 0 && folio == NULL)
            result = make_one(span, number, stock, &folio);
    }
    span->folios[i] = folio;
    return result;
}

int span_make_(struct span *span, bool nowait)
{
    struct user_engine *user = span->cache->user;
    struct stock stock = {.cache = span->cache, .reserved = span->count};
    struct flusher_wait wait = {.cache = span->cache};
    int result =
        arena_reserve_(user->arena, span->cache->folio, span->count, nowait, flusher_stuck_, &wait);

    if (result)
        return result;
    span->mode = TWOSTATE_EXCLUSIVE;
    for (unsigned i = 0; i < span->count && result == 0; i++) {
        result = lock_or_make(span, i, nowait, &stock);
        if (result)
            unlock_first(span, i);
    }
    give_back(&stock);
    return result;
}
