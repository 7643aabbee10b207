/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes: which path of the IO pair each takes, piece by piece.
 *
 * A piece is as much as the cache moves at once, the cursor's window. Each function named after a
 * path takes the path's locks, moves the window, and gives the locks back.
 */
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>

#define READ_FLAGS  (TWOSTATE_IO_DIRECT | TWOSTATE_IO_NOWAIT | TWOSTATE_IO_DONTCACHE)
#define WRITE_FLAGS (READ_FLAGS | TWOSTATE_IO_DSYNC | TWOSTATE_IO_APPEND)

static bool has(const struct transfer *t, unsigned flag)
{
    return (t->flags & flag) != 0;
}

/* Appends beyond TWOSTATE_IO_ATOMIC_MAX are alone with the file. */
static size_t piece_of(const struct transfer *t)
{
    return has(t, TWOSTATE_IO_APPEND) ? TWOSTATE_IO_ATOMIC_MAX : t->file->piece;
}

int transfer_init_(struct transfer *t, struct twostate_file *file, bool write,
                   const struct iovec *iov, int count, int64_t offset, unsigned flags)
{
    const bool append = write && (flags & TWOSTATE_IO_APPEND);
    int result = 0;

    t->file = file;
    t->write = write;
    t->flags = flags;
    t->offset = 0;
    if (flags & ~(unsigned)(write ? WRITE_FLAGS : READ_FLAGS))
        return -EINVAL;
    if (file == NULL || (offset < 0 && !append))
        return -EINVAL;
    result = cursor_init_(&t->cursor, iov, count);
    if (result)
        return result;
    t->offset = append ? 0 : offset;
    if (t->cursor.left > (uint64_t)(INT64_MAX - t->offset)) {
        if (write) {
            cursor_destroy_(&t->cursor);
            return -EFBIG;
        }
        cursor_show_(&t->cursor, (size_t)(INT64_MAX - t->offset));
        cursor_truncate_(&t->cursor);
    }
    cursor_show_(&t->cursor, piece_of(t));
    return 0;
}

void transfer_destroy_(struct transfer *t)
{
    cursor_destroy_(&t->cursor);
}

static int begin(struct transfer *t, enum twostate_iopath path, struct twostate_hold *hold)
{
    return file_begin_(t->file, path, hold, has(t, TWOSTATE_IO_NOWAIT));
}

/* The paths of the cache. */
static int begin_buffered(struct transfer *t, enum twostate_iopath path, struct twostate_hold *hold)
{
    return t->leased ? 0 : begin(t, path, hold);
}

static void end_buffered(struct transfer *t, struct twostate_hold *hold)
{
    if (t->leased)
        return;
    lease_offer_(&t->file->lease);
    twostate_iopair_end(hold);
}

static unsigned cache_flags(const struct transfer *t)
{
    const bool uncached = has(t, TWOSTATE_IO_DIRECT) || has(t, TWOSTATE_IO_DONTCACHE);

    return (has(t, TWOSTATE_IO_DSYNC) ? CACHE_DSYNC : 0U) |
           (has(t, TWOSTATE_IO_NOWAIT) ? CACHE_NOWAIT : 0U) | (uncached ? CACHE_UNCACHED : 0U);
}

int transfer_direct_flags_(const struct transfer *t)
{
    return (has(t, TWOSTATE_IO_DSYNC) ? RWF_DSYNC : 0) |
           (has(t, TWOSTATE_IO_NOWAIT) ? RWF_NOWAIT : 0);
}

static int64_t end_of(const struct transfer *t)
{
    return t->offset + (int64_t)t->cursor.window;
}

bool transfer_extends_(struct transfer *t)
{
    return end_of(t) > file_known_size_(t->file) && end_of(t) > file_size_(t->file);
}

/* What kernel and file system accept as O_DIRECT; memory only matters to who does not bounce. */
static bool offset_aligned(const struct transfer *t)
{
    const uint32_t unit = t->file->direct_offset;

    return t->file->direct_fd >= 0 && t->offset % unit == 0 && t->cursor.window % unit == 0;
}

