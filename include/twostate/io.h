/* SPDX-License-Identifier: MIT */
/*
 * The IO engine: buffered and direct (O_DIRECT) IO on one file, at the same time, without torn,
 * stale or lost data.
 *
 * A file has a cache (the kernel's page cache, or the engine's own), a second descriptor for direct
 * IO, and an IO pair (iopair.h). Every call takes the path of the pair that its kind of IO needs:
 * so buffered and direct requests share the file in turns, and truncate and its like wait until no
 * IO is in flight.
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
 *   -EINVAL      a null argument, a negative offset, a negative iovcnt, a flag that there is not, or
 *                not for this call
 *   -EFBIG       offset + length does not fit into 63 bits (writes; reads stop at the end of file)
 *   -EBADF       the file is being closed, or was opened without the needed access
 *   -EOPNOTSUPP  something that the file system does not have
 *   -ENOMEM      out of memory, or of a user cache's, which is full of other files' data that can't be
 *                written back; nothing was done
 *   -EDEADLK     a call that waits was made from a completion callback (see twostate_preadv_async)
 *   and what the kernel answers: -EIO, -ENOSPC, -EDQUOT, ...
 *
 * Threads: any number of threads may use one file and one engine at once. Closing a file while
 * others use it gives them -EBADF or lets them finish; after close returned it must not be used.
 * A process that forks must not use the engine or its files in the child, not even to close them:
 * the threads that carry out its requests are not there. It may exec (every descriptor is closed
 * then) or _exit, and may make an engine of its own, if at the fork no other thread was in a call, no
 * asynchronous request was in flight, and no engine had had a file with a user cache.
 * A thread that is in a read-side section of liburcu's bp flavour must not call.
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

/*
 * Zeroed options are the defaults. Those from cache_bytes on concern files with
 * TWOSTATE_CACHE_USER; that memory is taken when the first of them is opened.
 * reserved, here and below, is room for later versions: in options it must be zero (else -EINVAL),
 * and in what is filled in it is.
 */
struct twostate_engine_options {
    enum twostate_backend backend;
    unsigned queue_depth; /* direct requests in flight at once, 1 to 4096; 0: 128 */
    unsigned workers;     /* threads for asynchronous requests that may block, 1 to 256; 0: 4 */
    unsigned requests;    /* asynchronous ones accepted and not yet called back, at most; more are
                             refused with -EBUSY; 0: 65536 */
    bool polled; /* callbacks are made by twostate_engine_poll and twostate_engine_wait, not by the
                    engine's threads */
    uint64_t cache_bytes;   /* memory for data, at least 4 MiB; 0: 256 MiB */
    unsigned dirty_percent; /* of it that may be waiting to be written back, 1 to 90; 0: 40 */
    unsigned writeback_ms;  /* what has been dirty for so long is written back; 0: 5000 */
    uint64_t reserved[3];
};

/* What buffered IO of a file goes through. */
enum twostate_cache {
    /* The kernel's page cache: shared with other processes, survives the death of this one. */
    TWOSTATE_CACHE_KERNEL = 0,
    /*
     * The engine's own: buffered writes to one file run in parallel. The file is this engine's
     * alone as long as it is open. What was not synced is lost if the process dies.
     */
    TWOSTATE_CACHE_USER = 1,
};

struct twostate_file_options {
    enum twostate_cache cache;
    unsigned folio; /* user cache: bytes of its unit, a power of two, 4096 to 65536; 0: 16384 */
    uint64_t reserved[3];
};

/* How a request is to be done. Flags are read once, when the call is made. */
enum twostate_io_flags {
    TWOSTATE_IO_DIRECT = 1, /* past the cache; any alignment, but aligned is fast (twostate_stat);
                               a read takes from a user cache what the disk does not have yet */
    TWOSTATE_IO_DSYNC = 2,  /* a write is durable before it is acknowledged */
    TWOSTATE_IO_NOWAIT = 4, /* -EAGAIN, without side effects, rather than wait for a lock or IO */
    TWOSTATE_IO_APPEND = 8, /* a write goes to the end of file; its offset is ignored */
    TWOSTATE_IO_DONTCACHE = 16 /* buffered; not kept cached (the kernel is only asked not to) */
};

