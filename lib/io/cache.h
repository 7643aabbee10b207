/* SPDX-License-Identifier: MIT */
/*
 * A cache: what buffered IO on one file goes through. It knows no locks of the file: whoever calls
 * it holds the path of the IO pair that the call's comment names. What it needs to make overlapping
 * buffered reads and writes atomic it has inside.
 */
#ifndef TS_IO_CACHE_H
#define TS_IO_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "../aligned.h"
#include "cursor.h"

struct cache;

enum cache_flags {
    CACHE_DSYNC = 1,    /* durable when it returns */
    CACHE_NOWAIT = 2,   /* -EAGAIN rather than wait */
    CACHE_UNCACHED = 4, /* leave nothing behind */
};

/* What a cache keeps locked of a range while a direct write overwrites it. */
struct cache_kept {
    unsigned count;
    void *folios[5];
};

struct cache_ops {
    /* The longest window that read and write take, at least TWOSTATE_IO_ATOMIC_MAX; and that of a
       direct request. */
    size_t piece;

    /* BUFFERED held. Moves the cursor's window, which is not empty, as one atomic step. Returns the
       bytes moved, fewer at the end of file or if it failed midway, or -errno. Who writes past the
       end of file holds the size lock. */
    int64_t (*read)(struct cache *cache, struct cursor *cursor, int64_t offset, unsigned flags);
    int64_t (*write)(struct cache *cache, struct cursor *cursor, int64_t offset, unsigned flags);

    /* BUFFERED held. Moves all of `length` (> 0) as read or write does, if it is in memory, and nothing
       has to be waited for. False: nothing has happened, it may be possible all the same. NULL: there
       is no shorter way. */
    bool (*hit)(struct cache *cache, void *memory, size_t length, int64_t offset, bool write);

    /* BUFFERED held. Reads into the cache what the file has of the range. NULL: it does that itself. */
    void (*fetch)(struct cache *cache, int64_t offset, int64_t length);

    /* DIRECT held. Before a direct request: what is dirty in the range is on disk; before a write
       (kept is not NULL), nothing of the range is cached, but what is kept until it has been
       overwritten. With nowait -EAGAIN if that would take time. */
    int (*prepare)(struct cache *cache, int64_t offset, int64_t length, struct cache_kept *kept,
                   bool nowait);
    /* The same. Reads what is in memory all of it, and not on disk some of it: as read does, or
       -EAGAIN where it isn't so. NULL: it never is. */
    int64_t (*read_dirty)(struct cache *cache, struct cursor *cursor, int64_t offset);
    /* The same, once after each prepare for a write that returned 0. Moved: bytes that the write has
       written from offset on, or its error. Returns what the file keeps of that: moved, or less if it
       can't keep the last of it. By any thread; never waits for another request. */
    int64_t (*wrote)(struct cache *cache, int64_t offset, int64_t length, int64_t moved,
                     struct cache_kept *kept);

    /* BUFFERED held. The file's descriptor shows what the range holds. */
    int (*write_back)(struct cache *cache, int64_t offset, int64_t length);
    /* EXCLUSIVE_IO held. The same, and nothing of the range is cached. */
    int (*withdraw)(struct cache *cache, int64_t offset, int64_t length);

    /* EXCLUSIVE_IO held. Makes a hole of the range, by calling `punch` (0 or -errno), once or more. If that
       fails the first time, what is dirty of the range still is. NULL: it only has to be withdrawn. */
    int (*punch)(struct cache *cache, int64_t offset, int64_t length, int (*punch)(void *context),
                 void *context);

    /* EXCLUSIVE_IO held. The file's size is to be `size`. */
    int (*truncate)(struct cache *cache, int64_t size);

    /* Nothing held. What was written before is durable; data_only leaves out other metadata. *lost: it
       failed, and trying again won't help: the kernel has forgotten what it could not write. */
    int (*sync)(struct cache *cache, bool data_only, bool *lost);

    void (*destroy)(struct cache *cache);

    bool knows_size; /* it raises the file's size itself; the descriptor may not know it yet */
};

struct cache {
    const struct cache_ops *ops;
};

/* The kernel's page cache, through descriptors that the caller keeps open; sync_fd is used for
   nothing but sync, so that no error of a write-back is reported elsewhere. 0 or -ENOMEM. */
int cache_kernel_create_(int fd, int sync_fd, struct cache **cache);

struct user_engine;

/* What a user cache needs of its file; the descriptors and the size stay while it is open. */
struct user_file {
    int fd;
    int direct_fd;
    int sync_fd;
    aligned_s64 *size; /* atomic */
    /* To call fetch soon, in another thread, with a path held; false: not now. */
    bool (*read_ahead)(void *context, int64_t from, int64_t length);
    void *context;
    uint32_t folio;
    bool block_device;
};

/* A cache of the engine's own. 0 or -ENOMEM. */
int cache_user_create_(struct user_engine *user, const struct user_file *file,
                       struct cache **cache);

#endif
