/* SPDX-License-Identifier: MIT */
/*
 * The IO engine: buffered and direct (O_DIRECT) IO on one file, at the same time, without torn,
 * stale or lost data.
 *
 * A file has a cache (the kernel's page cache), a second descriptor for direct IO, and an IO pair
 * (iopair.h). Every call takes the path of the pair that its kind of IO needs: so buffered and
 * direct requests share the file in turns, and truncate and its like wait until no IO is in flight.
 *
 * What is promised, for IO through one struct twostate_file:
 *
 *   - A read or write of up to TWOSTATE_IO_ATOMIC_MAX bytes is atomic against every other, in any
 *     mix of buffered and direct, aligned or not, appends included: a read sees all of a write or
 *     nothing of it. Larger ones are done in pieces of that size, in ascending order, each atomic.
 *     Not atomic: two direct requests that overlap, against each other; the kernel orders those by
 *     block at best. Not covered: stores through mmap, and IO that does not go through the file.
 *   - A read that starts after a write has completed sees it, or something newer.
 *   - A write that was acknowledged is not lost to the other mode. It is durable if it was made
 *     with TWOSTATE_IO_DSYNC, or once a later twostate_fsync or twostate_fdatasync returned 0.
 *   - Data that could not be written back is reported: see twostate_fsync.
 *
 * Results: functions that transfer return a count of bytes, others 0; all return -errno on an
 * error. errno itself is never set. Offsets and lengths are 64 bits, in bytes.
 *
 * Errors that every function may return:
 *   -EINVAL      a null argument, a negative offset, a negative iovcnt
 *   -EFBIG       offset + length does not fit into 63 bits (writes; reads stop at the end of file)
 *   -EBADF       the file is being closed, or was opened without the needed access
 *   -EOPNOTSUPP  an unknown flag, or something that the file system does not have
 *   -ENOMEM      out of memory; nothing was done
 *   -EDEADLK     a call that waits was made from a completion callback (see twostate_preadv_async)
 *   and what the kernel answers: -EIO, -ENOSPC, -EDQUOT, ...
 *
 * Threads: any number of threads may use one file and one engine at once. Closing a file while
 * others use it gives them -EBADF or lets them finish; after close returned it must not be used.
 * A process that forks must not use the engine's files in the child.
 *
 * Source: Dave Chinner's two-state lock scheme for XFS (linux-xfs, April 2025), in user space.
 *
 * Example:
 *
 *     struct twostate_engine *engine;
 *     struct twostate_file *file;
 *     char text[] = "hello";
 *
 *     if (twostate_engine_create(NULL, &engine) == 0 &&
 *         twostate_file_open(engine, "data", O_RDWR | O_CREAT, 0644, &file) == 0) {
 *         twostate_pwrite(file, text, sizeof(text), 0, 0);                   // buffered
 *         twostate_pread(file, text, sizeof(text), 0, TWOSTATE_IO_DIRECT);   // sees it
 *         twostate_file_close(file);
 *         twostate_engine_destroy(engine);
 *     }
 *
 * Requires: Linux 5.6 or later. Link with libtwostate-io.
 */
#ifndef TWOSTATE_IO_H
#define TWOSTATE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <twostate/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

struct twostate_engine;
struct twostate_file;

/* Reads and writes up to this size are atomic. */
#define TWOSTATE_IO_ATOMIC_MAX 1048576 /* 1 MiB */

/* Who carries out the direct requests of asynchronous calls. */
enum twostate_backend {
    TWOSTATE_BACKEND_AUTO = 0,    /* io_uring, or threads where the kernel refuses it */
    TWOSTATE_BACKEND_URING = 1,   /* io_uring, or fail */
    TWOSTATE_BACKEND_THREADS = 2, /* a pool of threads */
};

/* Zeroed options are the defaults. */
struct twostate_engine_options {
    enum twostate_backend backend;
    unsigned queue_depth; /* direct requests in flight at once, 1 to 4096; 0: 128 */
    unsigned workers;     /* threads for asynchronous requests that may block, 1 to 256; 0: 4 */
};

