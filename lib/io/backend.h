/* SPDX-License-Identifier: MIT */
/*
 * A backend carries out reads and writes of a descriptor, in the background or in the caller's
 * thread. It knows neither files nor locks; it is where faults can be injected.
 */
#ifndef TS_IO_BACKEND_H
#define TS_IO_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "cursor.h"
#include "workers.h"

/* One transfer, possibly short, of one iov. The submitter owns the memory; it stays till done. */
struct backend_op {
    struct job job;
    const struct iovec *iov;
    int count;
    int fd;
    int64_t offset;
    int rw_flags; /* RWF_... */
    bool write;
    int64_t result; /* bytes or -errno, for done */
    void (*done)(struct backend_op *op);
};

struct backend;

struct backend_ops {
    /* Calls op->done once, in a thread of the backend; maybe before it returns. Never waits. */
    void (*submit)(struct backend *backend, struct backend_op *op);
    /* The same for a list of ops (their jobs), at once. NULL: one by one. */
    void (*submit_all)(struct backend *backend, struct cds_list_head *ops);
    /* Takes out ops (their jobs) that match and that nobody has begun; done is not called for them.
       NULL: a backend that begins each at once. */
    void (*take)(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken);
    /*
     * Instead of the backend's threads, which then leave it to the caller: false, and another thread
     * is doing so, or they are, and the caller, who does not wait for that, is to come again. NULL, as
     * the next six: it can't be done.
     */
    bool (*enter)(struct backend *backend, bool waits);
    /*
     * In between: hands on what this thread has collected, waits so many ns (INT64_MAX: without a
     * limit) for an op that completes, and moves those that have (their jobs) to `completed`, for
     * the caller to call done, best after leave. May return early.
     */
    void (*poll)(struct backend *backend, int64_t ns, struct cds_list_head *completed);
    /* A descriptor that is readable while there is something for that, or for the threads. */
    int (*fd)(struct backend *backend);
    /* The threads wait a little whether he comes back. */
    void (*leave)(struct backend *backend);
    /* What this thread submits from now on stays in the queue, until poll or the end of this. */
    void (*collect)(struct backend *backend, bool begin);
    /* Makes a poll return that waits, or is about to. */
    void (*wake)(struct backend *backend);
    /* Somebody is about to wait for ops, who does not poll. */
    void (*recall)(struct backend *backend);
    /* No op may be in flight. */
    void (*destroy)(struct backend *backend);
};

struct backend {
    const struct backend_ops *ops;
};

static inline void backend_submit_all_(struct backend *backend, struct cds_list_head *ops)
{
    struct backend_op *op = NULL;
    struct backend_op *next = NULL;

    if (backend->ops->submit_all) {
        backend->ops->submit_all(backend, ops);
        return;
    }
    cds_list_for_each_entry_safe(op, next, ops, job.node) backend->ops->submit(backend, op);
}

static inline void backend_recall_(struct backend *backend)
{
    if (backend->ops->recall)
        backend->ops->recall(backend);
}

/* 0 or -errno. depth: ops in flight at once; more wait their turn in a list. */
int backend_uring_create_(unsigned depth, struct backend **backend);
int backend_pool_create_(unsigned depth, struct backend **backend);

/* Carries out the op in the caller's thread: what preadv2 or pwritev2 returns, or -errno. */
int64_t backend_run_(const struct backend_op *op);

/*
 * Moves the cursor's window in the caller's thread, with as many transfers as it takes; op gives
 * the descriptor, offset and flags. Stops short at the end of file, at an error after something
 * moved, or where a transfer ended between two multiples of `unit`. Returns the bytes moved, which
 * the cursor has advanced by; or the error, if nothing moved.
 */
int64_t backend_move_(struct backend_op *op, struct cursor *cursor, uint32_t unit);

#endif
