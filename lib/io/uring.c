/* SPDX-License-Identifier: MIT */
/*
 * The io_uring backend: one ring, filled by any thread under a mutex and reaped by a thread of its
 * own.
 *
 * Because the reaper never takes a lock of a file, a submitter may wait for one while it has
 * requests in flight: those complete without it.
 */
#include "backend.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct uring {
    struct backend backend;
    struct io_uring ring;
    pthread_t reaper;
    pthread_mutex_t mutex;        /* the submission side, and: */
    struct cds_list_head backlog; /* ops beyond the depth, oldest first */
    unsigned in_flight;
    unsigned depth;
};

static void prepare(struct io_uring_sqe *sqe, struct backend_op *op)
{
    if (op->write)
        io_uring_prep_writev2(sqe, op->fd, op->iov, (unsigned)op->count, (uint64_t)op->offset,
                              op->rw_flags);
    else
        io_uring_prep_readv2(sqe, op->fd, op->iov, (unsigned)op->count, (uint64_t)op->offset,
                             op->rw_flags);
    io_uring_sqe_set_data(sqe, op);
}

/*
 * Hands the ring's entries to the kernel. If it can't take them now, the next completion brings
 * another try; if none is to come, there is nothing to do but to try again.
 */
static void push(struct uring *uring)
{
    while (io_uring_sq_ready(&uring->ring) > 0) {
        const int submitted = io_uring_submit(&uring->ring);

        if (submitted >= 0 || submitted == -EINTR)
            continue;
        if (uring->in_flight > io_uring_sq_ready(&uring->ring))
            return;
        sched_yield();
    }
}

/* Hands to the kernel what fits of the backlog. Called with the mutex held. */
static void fill(struct uring *uring)
{
    while (!cds_list_empty(&uring->backlog) && uring->in_flight < uring->depth) {
        struct backend_op *op = cds_list_first_entry(&uring->backlog, struct backend_op, job.node);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

        if (sqe == NULL)
            break;
        cds_list_del(&op->job.node);
        prepare(sqe, op);
        uring->in_flight++;
    }
    push(uring);
}

static void submit(struct backend *backend, struct backend_op *op)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    __atomic_store_n(&op->submitted, 1, __ATOMIC_RELEASE);
    pthread_mutex_lock(&uring->mutex);
    cds_list_add_tail(&op->job.node, &uring->backlog);
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
}

static void submit_all(struct backend *backend, struct cds_list_head *ops)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);
    struct backend_op *op = NULL;
    struct backend_op *next = NULL;

    pthread_mutex_lock(&uring->mutex);
    cds_list_for_each_entry_safe(op, next, ops, job.node)
    {
        __atomic_store_n(&op->submitted, 1, __ATOMIC_RELEASE);
        cds_list_add_tail(&op->job.node, &uring->backlog);
    }
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
}

static void take(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    pthread_mutex_lock(&uring->mutex);
    jobs_take_(&uring->backlog, match, context, taken);
    pthread_mutex_unlock(&uring->mutex);
}

static void completed(struct uring *uring, struct backend_op *op, int result)
{
    pthread_mutex_lock(&uring->mutex);
    uring->in_flight--;
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
    __atomic_load_n(&op->submitted, __ATOMIC_ACQUIRE);
    op->result = result;
    op->done(op);
}

/* A completion without an op is the order to end. */
static void *reap(void *arg)
{
    struct uring *uring = arg;

    for (;;) {
        struct io_uring_cqe *cqe = NULL;
        struct backend_op *op = NULL;
        int result = 0;

        if (io_uring_wait_cqe(&uring->ring, &cqe) < 0)
            continue;
        op = io_uring_cqe_get_data(cqe);
        result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        if (op == NULL)
            return NULL;
        completed(uring, op, result);
    }
}

static void destroy(struct backend *backend)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, NULL);
    push(uring);
    pthread_join(uring->reaper, NULL);
    io_uring_queue_exit(&uring->ring);
    pthread_mutex_destroy(&uring->mutex);
    free(uring);
}

static const struct backend_ops uring_ops = {
    .submit = submit, .submit_all = submit_all, .take = take, .destroy = destroy};

int backend_uring_create_(unsigned depth, struct backend **backend)
{
    struct uring *uring = calloc(1, sizeof(*uring));
    int result = 0;

    if (uring == NULL)
        return -ENOMEM;
    uring->backend.ops = &uring_ops;
    uring->depth = depth;
    CDS_INIT_LIST_HEAD(&uring->backlog);
    pthread_mutex_init(&uring->mutex, NULL);
    /* The completion queue has twice the entries, so it can't overflow. */
    result = io_uring_queue_init(depth, &uring->ring, 0);
    if (result == 0) {
        result = thread_start_(&uring->reaper, reap, uring);
        if (result)
            io_uring_queue_exit(&uring->ring);
    }
    if (result) {
        pthread_mutex_destroy(&uring->mutex);
        free(uring);
        return result;
    }
    *backend = &uring->backend;
    return 0;
}