/*
 * Makes an engine. options may be NULL: the defaults.
 * -EINVAL if an option is out of range; -ENOSYS, -EPERM or what else io_uring answers, if it was
 * asked for and is not to be had; -ENOMEM, -EAGAIN if threads can't be made; -EMFILE, -ENFILE if
 * descriptors can't. *engine is set on success only.
 */
TWOSTATE_API int twostate_engine_create(const struct twostate_engine_options *options,
                                        struct twostate_engine **engine);

/* Ends an engine. -EBUSY, and nothing happens, while it has open files. NULL: -EINVAL. */
TWOSTATE_API int twostate_engine_destroy(struct twostate_engine *engine);

/* The backend in use, never AUTO; -EINVAL for NULL. */
TWOSTATE_API int twostate_engine_backend(const struct twostate_engine *engine);

/*
 * Of a polled engine: makes the callbacks that are due, at most `most`, in the calling thread, in
 * the order in which they became due, and returns how many; 0 if none is due, or most is 0. It does
 * not wait, and what becomes due meanwhile is for the next call. -EINVAL: null, or not polled;
 * -EDEADLK: in a callback. By any thread; two at once share the work.
 */
TWOSTATE_API int twostate_engine_poll(struct twostate_engine *engine, unsigned most);

/*
 * The same, but if none is due it waits for one, for so many milliseconds; negative: without a limit.
 * A signal does not end the wait. If most is 0 it returns at once.
 *
 * Whoever waits or polls takes the completions from the kernel himself, as one thread with an
 * io_uring of its own does, and what callbacks submit goes to the kernel when the last of them has
 * returned. Any thread may wait, several at once, and any may start requests meanwhile. If nobody
 * does either for a millisecond or two a thread of the engine completes requests: then locks do not
 * wait for a loop that is late, only callbacks do. A wait without a limit is ended by any request
 * that another thread starts, an fsync say: by its callback. Nobody may wait or poll while the engine
 * is destroyed.
 */
TWOSTATE_API int twostate_engine_wait(struct twostate_engine *engine, unsigned most,
                                      int timeout_ms);

/*
 * Of a polled engine: a descriptor that is readable while callbacks are due, for poll(2), epoll and
 * io_uring. It is the engine's: only wait for it; poll makes it unreadable. It may be readable, too,
 * for a completion that makes none due, and poll then answers 0. -EINVAL: null, or not polled.
 */
TWOSTATE_API int twostate_engine_fd(struct twostate_engine *engine);

/* What an engine has in use: each number as it was for a moment. */
struct twostate_engine_info {
    uint32_t files;         /* open */
    uint32_t requests;      /* asynchronous ones, accepted and not called back */
    uint64_t cache_limit;   /* bytes that the user cache may use; 0: there is none yet */
    uint64_t cache_used;    /* bytes that hold data, or are about to */
    uint64_t cache_dirty;   /* bytes of folios with data that is not on disk */
    uint64_t cache_misses;  /* folios that had to be read, since the engine was made */
    uint64_t cache_evicted; /* folios that gave way to others */
    uint64_t written_back;  /* bytes */
    uint64_t reserved[8];
};

/* -EINVAL for null. */
TWOSTATE_API int twostate_engine_query(struct twostate_engine *engine,
                                       struct twostate_engine_info *info);