/* How a request is to be done. Flags are read once, when the call is made. */
enum twostate_io_flags {
    TWOSTATE_IO_DIRECT = 1, /* past the cache; any alignment, but aligned is fast (twostate_stat) */
    TWOSTATE_IO_DSYNC = 2,  /* a write is durable before it is acknowledged */
    TWOSTATE_IO_NOWAIT = 4, /* -EAGAIN, without side effects, rather than wait for a lock or IO */
    TWOSTATE_IO_APPEND = 8, /* a write goes to the end of file; its offset is ignored */
    TWOSTATE_IO_DONTCACHE = 16 /* buffered; the kernel is asked not to keep it cached */
};

/*
 * Makes an engine. options may be NULL: the defaults.
 * -EINVAL if an option is out of range; -ENOSYS, -EPERM or what else io_uring answers, if it was
 * asked for and is not to be had; -ENOMEM, -EAGAIN if threads can't be made. *engine is set on
 * success only.
 */
TWOSTATE_API int twostate_engine_create(const struct twostate_engine_options *options,
                                        struct twostate_engine **engine);

/* Ends an engine. -EBUSY, and nothing happens, while it has open files. NULL: -EINVAL. */
TWOSTATE_API int twostate_engine_destroy(struct twostate_engine *engine);

/* The backend in use, never AUTO; -EINVAL for NULL. */
TWOSTATE_API int twostate_engine_backend(const struct twostate_engine *engine);

/*
 * Opens a file for buffered and direct IO. flags are those of open(2): one of O_RDONLY, O_WRONLY
 * and O_RDWR, with O_CREAT, O_EXCL, O_TRUNC and O_NOFOLLOW as needed, and O_CLOEXEC, which is always
 * on. Others are -EOPNOTSUPP: what O_APPEND, O_DIRECT and O_DSYNC say is said for each request. Only
 * regular files and block devices, else -EINVAL. Where the file system has no O_DIRECT, direct requests are buffered and
 * uncached. IO on a file that was opened twice is not ordered between the two.
 */
TWOSTATE_API int twostate_file_open(struct twostate_engine *engine, const char *path, int flags,
                                    mode_t mode, struct twostate_file **file);

/*
 * Closes a file: waits for the requests in flight, makes written data durable, and frees *file,
 * whatever it returns. Returns the first error that a write-back had and no fsync reported, or that
 * it had itself. Not from a callback (-EDEADLK, and the file stays open). Once, by one thread.
 */
TWOSTATE_API int twostate_file_close(struct twostate_file *file);

/*
 * Reads into, or writes from, iovcnt pieces of memory, at offset. Returns the bytes transferred:
 * fewer than asked at the end of file (0 at or past it) or, if the file system ran out of space or
 * failed midway, those before that. iovcnt 0 and zero lengths transfer 0 bytes. More than IOV_MAX
 * pieces, or lengths beyond SSIZE_MAX: -EINVAL. A write past the end of file leaves zeroes between.
 * With TWOSTATE_IO_NOWAIT a transfer may also end where it would have had to wait: what it moved
 * till then is one smaller transfer. A direct write that would make the file larger is -EAGAIN then,
 * always, and so is buffered IO on a file system that can't tell whether it would wait.
 */
TWOSTATE_API ssize_t twostate_preadv(struct twostate_file *file, const struct iovec *iov,
                                     int iovcnt, int64_t offset, unsigned flags);
TWOSTATE_API ssize_t twostate_pwritev(struct twostate_file *file, const struct iovec *iov,
                                      int iovcnt, int64_t offset, unsigned flags);

/* The same with one piece of memory. */
TWOSTATE_API ssize_t twostate_pread(struct twostate_file *file, void *buffer, size_t length,
                                    int64_t offset, unsigned flags);
TWOSTATE_API ssize_t twostate_pwrite(struct twostate_file *file, const void *buffer, size_t length,
                                     int64_t offset, unsigned flags);

/*
 * Appends, and tells in *offset (which may be NULL) where, if it returns more than 0. Concurrent
 * appends never overlap, and one of any length lands in one run.
 */
