/* SPDX-License-Identifier: MIT */
/*
 * The engine's own page cache, seen from one file.
 *
 * A read or write locks all its folios before it looks at the first and lets go after it has looked
 * at the last: that is what makes it atomic. The size is raised while they are locked, so write-back
 * never finds a dirty byte beyond the end of file, and whoever knows the new size finds the data.
 *
 * Of a valid block that holds the end of file, the rest is zero; no block beyond it is valid. So a
 * file grows over zeroes, whoever makes it grow.
 */
#include "span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/compiler.h>

static struct user_cache *user_cache(struct cache *cache)
{
    return caa_container_of(cache, struct user_cache, cache);
}

static int64_t round_down(int64_t offset)
{
    return offset - offset % FOLIO_BLOCK;
}

static int64_t round_up(int64_t offset)
{
    return round_down(offset + (FOLIO_BLOCK - 1));
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Between the cursor's window and locked folios; moves the cursor on. */
static void copy(const struct span *span, struct cursor *cursor, int64_t offset, int64_t length,
                 bool write)
{
    while (length > 0) {
        char *data = span_folio(span, offset)->data + span_within(span, offset);
        const int64_t room = span->cache->folio - span_within(span, offset);
        const size_t n = (size_t)smaller(room, length);

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
        const uint32_t end = (uint32_t)smaller(span->cache->folio, within + (to - from));
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
        const int64_t clipped = smaller(wanted, size);
        int64_t end = clipped;
        int result = 0;

        if (offset >= size)
            return 0;
        span_init_(span, span->cache, offset, clipped - offset);
        result = lock_valid(span, offset, &end, nowait);
        if (result)
            return result;
        if (smaller(wanted, user_size_(span->cache)) == clipped) {
            copy(span, cursor, offset, end - offset, false);
            span_unlock_(span);
            return end - offset;
        }
        span_unlock_(span);
    }
}

static void leave_nothing(struct user_cache *cache, int64_t offset, int64_t length);

static int64_t cache_read(struct cache *base, struct cursor *cursor, int64_t offset, unsigned flags)
{
    struct span span; /* large: filled in as far as it is used */
    int64_t moved = 0;

    span.cache = user_cache(base);
    moved = read_locked(&span, cursor, offset, flags & CACHE_NOWAIT);
    if (moved > 0 && (flags & CACHE_UNCACHED) && span.made > 0)
        leave_nothing(span.cache, offset, moved);
    return moved;
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
    if (round_down(at) < size)
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
        const uint32_t end = (uint32_t)smaller(span->cache->folio, within + (to - from));
        const uint32_t blocks = folio_blocks(within, end);
        struct folio *folio = span_folio(span, from);

        folio->valid |= blocks;
        writeback_dirtied_(span->cache, folio, blocks);
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
    const int saved = errno;
    int result = 0;

    if (offset <= user_size_(cache) || cache->block_device)
        return 0;
    result = ftruncate(cache->fd, offset) < 0 ? -errno : 0;
    errno = saved;
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

static int64_t write_locked(struct span *span, struct cursor *cursor, int64_t offset,
                            unsigned flags)
{
    struct user_cache *cache = span->cache;
    const int64_t length = (int64_t)cursor->window;
    int result = flusher_throttle_(cache->user, flags & CACHE_NOWAIT);

    if (result)
        return result;
    if (offset > INT64_MAX - FOLIO_MOST_SIZE - length)
        return -EFBIG;
    span_init_(span, cache, offset, length);
    result = lock_writable(span, offset, offset + length, flags & CACHE_NOWAIT);
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

static uint64_t folio_of(const struct user_cache *cache, int64_t offset)
{
    return (uint64_t)offset >> cache->shift;
}

static int write_back(struct user_cache *cache, int64_t offset, int64_t length)
{
    return length > 0 ? writeback_range_(cache, folio_of(cache, offset),
                                         folio_of(cache, offset + (length - 1)))
                      : 0;
}

static int64_t cache_write(struct cache *base, struct cursor *cursor, int64_t offset,
                           unsigned flags)
{
    struct user_cache *cache = user_cache(base);
    struct span span; /* large: filled in as far as it is used */
    int64_t moved = 0;
    int result = 0;

    span.cache = cache;
    moved = write_locked(&span, cursor, offset, flags);
    if (moved <= 0)
        return moved;
    if (flags & CACHE_DSYNC) {
        result = write_back(cache, offset, moved);
        if (result == 0)
            result = commit_run_(&cache->data_sync, true);
    }
    if ((flags & CACHE_UNCACHED) && !(flags & CACHE_NOWAIT) && span.made > 0)
        leave_nothing(cache, offset, moved);
    return result ? result : moved;
}

/* Taking out. */

/* The folio's lock is held exclusive; its blocks are not in the cache any more. Unlocks it. */
static void drop_blocks(struct user_cache *cache, struct folio *folio, uint32_t blocks)
{
    folio->valid &= ~blocks;
    if (folio->valid || __atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE)) {
        twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
        return;
    }
    index_remove_(&cache->index, folio->index, folio);
    folio->owner = NULL;
    arena_free_(cache->user->arena, folio, cache->folio);
}

enum drop {
    DROP_CLEAN,      /* what is dirty, or locked, stays */
    DROP_NOWAIT,     /* what is dirty stays; -EAGAIN if something is locked */
    DROP_EVERYTHING, /* waits */
};

static bool lock_to_drop(struct folio *folio, enum drop how)
{
    if (how != DROP_EVERYTHING)
        return twostate_iolock_try_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_acquire(&folio->lock, TWOSTATE_EXCLUSIVE);
    return true;
}

/* The blocks of a folio that [from, to) touches. */
static uint32_t blocks_in(const struct user_cache *cache, uint64_t number, int64_t from, int64_t to)
{
    const int64_t start = (int64_t)(number << cache->shift);
    const int64_t first = from > start ? from - start : 0;
    const int64_t last = smaller(to - start, cache->folio);

    return folio_blocks((uint32_t)first, (uint32_t)last);
}

static void drop_locked(struct user_cache *cache, struct folio *folio, uint32_t blocks,
                        enum drop how)
{
    const uint32_t both = blocks | blocks << 16;

    if (how == DROP_EVERYTHING)
        writeback_forget_(cache, folio, blocks);
    if (__atomic_load_n(&folio->dirty, __ATOMIC_ACQUIRE) & both)
        twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
    else
        drop_blocks(cache, folio, blocks);
}

/* Takes the blocks that [from, to) touches out of the cache. 0 or -EAGAIN. */
static int drop(struct user_cache *cache, int64_t from, int64_t to, enum drop how)
{
    const uint64_t last = folio_of(cache, to - 1);
    uint64_t number = folio_of(cache, from);

    while (number <= last) {
        struct folio *folio = index_next_(&cache->index, number, last, &number);

        if (folio == NULL)
            return 0;
        if (!lock_to_drop(folio, how)) {
            if (how == DROP_NOWAIT)
                return -EAGAIN;
        } else if (folio->owner != cache || folio->index != number) {
            twostate_iolock_release(&folio->lock, TWOSTATE_EXCLUSIVE);
        } else {
            drop_locked(cache, folio, blocks_in(cache, number, from, to), how);
        }
        number++;
    }
    return 0;
}

/* After uncached IO. What can't be written back stays: it must not be lost. */
static void leave_nothing(struct user_cache *cache, int64_t offset, int64_t length)
{
    if (write_back(cache, offset, length) == 0)
        drop(cache, round_down(offset), round_up(offset + length), DROP_CLEAN);
}

static int cache_write_back(struct cache *base, int64_t offset, int64_t length)
{
    return write_back(user_cache(base), offset, length);
}

static int cache_prepare(struct cache *base, int64_t offset, int64_t length, bool write,
                         bool nowait)
{
    struct user_cache *cache = user_cache(base);
    int result = 0;

    if (!writeback_clean_(cache, folio_of(cache, offset), folio_of(cache, offset + (length - 1)))) {
        if (nowait)
            return -EAGAIN;
        result = write_back(cache, offset, length);
    }
    if (result == 0 && write)
        result = drop(cache, offset, offset + length, nowait ? DROP_NOWAIT : DROP_EVERYTHING);
    return result;
}

/* Nothing came in while DIRECT was held. */
static int cache_invalidate(struct cache *base, int64_t offset, int64_t length)
{
    (void)base, (void)offset, (void)length;
    return 0;
}

static int cache_withdraw(struct cache *base, int64_t offset, int64_t length)
{
    struct user_cache *cache = user_cache(base);
    const int result = write_back(cache, offset, length);

    return result ? result : drop(cache, offset, offset + length, DROP_EVERYTHING);
}

/* The whole file. */

/* The file ends at `size` now: what a valid block shows behind it is zero. */
static void cut(struct user_cache *cache, int64_t size)
{
    const int64_t rest = round_up(size) - size;
    struct span span;
    uint32_t within = 0;

    drop(cache, round_up(size), INT64_MAX, DROP_EVERYTHING);
    if (rest == 0)
        return;
    span_init_(&span, cache, size, rest);
    if (!span_lock_(&span, TWOSTATE_EXCLUSIVE, false))
        return;
    within = span_within(&span, size);
    writeback_settle_(cache, span.folios[0], folio_blocks(within, within + 1));
    memset(span.folios[0]->data + within, 0, (size_t)rest);
    span_unlock_(&span);
}

static int set_disk_size(struct user_cache *cache, int64_t size)
{
    const int saved = errno;
    const int result = ftruncate(cache->fd, size) < 0 ? -errno : 0;

    errno = saved;
    return result;
}

/*
 * A file that becomes shorter does so on disk first: if the disk refuses, nothing has happened. What is
 * being written back meanwhile may make it longer again, until that has been waited for.
 */
static int cache_truncate(struct cache *base, int64_t size)
{
    struct user_cache *cache = user_cache(base);
    const int64_t old = user_size_(cache);
    int result = 0;

    if (size < old) {
        result = set_disk_size(cache, size);
        if (result)
            return result;
        __atomic_store_n(cache->size, size, __ATOMIC_RELEASE);
        cut(cache, size);
        return set_disk_size(cache, size);
    }
    result = set_disk_size(cache, size);
    if (result == 0)
        __atomic_store_n(cache->size, size, __ATOMIC_RELEASE);
    return result;
}

/* The kernel tells of a failure once: it is kept, for who asks later. */
static int sync_disk(struct user_cache *cache, bool data_only)
{
    const int fd = cache->sync_fd;
    const int saved = errno;
    int32_t none = 0;
    int result = 0;

    do {
        result = (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
    } while (result == -EINTR);
    errno = saved;
    if (result)
        __atomic_compare_exchange_n(&cache->lost, &none, result, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
    return __atomic_load_n(&cache->lost, __ATOMIC_ACQUIRE);
}

static int cache_sync(struct cache *base, bool data_only, bool *lost)
{
    struct user_cache *cache = user_cache(base);
    int result = writeback_all_(cache);

    if (result == 0) {
        result = sync_disk(cache, data_only);
        *lost = result != 0;
    }
    return result;
}

static int data_sync(struct commit *commit, bool data_only)
{
    return sync_disk(caa_container_of(commit, struct user_cache, data_sync), data_only);
}

static void cache_destroy(struct cache *base)
{
    struct user_cache *cache = user_cache(base);

    flusher_forget_(cache);
    drop(cache, 0, INT64_MAX, DROP_EVERYTHING);
    index_destroy_(&cache->index);
    commit_destroy_(&cache->data_sync);
    pthread_cond_destroy(&cache->written);
    pthread_mutex_destroy(&cache->unwritten);
    free(cache);
}

static const struct cache_ops user_cache_ops = {
    .read = cache_read,
    .write = cache_write,
    .prepare = cache_prepare,
    .invalidate = cache_invalidate,
    .write_back = cache_write_back,
    .withdraw = cache_withdraw,
    .truncate = cache_truncate,
    .sync = cache_sync,
    .destroy = cache_destroy,
    .knows_size = true,
};

int cache_user_create_(struct user_engine *user, const struct user_file *file,
                       struct cache **created)
{
    struct user_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return -ENOMEM;
    cache->cache.ops = &user_cache_ops;
    cache->user = user;
    cache->folio = file->folio;
    cache->shift = (uint32_t)__builtin_ctz(file->folio);
    cache->fd = file->fd;
    cache->direct_fd = file->direct_fd;
    cache->sync_fd = file->sync_fd;
    cache->size = file->size;
    cache->block_device = file->block_device;
    index_init_(&cache->index);
    commit_init_(&cache->data_sync, data_sync);
    pthread_mutex_init(&cache->unwritten, NULL);
    pthread_cond_init(&cache->written, NULL);
    CDS_INIT_LIST_HEAD(&cache->not_on_disk);
    pthread_mutex_lock(&user->mutex);
    cds_list_add_tail(&cache->node, &user->caches);
    pthread_mutex_unlock(&user->mutex);
    *created = &cache->cache;
    return 0;
}