static bool memory_aligned(const struct transfer *t)
{
    return cursor_memory_aligned_(&t->cursor, t->file->direct_memory, t->file->direct_offset);
}

/* Buffered. */

static int64_t read_buffered(struct transfer *t)
{
    struct cache *cache = t->file->cache;
    struct twostate_hold hold;
    int64_t moved = begin_buffered(t, TWOSTATE_BUFFERED_READ, &hold);

    if (moved)
        return moved;
    moved = cache->ops->read(cache, &t->cursor, t->offset, cache_flags(t));
    end_buffered(t, &hold);
    return moved;
}

static int64_t write_to_cache(struct transfer *t)
{
    struct cache *cache = t->file->cache;
    const int64_t offset = t->offset;
    const int64_t moved = cache->ops->write(cache, &t->cursor, offset, cache_flags(t));

    if (moved > 0) {
        file_raise_size_(t->file, offset + moved);
        file_note_write_(t->file);
    }
    return moved;
}

static int lock_size(struct transfer *t)
{
    if (has(t, TWOSTATE_IO_NOWAIT))
        return pthread_mutex_trylock(&t->file->size_lock) ? -EAGAIN : 0;
    pthread_mutex_lock(&t->file->size_lock);
    return 0;
}

/*
 * BUFFERED is held. Whoever may raise the size holds the size lock from looking at the size until
 * its data is in, so that no two of them take the same end of file for theirs.
 */
static int64_t write_through_cache(struct transfer *t, bool append)
{
    int64_t moved = 0;

    if (!append && end_of(t) <= file_known_size_(t->file))
        return write_to_cache(t);
    moved = lock_size(t);
    if (moved)
        return moved;
    if (append) {
        const int64_t size = file_size_(t->file);

        moved = size < 0 ? size : size > INT64_MAX - (int64_t)t->cursor.left ? -EFBIG : 0;
        t->offset = size;
    }
    if (moved == 0)
        moved = write_to_cache(t);
    pthread_mutex_unlock(&t->file->size_lock);
    return moved;
}

static int64_t write_buffered(struct transfer *t, bool append)
{
    struct twostate_hold hold;
    int64_t moved = begin_buffered(t, TWOSTATE_BUFFERED_WRITE, &hold);

    if (moved)
        return moved;
    moved = write_through_cache(t, append);
    end_buffered(t, &hold);
    return moved;
}

/* Direct. */

int64_t transfer_direct_done_(struct transfer *t, int64_t offset, int64_t length, int64_t result)
{
    struct cache *cache = t->file->cache;

    if (!t->write)
        return result;
    if (result > 0) {
        file_raise_size_(t->file, offset + result);
        file_note_write_(t->file);
    }
    /* One that failed may have made the file longer all the same. */
    if (result < length && cache->ops->knows_size)
        file_raise_size_(t->file, file_disk_size_(t->file));
    return cache->ops->wrote(cache, offset, length, result, &t->kept);
}

/* The request goes through a buffer of ours: its addresses are not aligned, or its range is not. */
static int64_t move_bounced(struct transfer *t, struct backend_op *op)
{
    const int64_t unit = t->file->direct_offset;
    const int64_t start = t->offset - t->offset % unit;
    const int64_t skipped = t->offset - start;
    const size_t length = (size_t)((end_of(t) - start + unit - 1) / unit * unit);
    const size_t alignment =
        t->file->direct_memory > sizeof(void *) ? t->file->direct_memory : sizeof(void *);
    struct iovec iov = {.iov_len = length};
    struct cursor bounce;
    int64_t moved = 0;

    if (posix_memalign(&iov.iov_base, alignment, length))
        return -ENOMEM;
    cursor_init_(&bounce, &iov, 1);
    cursor_show_(&bounce, length);
    op->offset = start;
    if (t->write)
        cursor_copy_out_(&t->cursor, iov.iov_base, length);
    moved = backend_move_(op, &bounce, t->file->direct_offset);
    if (moved > 0) {
        moved = moved > skipped ? moved - skipped : 0;
        if (moved > (int64_t)t->cursor.window)
            moved = (int64_t)t->cursor.window;
        if (!t->write)
            cursor_copy_in_(&t->cursor, (char *)iov.iov_base + skipped, (size_t)moved);
        cursor_advance_(&t->cursor, (size_t)moved);
    }
    free(iov.iov_base);
    return moved;
}

