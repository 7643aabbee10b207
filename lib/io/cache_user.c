/* SPDX-License-Identifier: MIT */
/*
 * The engine's own page cache, as the engine calls it.
 *
 * Of a valid block that holds the end of file, the rest is zero; no block beyond it is valid. So a
 * file grows over zeroes, whoever makes it grow.
 */
#include "dirty.h"
#include "span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu/compiler.h>

#define MOST_AHEAD INT64_C(1048576)

static struct user_cache *user_cache(struct cache *cache)
{
    return caa_container_of(cache, struct user_cache, cache);
}

static int64_t cache_read(struct cache *base, struct cursor *cursor, int64_t offset, unsigned flags)
{
    return user_read_(user_cache(base), cursor, offset, flags);
}

static int64_t cache_write(struct cache *base, struct cursor *cursor, int64_t offset,
                           unsigned flags)
{
    return user_write_(user_cache(base), cursor, offset, flags);
}

static void cache_fetch(struct cache *base, int64_t offset, int64_t length)
{
    user_fetch_(user_cache(base), offset, length);
}

static int cache_write_back(struct cache *base, int64_t offset, int64_t length)
{
    return user_write_back_(user_cache(base), offset, length);
}

static int64_t cache_read_dirty(struct cache *base, struct cursor *cursor, int64_t offset)
{
    return user_read_dirty_(user_cache(base), cursor, offset);
}

/* What is written on disk, and is dirty, may lie behind the end that the file has there. */
static bool may_pass_end(struct user_cache *cache, int64_t from, int64_t to)
{
    return to > user_size_(cache) || !dirty_clean_(cache, from, to);
}

static int cache_prepare(struct cache *base, int64_t offset, int64_t length,
                         struct cache_kept *kept, bool nowait)
{
    struct user_cache *cache = user_cache(base);
    int result = 0;

    if (kept && may_pass_end(cache, offset, offset + length) &&
        !writeback_end_first_(cache, nowait))
        return -EAGAIN;
    if (kept && user_keep_(cache, offset, offset + length, kept))
        return 0;
    if (!dirty_clean_(cache, offset, offset + length)) {
        if (nowait)
            return -EAGAIN;
        result = user_write_back_(cache, offset, length);
    }
    if (result == 0 && kept)
        result = user_drop_(cache, offset, offset + length, nowait ? DROP_NOWAIT : DROP_EVERYTHING);
    return result;
}

/* Nothing came in while DIRECT was held. */
static int64_t cache_wrote(struct cache *base, int64_t offset, int64_t length, int64_t moved,
                           struct cache_kept *kept)
{
    return user_let_go_(user_cache(base), offset, moved < length ? moved : length, kept);
}

static int cache_withdraw(struct cache *base, int64_t offset, int64_t length)
{
    struct user_cache *cache = user_cache(base);
    const int result = user_write_back_(cache, offset, length);

    return result ? result : user_drop_(cache, offset, offset + length, DROP_EVERYTHING);
}

static int cache_punch(struct cache *base, int64_t offset, int64_t length,
                       int (*punch)(void *context), void *context)
{
    return user_punch_(user_cache(base), offset, offset + length, punch, context);
}

/* The whole file. */

/* The file ends at `size` now: what a valid block shows behind it is zero. */
static void cut(struct user_cache *cache, int64_t size)
{
    const int64_t rest = user_round_up_(size) - size;
    struct span span;
    uint32_t within = 0;

    user_drop_(cache, user_round_up_(size), INT64_MAX, DROP_EVERYTHING);
    if (rest == 0)
        return;
    span_init_(&span, cache, size, rest);
    if (!span_lock_(&span, TWOSTATE_EXCLUSIVE, false))
        return;
    within = span_within(&span, size);
    dirty_settle_(cache, span.folios[0], folio_blocks(within, within + 1));
    memset(span.folios[0]->data + within, 0, (size_t)rest);
    span_unlock_(&span);
}

/*
 * A file that becomes shorter does so on disk first: if the disk refuses, nothing has happened. (If it
 * fails, it may have happened all the same.) What is being written back meanwhile may make the file
 * longer again, until that has been waited for.
 */
static int cache_truncate(struct cache *base, int64_t size)
{
    struct user_cache *cache = user_cache(base);
    const int64_t old = user_size_(cache);
    const int64_t on_disk = user_disk_size_(cache);
    const int result = user_set_disk_size_(cache, size);
    int again = 0;

    if (result && (on_disk == size || user_disk_size_(cache) != size))
        return result;
    __atomic_store_n(cache->size, size, __ATOMIC_RELEASE);
    if (size >= old)
        return result;
    cut(cache, size);
    again = user_set_disk_size_(cache, size);
    return result ? result : again;
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

    *lost = false;
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
    user_drop_(cache, 0, INT64_MAX, DROP_EVERYTHING);
    index_destroy_(&cache->index);
    commit_destroy_(&cache->data_sync);
    pthread_cond_destroy(&cache->written);
    pthread_mutex_destroy(&cache->unwritten);
    free(cache);
}

static const struct cache_ops user_cache_ops = {
    .piece = TWOSTATE_IO_ATOMIC_MAX,
    .hit = user_hit_,
    .read = cache_read,
    .write = cache_write,
    .fetch = cache_fetch,
    .read_dirty = cache_read_dirty,
    .prepare = cache_prepare,
    .wrote = cache_wrote,
    .write_back = cache_write_back,
    .withdraw = cache_withdraw,
    .punch = cache_punch,
    .truncate = cache_truncate,
    .sync = cache_sync,
    .destroy = cache_destroy,
    .knows_size = true,
};

int cache_user_create_(struct user_engine *user, const struct user_file *file,
                       struct cache **created)
{
    struct user_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL || arena_layout_(user->arena, file->folio, &cache->layout)) {
        free(cache);
        return -ENOMEM;
    }
    cache->cache.ops = &user_cache_ops;
    cache->user = user;
    cache->folio = file->folio;
    cache->shift = (uint32_t)__builtin_ctz(file->folio);
    cache->fd = file->fd;
    cache->direct_fd = file->direct_fd;
    cache->sync_fd = file->sync_fd;
    cache->size = file->size;
    cache->block_device = file->block_device;
    cache->read_ahead = file->read_ahead;
    cache->context = file->context;
    cache->window = user_smaller_(MOST_AHEAD, (int64_t)(user->options.bytes / 16));
    cache->last_end = -1;
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
