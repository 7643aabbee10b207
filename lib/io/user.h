/* SPDX-License-Identifier: MIT */
/*
 * The engine's own cache: what all user caches of an engine share, and what each file has.
 *
 * Locks, in this order: the IO pair (whoever calls), folio locks ascending, `unwritten`, the mutex of
 * struct user. Nobody waits for memory or for the disk's answer to a write-back with a folio locked,
 * but who takes one folio out of the cache.
 */
#ifndef TS_IO_USER_H
#define TS_IO_USER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <urcu/list.h>

#include "../aligned.h"
#include "arena.h"
#include "backend.h"
#include "cache.h"
#include "commit.h"
#include "folio.h"
#include "folio_lock.h"
#include "index.h"

struct user_options {
    uint64_t bytes; /* budget */
    unsigned dirty_percent;
    unsigned writeback_ms;
};

/* What has been asked of write-back, and what it has done. */
struct user_engine {
    struct arena *arena;
    struct backend *backend;
    struct user_options options;

    pthread_mutex_t mutex;   /* the following */
    pthread_cond_t wake;     /* the flusher */
    pthread_cond_t progress; /* those who wait for less to be dirty, or for a cache to be let go */
    struct cds_list_head caches;  /* every cache */
    struct cds_list_head batches; /* those that nobody uses */
    void *batch_memory;
    pthread_cond_t batch_free;
    bool pressed;    /* somebody waits for less to be dirty, or for memory */
    uint64_t rounds; /* of the flusher, finished */
    int error;       /* of the last round, if it wrote nothing and nothing else is dirty */
    bool stop;
    pthread_t flusher;

    aligned_u64 dirty;        /* bytes of listed folios; atomic, as the following */
    aligned_u64 unwritable;   /* of those, of files of which nothing could be written last */
    aligned_u64 misses;       /* folios */
    aligned_u64 written_back; /* bytes */
};

struct user_cache {
    struct cache cache;
    struct user_engine *user;
    struct index index;
    struct cds_list_head node; /* in user->caches */
    unsigned held;             /* by the flusher; user->mutex */
    int error;         /* of the flusher's last try, if it wrote nothing; atomic, as the next */
    aligned_u64 dirty; /* bytes of its listed folios */
    uint32_t folio;    /* bytes */
    uint32_t shift;    /* log2 of it */
    struct arena_layout layout; /* of its folios */
    int fd;                     /* the kernel's cache: for the tail, and to change the size */
    int direct_fd;
    aligned_s64 *size; /* the file's, atomic */
    bool block_device;
    struct commit data_sync; /* fdatasync for who wrote with DSYNC */
    int sync_fd;
    int32_t lost; /* the first error of a sync of the disk; atomic */

    pthread_mutex_t unwritten;        /* the following, and of each folio what folio.h says */
    pthread_cond_t written;           /* some write has ended */
    struct cds_list_head not_on_disk; /* folios, the oldest first */
    uint64_t syncs;                   /* begun */
    unsigned settling;                /* wait for blocks that are being written */
    unsigned on_way;                  /* batches, and ends of the file */
    unsigned held_back;               /* by so many, no batch may set out */

    /* Read-ahead. The window that was read ahead last ends at `ahead`. */
    bool (*read_ahead)(void *context, int64_t from, int64_t length);
    void *context;
    int64_t window;       /* bytes */
    aligned_s64 ahead;    /* atomic */
    aligned_s64 last_end; /* of the last read that found something missing; atomic */
};

/* 0, -ENOMEM, or what pthread_create answers. */
int user_create_(const struct user_options *options, struct backend *backend,
                 struct user_engine **user);
/* No cache may be left. */
void user_destroy_(struct user_engine *user);

struct twostate_engine_info;
/* Puts in what concerns the user caches. */
void user_query_(struct user_engine *user, struct twostate_engine_info *info);

/* What is dirty now of the blocks that [from, to) touches is on disk when this returns 0. */
int writeback_range_(struct user_cache *cache, int64_t from, int64_t to);
/* The same for the whole file. */
int writeback_all_(struct user_cache *cache);
/* Writes some of what has been dirty since before then. Bytes (0: there is none), or, if it could
   write nothing, an error. */
int64_t writeback_some_(struct user_cache *cache, int64_t since);

/*
 * When something is written behind the block that holds the end of file on disk, the file system fills
 * that block with zeroes, in its own cache; it may write them, and the size with them, before our block
 * gets there. So that block goes first, alone; whether that worked is for a sync to say. With nowait
 * false, and nothing is done, if there is such a block.
 */
bool writeback_end_first_(struct user_cache *cache, bool nowait);

/*
 * Waits until less is dirty than may be; with nowait -EAGAIN instead. No folio is locked. What can't be
 * written counts for its own file alone; an error is that of the cache's own file, of which nothing can be
 * written, and of what may be dirty too much for others to make room.
 */