int transfer_clip_(struct transfer *t)
{
    const int64_t unit = t->file->direct_offset;
    int64_t size = 0;
    int64_t end = 0;

    if (t->write || end_of(t) <= file_known_size_(t->file))
        return 0;
    size = file_size_(t->file);
    if (size < 0)
        return (int)size;
    if (size > INT64_MAX - unit)
        return 0;
    end = t->offset < size ? (size + unit - 1) / unit * unit : t->offset;
    if (end < end_of(t))
        cursor_show_(&t->cursor, (size_t)(end - t->offset));
    return 0;
}

/* DIRECT is held. */
static int64_t move_direct(struct transfer *t)
{
    struct cache *cache = t->file->cache;
    const int64_t offset = t->offset;
    const int clipped = transfer_clip_(t);
    const int64_t length = (int64_t)t->cursor.window;
    struct backend_op op = {
        .fd = t->file->direct_fd,
        .offset = offset,
        .write = t->write,
        .rw_flags = transfer_direct_flags_(t),
    };
    int64_t moved = 0;

    if (clipped || length == 0)
        return clipped;
    if (!t->write && cache->ops->read_dirty) {
        moved = cache->ops->read_dirty(cache, &t->cursor, offset);
        if (moved != -EAGAIN)
            return moved;
    }
    moved = cache->ops->prepare(cache, offset, length, t->write ? &t->kept : NULL,
                                has(t, TWOSTATE_IO_NOWAIT));
    if (moved)
        return moved;
    moved = offset_aligned(t) && memory_aligned(t)
                ? backend_move_(&op, &t->cursor, t->file->direct_offset)
                : move_bounced(t, &op);
    return transfer_direct_done_(t, offset, length, moved);
}

bool transfer_refused_(int64_t result)
{
    return result == -EINVAL || result == -EOPNOTSUPP || result == -ENOTBLK;
}

static int64_t read_direct(struct transfer *t)
{
    struct twostate_hold hold;
    int64_t moved = 0;

    if (t->file->direct_fd < 0)
        return read_buffered(t);
    moved = begin(t, TWOSTATE_DIRECT, &hold);
    if (moved)
        return moved;
    moved = move_direct(t);
    twostate_iopair_end(&hold);
    return transfer_refused_(moved) ? read_buffered(t) : moved;
}

/*
 * UNALIGNED is held. A direct write that makes the file larger is not done with NOWAIT, on any path:
 * so it does not depend on the file system, or on the alignment, whether it is.
 */
static int64_t write_alone(struct transfer *t, bool append)
{
    if (has(t, TWOSTATE_IO_NOWAIT) && has(t, TWOSTATE_IO_DIRECT) &&
        (append || transfer_extends_(t)))
        return -EAGAIN;
    return write_through_cache(t, append);
}

/* Alone with the file, as a buffered write that is not to stay in the cache. */
static int64_t write_unaligned(struct transfer *t, bool append)
{
    struct twostate_hold hold;
    int64_t moved = begin(t, TWOSTATE_UNALIGNED, &hold);

    if (moved)
        return moved;
    moved = write_alone(t, append);
    twostate_iopair_end(&hold);
    return moved;
}

/*
 * The hold is DIRECT_EXTEND's; append has been resolved. What lies between the end of file and the
 * write reads as zeroes: the file system sees to that on disk, and no cache has anything else there.
 */
