/* SPDX-License-Identifier: MIT */
/* What concerns the file as a whole, or more of it than a transfer: truncate, fallocate, remap,
 * seek. */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Runs in its path's locks. */
static int truncate_held(struct twostate_file *file, int64_t length)
{
    /* ftruncate(2) calls a descriptor that is not open for writing -EINVAL. */
    const int result = file->writable ? file->cache->ops->truncate(file->cache, length) : -EBADF;

    if (result == 0) {
        file_set_size_(file, length);
    } else if (!file->cache->ops->knows_size) { /* it may have happened all the same */
        file_set_size_(file, 0);
        file_size_(file);
    }
    return result;
}

int twostate_truncate(struct twostate_file *file, int64_t length)
{
    struct twostate_hold hold;
    int result = length < 0 ? -EINVAL : file_enter_(file);

    if (result)
        return result;
    file_begin_(file, TWOSTATE_EXCLUSIVE_IO, &hold, false);
    result = truncate_held(file, length);
    file_note_write_(file);
    twostate_iopair_end(&hold);
    file_leave_(file);
    return result;
}

static bool moves_what_follows(int mode)
{
    return (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0;
}

/*
 * Out of the cache with what the kernel is about to change; with all of it, if it moves, or if the file
 * grows: then too nothing may be on its way to the disk (user_set_disk_size_ says why).
 */
static int withdraw(struct twostate_file *file, int mode, int64_t offset, int64_t length)
{
    struct cache *cache = file->cache;
    const bool grows =
        (mode & FALLOC_FL_KEEP_SIZE) == 0 && offset + length > file_known_size_(file);

    return grows || moves_what_follows(mode) ? cache->ops->withdraw(cache, 0, INT64_MAX)
                                             : cache->ops->withdraw(cache, offset, length);
}

/* A call of fallocate(2). */
struct allocation {
    int fd;
    int mode;
    int64_t offset;
    int64_t length;
};

static int allocate(void *context)
{
    const struct allocation *a = context;
    const int saved = errno;
    int result = 0;

    do {
        result = fallocate(a->fd, a->mode, a->offset, a->length) < 0 ? -errno : 0;
    } while (result == -EINTR);
    errno = saved;
    return result;
}

/* The size may have become larger or, by a collapsed range, smaller: none is known but by asking. */
static int fallocate_held(struct twostate_file *file, int mode, int64_t offset, int64_t length)
{
    const struct cache_ops *ops = file->cache->ops;
    struct allocation a = {file->fd, mode, offset, length};
    int64_t size = 0;
    int result = 0;

    if (ops->punch && mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
        return ops->punch(file->cache, offset, length, allocate, &a);
    result = withdraw(file, mode, offset, length);
    if (result)
        return result;
    result = allocate(&a);
    size = file_disk_size_(file);
    if (size >= 0 && moves_what_follows(mode))
        file_set_size_(file, size);
    file_raise_size_(file, size);
    return result;
}

int twostate_fallocate(struct twostate_file *file, int mode, int64_t offset, int64_t length)
{
    struct twostate_hold hold;
    int result = 0;

    if (offset < 0 || length <= 0)
        return -EINVAL;
    if (offset > INT64_MAX - length)
        return -EFBIG;
    result = file_enter_(file);
    if (result)
        return result;
    file_begin_(file, TWOSTATE_EXCLUSIVE_IO, &hold, false);
    result = fallocate_held(file, mode, offset, length);
    file_note_write_(file);
    twostate_iopair_end(&hold);
    file_leave_(file);
    return result;
}

int64_t twostate_seek(struct twostate_file *file, int64_t offset, int whence)
{
    const int saved = errno;
    struct twostate_hold hold;
    int64_t result = 0;

    if (offset < 0 || (whence != SEEK_DATA && whence != SEEK_HOLE))
        return -EINVAL;
    result = file_enter_(file);
    if (result)
        return result;
    file_begin_(file, TWOSTATE_BUFFERED_READ, &hold, false);
    result = file->cache->ops->write_back(file->cache, offset, INT64_MAX - offset);
    if (result == 0) {
        result = lseek(file->fd, offset, whence);
        result = result < 0 ? -errno : result;
    }
    twostate_iopair_end(&hold);
    file_leave_(file);
    errno = saved;
    return result;
}

/* A remap, once source and destination are known and locked. */
struct remap {
    struct twostate_file *source;
    struct twostate_file *destination;
    int64_t from;
    int64_t to;
    int64_t length;
};

static int64_t copy_piece(const struct remap *r, int64_t done, void *buffer, size_t size)
{
    const int64_t left = r->length - done;
    const size_t most = left < (int64_t)size ? (size_t)left : size;
    ssize_t moved = pread(r->source->fd, buffer, most, r->from + done);

    if (moved > 0)
        moved = pwrite(r->destination->fd, buffer, (size_t)moved, r->to + done);
    return moved < 0 ? -errno : moved;
}

/* Through memory: for a source and a destination that the kernel can't copy between. */
static int64_t copy_plain(const struct remap *r, int64_t done)
{
    const size_t size = TWOSTATE_IO_ATOMIC_MAX;
    void *buffer = malloc(size);

    if (buffer == NULL)
        return done ? done : -ENOMEM;
    while (done < r->length) {
        const int64_t copied = copy_piece(r, done, buffer, size);

        if (copied == -EINTR)
            continue;
        if (copied <= 0) {
            done = done ? done : copied;
            break;
        }
        done += copied;
    }
    free(buffer);
    return done;
}

static int64_t copy(const struct remap *r)
{
    int64_t done = 0;

    while (done < r->length) {
        loff_t from = r->from + done;
        loff_t to = r->to + done;
        const ssize_t copied = copy_file_range(r->source->fd, &from, r->destination->fd, &to,
                                               (size_t)(r->length - done), 0);

        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && errno != EIO && errno != ENOSPC && errno != EDQUOT)
            return copy_plain(r, done);
        if (copied <= 0)
            return done || copied == 0 ? done : -errno;
        done += copied;
    }
    return done;
}

/* Whether sharing failed for a reason that copying does not share. */
static bool copies(int error)
{
    return error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY ||
           error == EBADF || error == ENOSYS;
}

static int64_t share_or_copy(const struct remap *r)
{
    const struct file_clone_range range = {
        .src_fd = r->source->fd,
        .src_offset = (uint64_t)r->from,
        .src_length = (uint64_t)r->length,
        .dest_offset = (uint64_t)r->to,
    };

    if (ioctl(r->destination->fd, FICLONERANGE, &range) == 0)
        return r->length;
    return copies(errno) ? copy(r) : -errno;
}

static int64_t remap_held(struct remap *r)
{
    const int64_t size = file_size_(r->source);
    int64_t result = 0;

    if (size < 0)
        return size;
    if (r->from >= size || r->length == 0)
        return 0;
    if (r->length > size - r->from)
        r->length = size - r->from;
    result = r->source->cache->ops->write_back(r->source->cache, r->from, r->length);
    if (result == 0)
        result = r->destination->cache->ops->withdraw(r->destination->cache, r->to, r->length);
    if (result == 0)
        result = share_or_copy(r);
    if (result > 0)
        file_raise_size_(r->destination, r->to + result);
    return result;
}

static int64_t remap_entered(struct remap *r)
{
    const int64_t start = waited_now_();
    const int saved = errno;
    struct twostate_hold hold;
    int64_t result = 0;

    lease_call_in_(&r->source->lease);
    lease_call_in_(&r->destination->lease);
    if (!twostate_iopair_try_begin_remap_two(&r->source->pair, &r->destination->pair, &hold)) {
        twostate_iopair_begin_remap_two(&r->source->pair, &r->destination->pair, &hold);
        waited_since_(start);
        waits_add_(&r->destination->waits[WAIT_EXCLUSIVE], waited_now_() - start);
    }
    lease_allow_(&r->destination->lease);
    lease_allow_(&r->source->lease);
    result = remap_held(r);
    file_note_write_(r->destination);
    twostate_iopair_end(&hold);
    errno = saved;
    return result;
}

static int check_remap(const struct remap *r)
{
    const int64_t apart = r->from < r->to ? r->to - r->from : r->from - r->to;

    if (r->source == NULL || r->destination == NULL || r->from < 0 || r->to < 0 || r->length < 0)
        return -EINVAL;
    if (r->length > INT64_MAX - r->from || r->length > INT64_MAX - r->to)
        return -EFBIG;
    return r->source == r->destination && apart < r->length ? -EINVAL : 0;
}

int64_t twostate_remap(struct twostate_file *source, int64_t source_offset,
                       struct twostate_file *destination, int64_t destination_offset,
                       int64_t length)
{
    struct remap r = {source, destination, source_offset, destination_offset, length};
    int64_t result = check_remap(&r);

    if (result == 0)
        result = file_enter_(source);
    if (result)
        return result;
    result = source == destination ? 0 : file_enter_(destination);
    if (result == 0) {
        result = remap_entered(&r);
        if (source != destination)
            file_leave_(destination);
    }
    file_leave_(source);
    return result;
}