TWOSTATE_API ssize_t twostate_append(struct twostate_file *file, const struct iovec *iov,
                                     int iovcnt, unsigned flags, int64_t *offset);

/*
 * Called once for each asynchronous request that was accepted, with what the synchronous call would
 * have returned, in a thread of the engine, with no lock held; it may be called before the
 * accepting call has returned. It may start other asynchronous requests; calls that wait return
 * -EDEADLK here.
 */
typedef void twostate_done(void *arg, ssize_t result);

/*
 * The same without waiting: 0 if the request was accepted, and done will be called; else an error,
 * and it won't be. The iov array is copied; the memory it names must stay, and a write's must not
 * change, until done is called. Requests in flight have no order among each other.
 * The call itself never waits for a lock or a place in a queue: requests beyond queue_depth stay in
 * a list. With TWOSTATE_IO_NOWAIT a request that would have to wait for a lock is not accepted:
 * -EAGAIN.
 */
TWOSTATE_API int twostate_preadv_async(struct twostate_file *file, const struct iovec *iov,
                                       int iovcnt, int64_t offset, unsigned flags,
                                       twostate_done *done, void *arg);
TWOSTATE_API int twostate_pwritev_async(struct twostate_file *file, const struct iovec *iov,
                                        int iovcnt, int64_t offset, unsigned flags,
                                        twostate_done *done, void *arg);

/*
 * Makes every write that completed before the call durable. fdatasync leaves out metadata that is
 * not needed to read the data back.
 * After the kernel has failed to write data back it forgets that the data is dirty, and a second
 * fsync(2) would answer 0. Not so here: once a file has failed, with -EIO for example, every later
 * fsync, fdatasync and DSYNC write of it returns that error, until the file is closed.
 */
TWOSTATE_API int twostate_fsync(struct twostate_file *file);
TWOSTATE_API int twostate_fdatasync(struct twostate_file *file);
TWOSTATE_API int twostate_fsync_async(struct twostate_file *file, twostate_done *done, void *arg);

/* Sets the size, once no IO is in flight. A larger size reads as zeroes. */
TWOSTATE_API int twostate_truncate(struct twostate_file *file, int64_t length);

/*
 * Allocates, punches, zeroes, collapses, inserts or unshares a range, once no IO is in flight. mode
 * is that of fallocate(2), and what the file system has of it. length 0: -EINVAL.
 */
TWOSTATE_API int twostate_fallocate(struct twostate_file *file, int mode, int64_t offset,
                                    int64_t length);

/*
 * Makes a range of destination hold what a range of source holds, as one step between all other IO
 * on the destination: by sharing blocks where the file system can, else by copying. Buffered reads
 * of source go on meanwhile. Returns the length; or fewer if source ends before, or if a copy ran
 * out of space. One file may be both; if its ranges overlap: -EINVAL.
 */
TWOSTATE_API int64_t twostate_remap(struct twostate_file *source, int64_t source_offset,
                                    struct twostate_file *destination, int64_t destination_offset,
                                    int64_t length);

/* The next data or hole at or after offset; whence is SEEK_DATA or SEEK_HOLE. -ENXIO: none. */
TWOSTATE_API int64_t twostate_seek(struct twostate_file *file, int64_t offset, int whence);

struct twostate_file_stat {
    int64_t size;           /* bytes */
    int64_t allocated;      /* bytes */
    uint32_t block;         /* the file system's preferred block, bytes */
    uint32_t direct_memory; /* alignments at which direct IO takes the fast path, bytes; */
    uint32_t direct_offset; /* 0: the file system has no direct IO */
};

/* Sizes and alignments of a file. The size is at least that of every write that has completed. */
TWOSTATE_API int twostate_stat(struct twostate_file *file, struct twostate_file_stat *stat);

/*
 * How long this thread's last read, write or other call waited to begin, for the file's IOLOCK and
 * mode, in nanoseconds; in a callback, how long the request did. 0 if it found them free.
 */
TWOSTATE_API int64_t twostate_waited_ns(void);

#ifdef __cplusplus
}
#endif

#endif