/*
 * Lets others see what the engine is doing, by `twostate-io top` for example: from now on a thread
 * of the engine answers on a Unix socket. Whoever connects to it and sends a line, which may be
 * empty, gets one line of JSON, and so on; only this user and root, everybody else is hung up on.
 * Requests are not slowed down. name is a path, or "@NAME" in the abstract namespace; NULL is
 * "@twostate/PID", or "@twostate/PID.2" and so on if the process has more engines that are served.
 * -EINVAL: null, or an empty name; -EBUSY: the engine is served already; -EADDRINUSE;
 * -ENAMETOOLONG; -ENOMEM, -EMFILE, -ENFILE, -EAGAIN; and what bind(2) answers of a path.
 * It ends with the engine, which removes a path again. A child of fork(2) has the socket too: until
 * the child ends or calls exec(2) the name stays taken, and nobody answers there.
 *
 * The JSON is an object like this one, where ... are the other files; there may be more members in
 * a later version. Holders and requests count those in the engine now; waiting ones are counted as
 * in lock.h. waits are of requests that waited for their locks since the file was opened; exclusive
 * are those that take the IOLOCK alone. p50_ns and p99_ns are right to a quarter. stats is what
 * twostate_stats_print writes, and has no classes unless the statistics are on. A path that is not
 * UTF-8 has U+FFFD in it.
 *
 *     {"pid": 7, "backend": "io_uring", "polled": false, "files_open": 2, "requests": 3,
 *      "cache_limit": 0, "cache_used": 0, "cache_dirty": 0, "cache_misses": 0, "cache_evicted": 0,
 *      "written_back": 0,
 *      "files": [{"path": "/tmp/data", "major": 8, "minor": 1, "inode": 5, "cache": "kernel",
 *        "size": 4096, "mode": "DIRECT", "requests": 3, "lease": false, "leased": 0,
 *        "remapping": false,
 *        "iotype": {"holders": 2, "waiting": {"buffered": 1, "direct": 0, "drain": 0}},
 *        "iolock": {"mode": "shared", "holders": 1, "waiting": {"shared": 0, "exclusive": 0}},
 *        "waits": {"buffered": {"count": 9, "total_ns": 9000, "max_ns": 1500, "p50_ns": 1023,
 *          "p99_ns": 1500}, "direct": {...}, "exclusive": {...}}}, ...],
 *      "stats": {"classes": []}}
 *
 * mode is "unlocked", "BUFFERED", "DIRECT" or "frozen"; iolock.mode "unlocked", "shared" or
 * "exclusive". lease: the engine itself holds BUFFERED on behalf of all buffered requests, of which
 * leased are in.
 */
TWOSTATE_API int twostate_engine_serve(struct twostate_engine *engine, const char *name);

/*
 * Opens a file for buffered and direct IO. flags are those of open(2): one of O_RDONLY, O_WRONLY
 * and O_RDWR, with O_CREAT, O_EXCL, O_TRUNC and O_NOFOLLOW as needed, and O_CLOEXEC, which is always
 * on. Others are -EOPNOTSUPP: what O_APPEND, O_DIRECT and O_DSYNC say is said for each request. Only
 * regular files and block devices, else -EINVAL. Where the file system has no O_DIRECT, direct
 * requests are buffered and uncached. IO on a file that was opened twice is not ordered between the
 * two. As with open(2), the mode of a file that is made does not keep its maker out: with 0444 too
 * it is opened for writing. A file that was made stays if the rest fails, -EMFILE for example.
 */
TWOSTATE_API int twostate_file_open(struct twostate_engine *engine, const char *path, int flags,
                                    mode_t mode, struct twostate_file **file);

/*
 * The same with options; NULL: the defaults. TWOSTATE_CACHE_USER needs O_RDWR, O_DIRECT of the file
 * system with a unit of at most 4096 bytes (else -EOPNOTSUPP) and a file that nobody else has open
 * through an engine: -EBUSY, in whatever process, and whoever else opens it through an engine
 * while it is open gets that too. Programs that don't use this library are not kept out, nor is who
 * opens a block device by another device file of it.
 */
