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

#include "cursor.h"

struct cache;

enum cache_flags {
    CACHE_DSYNC = 1,    /* durable when it returns */
    CACHE_NOWAIT = 2,   /* -EAGAIN rather than wait */
    CACHE_UNCACHED = 4, /* leave nothing behind */
};

struct cache_ops {
    /* BUFFERED held. Moves the cursor's window, which is not empty, as one atomic step. Returns the
       bytes moved, fewer at the end of file or if it failed midway, or -errno. */
    int64_t (*read)(struct cache *cache, struct cursor *cursor, int64_t offset, unsigned flags);
    int64_t (*write)(struct cache *cache, struct cursor *cursor, int64_t offset, unsigned flags);

    /* IOLOCK exclusive and BUFFERED held. [from, to), past the end of file, is to read as zeroes
       once a direct write has raised the size beyond it. */
    int (*zero)(struct cache *cache, int64_t from, int64_t to);

    /* DIRECT held. Before a direct request: what is dirty in the range is on disk. Before a direct
       write, and after one: nothing of the range is cached. */
    int (*write_back)(struct cache *cache, int64_t offset, int64_t length);
    int (*invalidate)(struct cache *cache, int64_t offset, int64_t length);

    /* EXCLUSIVE_IO held. The file's size is to be `size`. */
    int (*truncate)(struct cache *cache, int64_t size);

    /* Nothing held. What was written before is durable; data_only leaves out other metadata. */
    int (*sync)(struct cache *cache, bool data_only);

    void (*destroy)(struct cache *cache);
};

struct cache {
    const struct cache_ops *ops;
};

/* The kernel's page cache, through descriptors that the caller keeps open; sync_fd is used for
   nothing but sync, so that no error of a write-back is reported elsewhere. 0 or -ENOMEM. */
int cache_kernel_create_(int fd, int sync_fd, struct cache **cache);

#endif
