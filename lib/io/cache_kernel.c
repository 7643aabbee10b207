/* SPDX-License-Identifier: MIT */
/*
 * The kernel's page cache as the engine's cache.
 *
 * The kernel looks after coherence with direct IO itself, as long as no buffered IO runs beside it:
 * its direct paths write back and invalidate the range first, and invalidate it again afterwards.
 * What it does not promise everywhere is that a buffered read sees all or nothing of a buffered
 * write (ext4 and btrfs copy without a common lock): the range locks here do.
 */
#include "backend.h"
#include "cache.h"
#include "range.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu/compiler.h>

#include <twostate/validate.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

struct kernel_cache {
    struct cache cache;
    int fd;
    int sync_fd;
    uint32_t no_dontcache; /* the file system answered -EOPNOTSUPP once */
    struct range_locks ranges;
};

static struct kernel_cache *kernel_cache(struct cache *cache)
{
    return caa_container_of(cache, struct kernel_cache, cache);
}

static bool has_dontcache(const struct kernel_cache *cache)
{
    return !__atomic_load_n(&cache->no_dontcache, __ATOMIC_RELAXED);
}

static int rw_flags(const struct kernel_cache *cache, unsigned flags)
{
    return (flags & CACHE_DSYNC ? RWF_DSYNC : 0) | (flags & CACHE_NOWAIT ? RWF_NOWAIT : 0) |
           ((flags & CACHE_UNCACHED) && has_dontcache(cache) ? RWF_DONTCACHE : 0);
}

/* Without RWF_DONTCACHE: write the range back now, which may wait, and drop its pages. */
static void drop(const struct kernel_cache *cache, int64_t offset, int64_t length, bool wrote)
{
    if (wrote)
        sync_file_range(cache->fd, offset, length,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                            SYNC_FILE_RANGE_WAIT_AFTER);
    posix_fadvise(cache->fd, offset, length, POSIX_FADV_DONTNEED);
}

static int64_t transfer(struct kernel_cache *cache, struct cursor *cursor, int64_t offset,
                        unsigned flags, bool write)
{
    struct backend_op op = {.fd = cache->fd, .offset = offset, .write = write};
    int64_t moved = 0;

    op.rw_flags = rw_flags(cache, flags);
    moved = backend_move_(&op, cursor, 1);
    if (moved == -EOPNOTSUPP && (op.rw_flags & RWF_DONTCACHE)) {
        op.rw_flags &= ~RWF_DONTCACHE;
        moved = backend_move_(&op, cursor, 1);
        if (moved != -EOPNOTSUPP) /* else it is RWF_NOWAIT that is missing */
            __atomic_store_n(&cache->no_dontcache, 1, __ATOMIC_RELAXED);
    }
    if (moved > 0 && (flags & CACHE_UNCACHED) && !(flags & CACHE_NOWAIT) && !has_dontcache(cache))
        drop(cache, offset, moved, write);
    return moved;
}

static int64_t locked_transfer(struct cache *base, struct cursor *cursor, int64_t offset,
                               unsigned flags, bool write)
{
    struct kernel_cache *cache = kernel_cache(base);
    const enum twostate_iomode mode = write ? TWOSTATE_EXCLUSIVE : TWOSTATE_SHARED;
    const int64_t length = (int64_t)cursor->window;
    const int saved = errno;
    int64_t moved = 0;

    if ((flags & CACHE_NOWAIT) && (flags & CACHE_DSYNC)) /* the kernel would wait for the disk */
        return -EAGAIN;
    if (!range_lock_(&cache->ranges, offset, length, mode, flags & CACHE_NOWAIT))
        return -EAGAIN;
    moved = transfer(cache, cursor, offset, flags, write);
    range_unlock_(&cache->ranges, offset, length, mode);
    errno = saved;
    /* A file system that can't tell whether it would wait can't promise not to. */
    return moved == -EOPNOTSUPP && (flags & CACHE_NOWAIT) ? -EAGAIN : moved;
}

static int64_t cache_read(struct cache *cache, struct cursor *cursor, int64_t offset,
                          unsigned flags)
{
    return locked_transfer(cache, cursor, offset, flags, false);
}

static int64_t cache_write(struct cache *cache, struct cursor *cursor, int64_t offset,
                           unsigned flags)
{
    return locked_transfer(cache, cursor, offset, flags, true);
}

/* The kernel's direct paths do this themselves, in the same system call. */
static int cache_prepare(struct cache *cache, int64_t offset, int64_t length,
                         struct cache_kept *kept, bool nowait)
{
    (void)cache, (void)offset, (void)length, (void)kept, (void)nowait;
    return 0;
}

/* The descriptor is the cache. */
static int cache_nothing(struct cache *cache, int64_t offset, int64_t length)
{
    (void)cache, (void)offset, (void)length;
    return 0;
}

/* The kernel invalidates after a write that moved something; not after one that failed. */
static int64_t cache_wrote(struct cache *base, int64_t offset, int64_t length, int64_t moved,
                           struct cache_kept *kept)
{
    (void)kept;
    if (moved < length && moved != -EAGAIN && moved != -ECANCELED)
        posix_fadvise(kernel_cache(base)->fd, offset, length, POSIX_FADV_DONTNEED);
    return moved;
}

static int answer(int result, int saved)
{
    const int error = result < 0 ? -errno : 0;

    errno = saved;
    return error;
}

static int cache_truncate(struct cache *base, int64_t size)
{
    const int saved = errno;
    int result = 0;

    do {
        result = ftruncate(kernel_cache(base)->fd, size);
    } while (result < 0 && errno == EINTR);
    return answer(result, saved);
}

/* A second attempt would succeed without having written anything. */
static int cache_sync(struct cache *base, bool data_only, bool *lost)
{
    const int fd = kernel_cache(base)->sync_fd;
    const int saved = errno;
    int result = 0;

    do {
        result = data_only ? fdatasync(fd) : fsync(fd);
    } while (result < 0 && errno == EINTR);
    *lost = result < 0;
    return answer(result, saved);
}

static void cache_destroy(struct cache *base)
{
    struct kernel_cache *cache = kernel_cache(base);

    twostate_validate_free(cache, sizeof(*cache));
    free(cache);
}

/* What it locks of the file while it copies is the kernel's affair, and its memory none of ours. */
static const struct cache_ops kernel_cache_ops = {
    .piece = RANGE_MOST,
    .read = cache_read,
    .write = cache_write,
    .prepare = cache_prepare,
    .wrote = cache_wrote,
    .write_back = cache_nothing,
    .withdraw = cache_nothing,
    .truncate = cache_truncate,
    .sync = cache_sync,
    .destroy = cache_destroy,
};

int cache_kernel_create_(int fd, int sync_fd, struct cache **created)
{
    struct kernel_cache *cache = calloc(1, sizeof(*cache));

    if (cache == NULL)
        return -ENOMEM;
    cache->cache.ops = &kernel_cache_ops;
    cache->fd = fd;
    cache->sync_fd = sync_fd;
    range_init_(&cache->ranges);
    *created = &cache->cache;
    return 0;
}