TWOSTATE_API int twostate_file_open_with(struct twostate_engine *engine, const char *path,
                                         int flags, mode_t mode,
                                         const struct twostate_file_options *options,
                                         struct twostate_file **file);

/*
 * Closes a file: waits for the requests in flight, makes written data durable, and frees *file,
 * whatever it returns. Returns the first error that a write-back had and no fsync reported, or that
 * it had itself. Not from a callback (-EDEADLK, and the file stays open). Once, by one thread.
 * In a polled engine it makes the file's callbacks that are due, and become due, while it waits.
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
 * have returned, with no lock held: in a thread of the engine, maybe before the accepting call has
 * returned; in a polled engine only in twostate_engine_poll, twostate_engine_wait and
 * twostate_file_close. It may start other asynchronous requests; calls that wait return -EDEADLK
 * here. It should be short, and must not wait for another thread that may be in a call: for a mutex
 * that somebody holds while he reads, for example. He may be waiting for requests in flight, which do
 * not end before this callback has returned.
 */
typedef void twostate_done(void *arg, ssize_t result);

/*
 * The same without waiting: 0 if the request was accepted, and done will be called; else an error,
 * and it won't be. The iov array is copied; the memory it names must stay, and a write's must not
 * change, until done is called. Requests in flight have no order among each other.
 * The call itself never waits for a lock or a place in a queue: requests beyond queue_depth stay in
 * a list, requests beyond options.requests are not accepted: -EBUSY. (A request is counted out just
 * before its callback, which can start another in its place.) With TWOSTATE_IO_NOWAIT a request
 * that would have to wait for a lock is not accepted: -EAGAIN.
 */
TWOSTATE_API int twostate_preadv_async(struct twostate_file *file, const struct iovec *iov,
                                       int iovcnt, int64_t offset, unsigned flags,
                                       twostate_done *done, void *arg);
TWOSTATE_API int twostate_pwritev_async(struct twostate_file *file, const struct iovec *iov,
                                        int iovcnt, int64_t offset, unsigned flags,
                                        twostate_done *done, void *arg);

/*
 * Cancels the asynchronous requests of the file that were made with this arg and have not begun:
 * they are called back with -ECANCELED, as all are, and have done nothing. Returns how many; 0:
 * there is none, or it is too late, and it ends as it would have. Never waits, and may be called in
 * a callback.
 */
TWOSTATE_API int twostate_cancel(struct twostate_file *file, void *arg);

/*
 * Makes every write that completed before the call durable. fdatasync leaves out metadata that is
 * not needed to read the data back.
 * After the kernel has failed to write data back it forgets that the data is dirty, and a second
 * fsync(2) would answer 0. Not so here: once a file has failed, with -EIO for example, every later
 * fsync, fdatasync and DSYNC write of it returns that error, until the file is closed.
 * The user cache does not forget: what it could not write stays dirty, the sync that could not
 * write it returns the error, and the next one tries again; 0 says that all of it is on disk. Only
 * an error of fsync(2) itself, after the data was written, stays. A request that would have to wait for
 * such data of its own file to be written returns the error too; other files are not concerned, until
 * their requests find no memory: then, and if nothing else is dirty, they return -ENOMEM.
 */
TWOSTATE_API int twostate_fsync(struct twostate_file *file);
TWOSTATE_API int twostate_fdatasync(struct twostate_file *file);
TWOSTATE_API int twostate_fsync_async(struct twostate_file *file, twostate_done *done, void *arg);

/* Sets the size, once no IO is in flight. A larger size reads as zeroes. */
TWOSTATE_API int twostate_truncate(struct twostate_file *file, int64_t length);

/*
 * Allocates, punches, zeroes, collapses, inserts or unshares a range, once no IO is in flight. mode
 * is that of fallocate(2), and what the file system has of it. length 0: -EINVAL. A hole takes no
 * space, on a full disk either: what a user cache has of it is forgotten. For all else it is written
 * back before.
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
    uint32_t reserved[9];
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