static int64_t extend_held(struct transfer *t, struct twostate_hold *hold)
{
    int64_t moved = 0;

    twostate_iopair_extend_to_direct(hold);
    moved = move_direct(t);
    if (!transfer_refused_(moved))
        return moved;
    file_retry_unaligned_(t->file, hold, false);
    return write_through_cache(t, false);
}

static int64_t write_extending(struct transfer *t, bool append)
{
    struct twostate_hold hold;
    int64_t moved = 0;
    int64_t size = 0;

    if (has(t, TWOSTATE_IO_NOWAIT))
        return -EAGAIN;
    moved = begin(t, TWOSTATE_DIRECT_EXTEND, &hold);
    if (moved)
        return moved;
    size = file_size_(t->file);
    if (append)
        t->offset = size;
    if (size < 0)
        moved = size;
    else if (size > INT64_MAX - (int64_t)t->cursor.left)
        moved = append ? -EFBIG : 0;
    if (moved == 0)
        moved = offset_aligned(t) ? extend_held(t, &hold) : write_through_cache(t, append);
    twostate_iopair_end(&hold);
    return moved;
}

/* Within the file. The check is made again under the lock: the file may have been truncated. */
static int64_t write_overwriting(struct transfer *t)
{
    struct twostate_hold hold;
    int64_t moved = begin(t, TWOSTATE_DIRECT, &hold);

    if (moved)
        return moved;
    if (transfer_extends_(t)) {
        twostate_iopair_end(&hold);
        return write_extending(t, false);
    }
    moved = move_direct(t);
    if (!transfer_refused_(moved)) {
        twostate_iopair_end(&hold);
        return moved;
    }
    if (!file_retry_unaligned_(t->file, &hold, has(t, TWOSTATE_IO_NOWAIT)))
        return -EAGAIN;
    moved = write_alone(t, false);
    twostate_iopair_end(&hold);
    return moved;
}

/* Nothing is held: a guess, made again under the lock. */
static bool seems_to_extend(const struct transfer *t)
{
    return end_of(t) > file_known_size_(t->file) && end_of(t) > file_ask_size_(t->file);
}

static int64_t write_direct(struct transfer *t, bool append)
{
    if (append)
        return t->file->direct_fd >= 0 ? write_extending(t, true) : write_unaligned(t, true);
    if (!offset_aligned(t))
        return write_unaligned(t, false);
    return seems_to_extend(t) ? write_extending(t, false) : write_overwriting(t);
}

/* All of it. */

static int64_t move_piece(struct transfer *t, bool append)
{
    if (!t->write)
        return has(t, TWOSTATE_IO_DIRECT) ? read_direct(t) : read_buffered(t);
    return has(t, TWOSTATE_IO_DIRECT) ? write_direct(t, append) : write_buffered(t, append);
}

/* A short piece is the end of file, or of what could be done: nothing comes after it. */
static int64_t move_pieces(struct transfer *t, int64_t (*piece)(struct transfer *, bool),
                           bool append, int64_t *at)
{
    int64_t total = 0;

    while (t->cursor.left > 0) {
        int64_t length = 0;
        int64_t moved = 0;

        cursor_show_(&t->cursor, piece_of(t));
        length = (int64_t)t->cursor.window;
        moved = piece(t, append && total == 0);
        if (transfer_dsync_failed_(t, moved, length))
            file_sync_(t->file, true);
        if (moved < 0)
            return total ? total : moved;
        if (total == 0 && at)
            *at = t->offset;
        t->offset += moved;
        total += moved;
        if (moved < length)
            break;
    }
    return total;
}

/* An append of several pieces keeps everybody else out, so that they land in one run. */
static int64_t append_large(struct transfer *t, int64_t *at)
{
    struct twostate_hold hold;
    int64_t moved = begin(t, TWOSTATE_UNALIGNED, &hold);

    if (moved)
        return moved;
    moved = move_pieces(t, write_alone, true, at);
    twostate_iopair_end(&hold);
    return moved;
}

