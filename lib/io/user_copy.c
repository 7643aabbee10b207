/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing through a user cache.
 *
 * A read or write locks all its folios before it looks at the first and lets go after it has looked
 * at the last: that is what makes it atomic. The size is raised while they are locked, so write-back
 * never finds a dirty byte beyond the end of file, and whoever knows the new size finds the data.
 */
#include "dirty.h"
#include "span.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FETCH_PIECE INT64_C(262144)

/* Between the cursor's window and locked folios; moves the cursor on. */
static void copy(const struct span *span, struct cursor *cursor, int64_t offset, int64_t length,
                 bool write)
{
    while (length > 0) {
        char *data = span_folio(span, offset)->data + span_within(span, offset);
        const int64_t room = span->cache->folio - span_within(span, offset);
        const size_t n = (size_t)user_smaller_(room, length);

        if (write)
            cursor_copy_out_(cursor, data, n);
        else
            cursor_copy_in_(cursor, data, n);
        cursor_advance_(cursor, n);
        offset += (int64_t)n;
        length -= (int64_t)n;
    }
}

static bool all_valid(const struct span *span, int64_t from, int64_t to)
{
    while (from < to) {
        const uint32_t within = span_within(span, from);
        const uint32_t end = (uint32_t)user_smaller_(span->cache->folio, within + (to - from));
        const uint32_t blocks = folio_blocks(within, end);

        if ((span_folio(span, from)->valid & blocks) != blocks)
            return false;
        from += end - within;
    }
    return true;
}

/* Reading. */

/* Locks the folios of [offset, end) with everything in them that is to be read. */
static int lock_valid(struct span *span, int64_t offset, int64_t *end, bool nowait)
{
    int64_t valid = 0;
    int result = 0;

    if (span_lock_(span, TWOSTATE_SHARED, nowait)) {
        if (all_valid(span, offset, *end))
            return 0;
        span_unlock_(span);
    }
    if (nowait)
        return -EAGAIN;
    result = span_make_(span, false);
    if (result)
        return result;
    result = span_fill_(span, offset, *end, &valid);
    if (result == 0)
        return 0;
    if (valid > offset) {
        *end = valid;
        return 0;
    }
    span_unlock_(span);
    return result;
}

/* The end of file may move while the locks are taken: then the read has to see where it went. */
static int64_t read_locked(struct span *span, struct cursor *cursor, int64_t offset, bool nowait)
{
    const int64_t wanted = offset + (int64_t)cursor->window;

    for (;;) {
        const int64_t size = user_size_(span->cache);
        const int64_t clipped = user_smaller_(wanted, size);
        int64_t end = clipped;
        int result = 0;

        if (offset >= size)
            return 0;
        span_init_(span, span->cache, offset, clipped - offset);
        result = lock_valid(span, offset, &end, nowait);
        if (result)
            return result;
        if (user_smaller_(wanted, user_size_(span->cache)) == clipped) {
            copy(span, cursor, offset, end - offset, false);
            span_unlock_(span);
            return end - offset;
        }
        span_unlock_(span);
    }
}

void user_fetch_(struct user_cache *cache, int64_t offset, int64_t length)
{
    const int64_t size = user_size_(cache);
    const int64_t end = size - offset < length ? size : offset + length;
    struct span span;

    span.cache = cache;
    while (offset < end) {
        const int64_t piece = user_smaller_(end - offset, FETCH_PIECE);
        int64_t valid = 0;
        int result = 0;

        span_init_(&span, cache, offset, piece);
        if (span_make_(&span, false))
            return;
        result = span_fill_(&span, offset, offset + piece, &valid);
        span_unlock_(&span);
        if (result)
            return;
        offset += piece;
    }
}

static void ask_ahead(struct user_cache *cache, int64_t from)
{
    if (from < user_size_(cache) && cache->read_ahead(cache->context, from, cache->window))
        __atomic_store_n(&cache->ahead, from + cache->window, __ATOMIC_RELAXED);
}

/* A second miss in a row starts it; who then reads in the window that was read last asks for the next. */
static void look_ahead(struct user_cache *cache, int64_t offset, int64_t end, bool missed)
{
    const int64_t ahead = __atomic_load_n(&cache->ahead, __ATOMIC_RELAXED);

    if (offset < ahead && offset >= ahead - cache->window) {
        ask_ahead(cache, ahead);
    } else if (missed) {
        if (__atomic_exchange_n(&cache->last_end, end, __ATOMIC_RELAXED) == offset)
            ask_ahead(cache, end);
    }
}

int64_t user_read_(struct user_cache *cache, struct cursor *cursor, int64_t offset, unsigned flags)
{
    struct span span; /* large: filled in as far as it is used */
    int64_t moved = 0;

    span.cache = cache;
    moved = read_locked(&span, cursor, offset, flags & CACHE_NOWAIT);
    if (moved > 0 && (flags & CACHE_UNCACHED)) {
        if (span.made > 0)
            user_leave_nothing_(cache, offset, moved);
    } else if (moved > 0) {
        look_ahead(cache, offset, offset + moved, span.made > 0);
    }
    return moved;
}

int64_t user_read_dirty_(struct user_cache *cache, struct cursor *cursor, int64_t offset)
{
    const int64_t end = user_smaller_(offset + (int64_t)cursor->window, user_size_(cache));
    struct span span; /* large: filled in as far as it is used */
    bool valid = false;

    if (offset >= end || dirty_clean_(cache, offset, end))
        return -EAGAIN;
    span_init_(&span, cache, offset, end - offset);
    if (!span_lock_(&span, TWOSTATE_SHARED, true))
        return -EAGAIN;
    valid = all_valid(&span, offset, end);
    if (valid)
        copy(&span, cursor, offset, end - offset, false);
    span_unlock_(&span);
    return valid ? end - offset : -EAGAIN;
}