int flusher_throttle_(const struct user_cache *cache, bool nowait);
/* Whoever waits for memory, or would have to: write back. */
void flusher_press_(void *user);
/* Who waits for memory, for which cache. */
struct flusher_wait {
    struct user_cache *cache;
    uint64_t enough; /* rounds; 0 before it has asked */
};
/* With a struct flusher_wait: 0, or, since nothing that is dirty can be written any more, the error of the
   cache's own file, or -ENOMEM. */
int flusher_stuck_(void *wait);
int flusher_start_(struct user_engine *user);
void flusher_stop_(struct user_engine *user);
/* So many bytes more are dirty. Never waits. */
void flusher_dirtied_(struct user_engine *user, uint32_t bytes);
/* Before a cache goes: the flusher forgets it. */
void flusher_forget_(struct user_cache *cache);

/* The calls of cache.h. */
int64_t user_read_(struct user_cache *cache, struct cursor *cursor, int64_t offset, unsigned flags);
bool user_hit_(struct cache *base, void *memory, size_t length, int64_t offset, bool write);
int64_t user_write_(struct user_cache *cache, struct cursor *cursor, int64_t offset,
                    unsigned flags);
int64_t user_read_dirty_(struct user_cache *cache, struct cursor *cursor, int64_t offset);
void user_fetch_(struct user_cache *cache, int64_t offset, int64_t length);
int user_write_back_(struct user_cache *cache, int64_t offset, int64_t length);

enum user_drop {
    DROP_CLEAN,      /* what is dirty, or locked, stays */
    DROP_NOWAIT,     /* what is dirty stays; -EAGAIN if something is locked */
    DROP_EVERYTHING, /* waits */
};

/* The folio's lock is held exclusive; the blocks are clean. Takes them out, and unlocks. */
void user_drop_locked_(struct user_cache *cache, struct folio *folio, uint32_t blocks);
/* Takes the blocks that [from, to) touches out of the cache. 0 or -EAGAIN. */
int user_drop_(struct user_cache *cache, int64_t from, int64_t to, enum user_drop how);

/*
 * Before a direct write of [from, to): takes what is clean out of the cache, and locks the folios of
 * which dirty blocks are about to be overwritten. They stay dirty: if the write fails, they are what the
 * file holds. False, and nothing is kept, if that can't be done at once.
 */
bool user_keep_(struct user_cache *cache, int64_t from, int64_t to, struct cache_kept *kept);
/* After it, of which `moved` bytes were written (or an error): forgets those blocks, and unlocks. Returns
   what stays of them: see cache.h. */
int64_t user_let_go_(struct user_cache *cache, int64_t from, int64_t moved,
                     struct cache_kept *kept);

/*
 * The file gets a hole: punch (0 or -errno) makes it on disk. What is dirty in it is forgotten, not written
 * before: that would take space, and there may be none. Nothing is read or written meanwhile but by write-back.
 */
int user_punch_(struct user_cache *cache, int64_t from, int64_t to, int (*punch)(void *context),
                void *context);

/* After uncached IO. What can't be written back stays: it must not be lost. */
void user_leave_nothing_(struct user_cache *cache, int64_t offset, int64_t length);

/* What the descriptor says the size is. It may have changed though setting it failed. */
int64_t user_disk_size_(const struct user_cache *cache);
int user_set_disk_size_(struct user_cache *cache, int64_t size);

int64_t user_now_(void);

static inline uint64_t user_folio_of_(const struct user_cache *cache, int64_t offset)
{
    return (uint64_t)offset >> cache->shift;
}

static inline int64_t user_round_down_(int64_t offset)
{
    return offset - offset % FOLIO_BLOCK;
}

static inline int64_t user_round_up_(int64_t offset)
{
    return offset > INT64_MAX - FOLIO_BLOCK ? INT64_MAX
                                            : user_round_down_(offset + (FOLIO_BLOCK - 1));
}

static inline int64_t user_smaller_(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The blocks of a folio that [from, to) touches; it does touch the folio. */
static inline uint32_t user_blocks_in_(const struct user_cache *cache, uint64_t number,
                                       int64_t from, int64_t to)
{
    const int64_t start = (int64_t)(number << cache->shift);
    const int64_t first = from > start ? from - start : 0;
    const int64_t last = user_smaller_(to - start, cache->folio);

    return folio_blocks((uint32_t)first, (uint32_t)last);
}

/* Of the blocks that [from, to) touches, those that it covers. */
static inline uint32_t user_covered_(const struct user_cache *cache, uint64_t number, int64_t from,
                                     int64_t to)
{
    const int64_t first = user_round_up_(from);
    const int64_t last = user_round_down_(to);
    const int64_t start = (int64_t)(number << cache->shift);

    if (first >= last || first - start >= cache->folio || last <= start)
        return 0;
    return user_blocks_in_(cache, number, first, last);
}

static inline int64_t user_size_(const struct user_cache *cache)
{
    return __atomic_load_n(cache->size, __ATOMIC_ACQUIRE);
}

#endif