int64_t transfer_run_(struct transfer *t, int64_t *at)
{
    const bool append = has(t, TWOSTATE_IO_APPEND);

    if (t->cursor.left > 0 && has(t, TWOSTATE_IO_DSYNC)) {
        const int error = file_error_(t->file);

        if (error)
            return error;
    }
    if (append && t->cursor.left > TWOSTATE_IO_ATOMIC_MAX)
        return append_large(t, at);
    return move_pieces(t, move_piece, append, at);
}

bool transfer_dsync_failed_(const struct transfer *t, int64_t moved, int64_t length)
{
    return t->write && has(t, TWOSTATE_IO_DSYNC) && moved < length && moved != -EAGAIN;
}

bool transfer_plain_direct_(struct transfer *t)
{
    return has(t, TWOSTATE_IO_DIRECT) && !has(t, TWOSTATE_IO_APPEND) && t->cursor.left > 0 &&
           t->cursor.left == t->cursor.window && offset_aligned(t) && memory_aligned(t);
}

/* The calls that wait. */

static int enter(struct transfer *t)
{
    const bool one_piece = t->cursor.left == t->cursor.window;

    t->leased = one_piece && !has(t, TWOSTATE_IO_DIRECT) && file_enter_leased_(t->file);
    return t->leased ? 0 : file_enter_(t->file);
}

static void leave(struct transfer *t)
{
    if (t->leased)
        lease_exit_(&t->file->lease);
    else
        file_leave_(t->file);
}

/* Most calls find what they want in memory: they need neither a cursor nor a path. */
static bool hit(struct twostate_file *file, bool write, const struct iovec *iov, int64_t offset)
{
    struct cache *cache = NULL;
    bool moved = false;

    if (iov->iov_base == NULL || iov->iov_len == 0 || offset < 0 || !file->hits ||
        !file_enter_leased_(file))
        return false;
    cache = file->cache;
    moved = cache->ops->hit(cache, iov->iov_base, iov->iov_len, offset, write);
    if (moved && write)
        file_note_write_(file);
    lease_exit_(&file->lease);
    return moved;
}

static ssize_t transfer_call(struct twostate_file *file, bool write, const struct iovec *iov,
                             int count, int64_t offset, unsigned flags, int64_t *at)
{
    struct transfer t;
    int64_t moved = 0;

    if (flags == 0 && count == 1 && iov && file && hit(file, write, iov, offset))
        return (ssize_t)iov->iov_len;
    moved = transfer_init_(&t, file, write, iov, count, offset, flags);
    if (moved)
        return (ssize_t)moved;
    moved = enter(&t);
    if (moved == 0) {
        moved = transfer_run_(&t, at);
        leave(&t);
    }
    transfer_destroy_(&t);
    return (ssize_t)moved;
}

ssize_t twostate_preadv(struct twostate_file *file, const struct iovec *iov, int count,
                        int64_t offset, unsigned flags)
{
    return transfer_call(file, false, iov, count, offset, flags, NULL);
}

ssize_t twostate_pwritev(struct twostate_file *file, const struct iovec *iov, int count,
                         int64_t offset, unsigned flags)
{
    return transfer_call(file, true, iov, count, offset, flags, NULL);
}

ssize_t twostate_pread(struct twostate_file *file, void *buffer, size_t length, int64_t offset,
                       unsigned flags)
{
    const struct iovec iov = {.iov_base = buffer, .iov_len = length};

    return transfer_call(file, false, &iov, 1, offset, flags, NULL);
}

ssize_t twostate_pwrite(struct twostate_file *file, const void *buffer, size_t length,
                        int64_t offset, unsigned flags)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = length};

    return transfer_call(file, true, &iov, 1, offset, flags, NULL);
}

ssize_t twostate_append(struct twostate_file *file, const struct iovec *iov, int count,
                        unsigned flags, int64_t *offset)
{
    return transfer_call(file, true, iov, count, 0, flags | TWOSTATE_IO_APPEND, offset);
}
