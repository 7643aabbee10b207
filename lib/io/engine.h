/* SPDX-License-Identifier: MIT */
/* What an engine and a file consist of, and what every call on a file does first and last. */
#ifndef TS_IO_ENGINE_H
#define TS_IO_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <twostate/io.h>
#include <twostate/iolock.h>
#include <twostate/iopair.h>

#include "../aligned.h"
#include "backend.h"
#include "cache.h"
#include "commit.h"
#include "due.h"
#include "lease.h"
#include "serve.h"
#include "user.h"
#include "waits.h"

struct twostate_engine {
    struct backend *backend;
    struct workers *workers; /* for requests that may wait for a lock, or go through the cache */
    struct workers *callers; /* one thread, for callbacks that no other can make; NULL: polled */
    struct due *due;         /* the callbacks of a polled engine; NULL: not polled */
    enum twostate_backend kind;
    uint32_t files;         /* atomic */
    uint32_t requests;      /* accepted and not called back; atomic */
    uint32_t most_requests; /* options, with the defaults put in: */
    uint64_t cache_bytes;
    unsigned dirty_percent;
    unsigned writeback_ms;
    pthread_mutex_t user_mutex;  /* the following */
    struct user_engine *user;    /* of the user caches; NULL: there was none */
    pthread_mutex_t files_mutex; /* the following */
    struct cds_list_head open_files;
    struct server *server; /* NULL: nobody is told */
};

/* Requests that wait for the mode without a thread: see async.c. */
struct waiting {
    pthread_mutex_t mutex;
    struct cds_list_head requests;
};

/* One at a time for each file: see readahead.c. */
struct readahead {
    struct job job;
    int64_t from;
    int64_t length;
    uint32_t busy; /* atomic */
};

struct twostate_file {
    struct twostate_engine *engine;
    struct twostate_iopair pair;
    struct twostate_iolock users; /* shared by every call and request; exclusive: closing */
    struct lease lease;           /* of the buffered requests */
    struct cache *cache;
    int fd;        /* buffered */
    int direct_fd; /* O_DIRECT; -1: the file system has none */
    int sync_fd;   /* fsync only, so that it sees every error of a write-back */
    uint32_t direct_memory;
    uint32_t direct_offset;
    size_t piece; /* the cache's; here, for who looks at it has not entered yet; */
    bool hits;    /* and whether it has that call */
    bool block_device;
    bool writable;
    pthread_mutex_t size_lock; /* held by who raises the size through the cache */
    aligned_s64 known_size;    /* the file is at least this large; atomic */
    struct commit syncs;       /* fsync: see durable.c */
    struct waiting waiting;
    struct readahead ahead;
    int32_t error;             /* first failed write-back, -errno; atomic */
    uint32_t unsynced;         /* written since the last sync; atomic */
    struct cds_list_head node; /* among the engine's open files */
    struct waits waits[WAIT_KINDS];
};

/* Counts the caller in, so that close waits for it: 0, -EBADF or -EDEADLK (in a callback). */
int file_enter_(struct twostate_file *file);
/* The same for a request that does not wait, so may be made in a callback. */
int file_enter_async_(struct twostate_file *file);
void file_leave_(struct twostate_file *file);
/* For a buffered request of one piece: true, and it is in by the lease, which it ends by lease_exit_;
   or nothing has happened. */
bool file_enter_leased_(struct twostate_file *file);
/* Waits until all have left, for good. In a polled engine it makes their callbacks. */
void file_shut_(struct twostate_file *file);

/* Asks the file system for the size: bytes, or -errno. Old at once, unless a path is held. */
int64_t file_ask_size_(const struct twostate_file *file);
/* What the descriptor says, which may be less while a user cache has not written everything back. */
int64_t file_disk_size_(const struct twostate_file *file);
/* The same, and notes it. A path is held, so that no truncate comes in between. */
int64_t file_size_(struct twostate_file *file);
int64_t file_known_size_(const struct twostate_file *file);
/* The file has grown to `size`, or is larger. */
void file_raise_size_(struct twostate_file *file, int64_t size);
void file_set_size_(struct twostate_file *file, int64_t size);

/* The error that every sync of this file answers, or 0. */
int file_error_(const struct twostate_file *file);
/* Data was written, that close makes durable. After the fact: a sync in between may have missed it.
 */
void file_note_write_(struct twostate_file *file);
/* fsync or fdatasync, with the error kept. */
int file_sync_(struct twostate_file *file, bool data_only);
/* What that does for all who wait for it: see commit.h. */
int file_sync_disk_(struct commit *commit, bool data_only);

/* Takes the path's locks; with nowait -EAGAIN instead of waiting. Adds to the thread's waited time.
 */
int file_begin_(struct twostate_file *file, enum twostate_iopath path, struct twostate_hold *hold,
                bool nowait);
/* As twostate_iopair_retry_unaligned, or with nowait its try form: false, and the hold has ended. */
bool file_retry_unaligned_(struct twostate_file *file, struct twostate_hold *hold, bool nowait);

/* A user cache's wish to read so much into it: false if there is one already, or the file closes. */
bool readahead_start_(void *file, int64_t from, int64_t length);

/* The time that twostate_waited_ns answers. */
void waited_reset_(void);
void waited_set_(int64_t ns);
int64_t waited_now_(void);
void waited_since_(int64_t start);

/* Marks this thread as being in a callback. */
void callback_run_(twostate_done *done, void *arg, ssize_t result);

/* Counts an asynchronous request in: 0, or -EBUSY. */
int engine_admit_(struct twostate_engine *engine);
void engine_dismiss_(struct twostate_engine *engine);

#endif