/* Writing. */

/* The block that holds `at` is overwritten in part only: the rest of it has to be there first. */
static int complete_block(struct span *span, int64_t at, int64_t size)
{
    const uint32_t within = span_within(span, at);
    const uint32_t block = folio_blocks(within, within + 1);
    struct folio *folio = span_folio(span, at);
    int64_t end = 0;

    if (folio->valid & block)
        return 0;
    if (user_round_down_(at) < size)
        return span_fill_(span, at, at + 1, &end);
    memset(folio->data + (within - within % FOLIO_BLOCK), 0, FOLIO_BLOCK);
    folio->valid |= block;
    return 0;
}

static int complete_edges(struct span *span, int64_t offset, int64_t end)
{
    const int64_t size = user_size_(span->cache);
    int result = 0;

    if (offset % FOLIO_BLOCK)
        result = complete_block(span, offset, size);
    if (result == 0 && end % FOLIO_BLOCK)
        result = complete_block(span, end - 1, size);
    return result;
}

static void made_dirty(struct span *span, int64_t from, int64_t to)
{
    while (from < to) {
        const uint32_t within = span_within(span, from);
        const uint32_t end = (uint32_t)user_smaller_(span->cache->folio, within + (to - from));
        const uint32_t blocks = folio_blocks(within, end);
        struct folio *folio = span_folio(span, from);

        folio->valid |= blocks;
        dirty_mark_(span->cache, folio, blocks);
        from += end - within;
    }
}

/* Whoever makes the file larger holds the size lock; others only read the size. */
static void raise_size(struct user_cache *cache, int64_t end)
{
    if (end > user_size_(cache))
        __atomic_store_n(cache->size, end, __ATOMIC_RELEASE);
}

/*
 * A write that leaves a gap behind the end of file. Nothing of the gap will ever be written back: so
 * the file on disk has to grow over it, for those who read it directly.
 */
static int grow_over_gap(struct user_cache *cache, int64_t offset)
{
    const int64_t size = user_size_(cache);
    int result = 0;

    if (offset <= size || cache->block_device)
        return 0;
    result = user_set_disk_size_(cache, offset);
    if (result && user_disk_size_(cache) > size)
        user_set_disk_size_(cache, size);
    return result;
}

static bool edges_valid(const struct span *span, int64_t offset, int64_t end)
{
    return (offset % FOLIO_BLOCK == 0 || all_valid(span, offset, offset + 1)) &&
           (end % FOLIO_BLOCK == 0 || all_valid(span, end - 1, end));
}

/* Locks the folios of [offset, end), with what the write leaves of their blocks. */
static int lock_writable(struct span *span, int64_t offset, int64_t end, bool nowait)
{
    int result = 0;

    if (span_lock_(span, TWOSTATE_EXCLUSIVE, nowait)) {
        if (edges_valid(span, offset, end))
            return 0;
        result = nowait ? -EAGAIN : complete_edges(span, offset, end);
    } else {
        result = nowait ? -EAGAIN : span_make_(span, false);
        if (result)
            return result;
        result = complete_edges(span, offset, end);
    }
    if (result)
        span_unlock_(span);
    return result;
}

/* Waits for the disk, whatever is in the cache. */
static bool takes_time(const struct user_cache *cache, int64_t offset, unsigned flags)
{
    return (flags & CACHE_DSYNC) || (offset > user_size_(cache) && !cache->block_device);
}

static int64_t write_locked(struct span *span, struct cursor *cursor, int64_t offset,
                            unsigned flags)
{
    struct user_cache *cache = span->cache;
    const bool nowait = flags & CACHE_NOWAIT;
    int64_t length = (int64_t)cursor->window;
    int result =
        nowait && takes_time(cache, offset, flags) ? -EAGAIN : flusher_throttle_(cache, nowait);

    if (result == 0 && cache->block_device && offset >= user_size_(cache))
        result = -ENOSPC;
    if (result)
        return result;
    if (cache->block_device)
        length = user_smaller_(length, user_size_(cache) - offset);
    if (offset > INT64_MAX - FOLIO_MOST_SIZE - length)
        return -EFBIG;
    span_init_(span, cache, offset, length);
    result = lock_writable(span, offset, offset + length, nowait);
    if (result)
        return result;
    result = grow_over_gap(cache, offset);
    if (result) {
        span_unlock_(span);
        return result;
    }
    copy(span, cursor, offset, length, true);
    made_dirty(span, offset, offset + length);
    raise_size(cache, offset + length);
    span_unlock_(span);
    return length;
}

int64_t user_write_(struct user_cache *cache, struct cursor *cursor, int64_t offset, unsigned flags)
{
    struct span span; /* large: filled in as far as it is used */
    int64_t moved = 0;
    int result = 0;

    span.cache = cache;
    moved = write_locked(&span, cursor, offset, flags);
    if (moved <= 0)
        return moved;
    if (flags & CACHE_DSYNC) {
        result = user_write_back_(cache, offset, moved);
        if (result == 0)
            result = commit_run_(&cache->data_sync, true);
    }
    if ((flags & CACHE_UNCACHED) && !(flags & CACHE_NOWAIT) && span.made > 0)
        user_leave_nothing_(cache, offset, moved);
    return result ? result : moved;
}
