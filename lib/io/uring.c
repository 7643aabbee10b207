/* SPDX-License-Identifier: MIT */
/*
 * The io_uring backend: one ring, filled by any thread under a mutex and reaped by a thread of its
 * own, or by a poller instead of it (turn.h). What callbacks submit meanwhile goes to the kernel at
 * once as long as it has little to do, and what is more than that in one call, when all of them have
 * returned.
 *
 * Because neither of them takes a lock of a file, a submitter may wait for one while it has
 * requests in flight: those complete without it.
 */
#include "backend.h"
#include "turn.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define REAPED 32 /* at once, at most */
#define ENOUGH 16 /* ops that the kernel has while others are collected */

struct uring {
    struct backend backend;
    struct io_uring ring;
    pthread_t reaper;
    struct turn turn;             /* the ring's completions */
    pthread_mutex_t mutex;        /* the submission side, and: */
    struct cds_list_head backlog; /* ops beyond the depth, and collected ones, oldest first */
    unsigned in_flight;
    unsigned depth;
};

/* The ring for which this thread collects what it submits. */
static _Thread_local const struct uring *collecting;

/* What the completions mean that are of no op. */
static char stand_aside, wake_up, the_end;

static void prepare(struct io_uring_sqe *sqe, struct backend_op *op)
{
    const unsigned count = (unsigned)op->count;
    const uint64_t offset = (uint64_t)op->offset;

    /* One piece costs the kernel less as such. */
    if (count == 1 && op->write)
        io_uring_prep_write(sqe, op->fd, op->iov->iov_base, (unsigned)op->iov->iov_len, offset);
    else if (count == 1)
        io_uring_prep_read(sqe, op->fd, op->iov->iov_base, (unsigned)op->iov->iov_len, offset);
    else if (op->write)
        io_uring_prep_writev(sqe, op->fd, op->iov, count, offset);
    else
        io_uring_prep_readv(sqe, op->fd, op->iov, count, offset);
    sqe->rw_flags = op->rw_flags;
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

    pthread_mutex_lock(&uring->mutex);
    cds_list_add_tail(&op->job.node, &uring->backlog);
    if (collecting != uring || uring->in_flight < ENOUGH)
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
        cds_list_add_tail(&op->job.node, &uring->backlog);
    }
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
    turn_recall_(&uring->turn);
}

static void take(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    pthread_mutex_lock(&uring->mutex);
    jobs_take_(&uring->backlog, match, context, taken);
    pthread_mutex_unlock(&uring->mutex);
}

/* An entry that brings nothing but its completion. */
static void tell(struct uring *uring, void *what)
{
    struct io_uring_sqe *sqe = NULL;

    pthread_mutex_lock(&uring->mutex);
    while ((sqe = io_uring_get_sqe(&uring->ring)) == NULL)
        push(uring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, what);
    uring->in_flight++;
    push(uring);
    pthread_mutex_unlock(&uring->mutex);
}

/*
 * The ops that have completed, at most REAPED of them. Returns what the thread is told, or NULL. The
 * mutex orders what the submitter did before what the completer does.
 */
static const void *take_completed(struct uring *uring, struct cds_list_head *ops)
{
    struct io_uring_cqe *found[REAPED];
    const unsigned count = io_uring_peek_batch_cqe(&uring->ring, found, REAPED);
    const void *told = NULL;

    if (count == 0)
        return NULL;
    pthread_mutex_lock(&uring->mutex);
    for (unsigned i = 0; i < count; i++) {
        void *data = io_uring_cqe_get_data(found[i]);
        struct backend_op *op = data;

        if (data == &stand_aside || data == &the_end)
            told = data;
        if (told == data || data == &wake_up)
            continue;
        op->result = found[i]->res;
        cds_list_add_tail(&op->job.node, ops);
    }
    io_uring_cq_advance(&uring->ring, count);
    uring->in_flight -= count;
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
    return told;
}

static void complete(struct cds_list_head *ops)
{
    struct backend_op *op = NULL;
    struct backend_op *next = NULL;

    cds_list_for_each_entry_safe(op, next, ops, job.node) op->done(op);
}

static void collect(struct backend *backend, bool begin)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    collecting = begin ? uring : NULL;
    if (begin)
        return;
    pthread_mutex_lock(&uring->mutex);
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
}

static void *reap(void *arg)
{
    struct uring *uring = arg;
    const void *told = NULL;

    while (told != &the_end) {
        struct io_uring_cqe *first = NULL;
        CDS_LIST_HEAD(ops);

        if (io_uring_wait_cqe(&uring->ring, &first) < 0)
            continue;
        told = take_completed(uring, &ops);
        collect(&uring->backend, true);
        complete(&ops);
        collect(&uring->backend, false);
        if (told == &stand_aside)
            turn_stand_aside_(&uring->turn);
    }
    return NULL;
}

/* Instead of the thread. */

static void ask(void *arg)
{
    tell(arg, &stand_aside);
}

static void await(struct uring *uring, int64_t ns)
{
    struct __kernel_timespec limit = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    struct io_uring_cqe *first = NULL;

    if (ns == INT64_MAX)
        (void)io_uring_wait_cqe(&uring->ring, &first);
    else if (ns > 0)
        (void)io_uring_wait_cqe_timeout(&uring->ring, &first, &limit);
}

static bool enter(struct backend *backend, bool waits)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    return turn_enter_(&uring->turn, waits, ask, uring);
}

static void poll_ring(struct backend *backend, int64_t ns, struct cds_list_head *completed)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    pthread_mutex_lock(&uring->mutex);
    fill(uring);
    pthread_mutex_unlock(&uring->mutex);
    await(uring, ns);
    (void)take_completed(uring, completed);
}

static int descriptor(struct backend *backend)
{
    return caa_container_of(backend, struct uring, backend)->ring.ring_fd;
}

static void leave(struct backend *backend)
{
    turn_leave_(&caa_container_of(backend, struct uring, backend)->turn);
}

static void wake(struct backend *backend)
{
    tell(caa_container_of(backend, struct uring, backend), &wake_up);
}

static void recall(struct backend *backend)
{
    turn_recall_(&caa_container_of(backend, struct uring, backend)->turn);
}

static void destroy(struct backend *backend)
{
    struct uring *uring = caa_container_of(backend, struct uring, backend);

    tell(uring, &the_end);
    turn_recall_(&uring->turn);
    pthread_join(uring->reaper, NULL);
    io_uring_queue_exit(&uring->ring);
    turn_destroy_(&uring->turn);
    pthread_mutex_destroy(&uring->mutex);
    free(uring);
}

static const struct backend_ops uring_ops = {
    .submit = submit, .submit_all = submit_all, .take = take, .destroy = destroy};

/* With a limit to the wait that does not need an entry of the ring. */
static const struct backend_ops polled_ops = {.submit = submit,
                                              .submit_all = submit_all,
                                              .take = take,
                                              .enter = enter,
                                              .poll = poll_ring,
                                              .fd = descriptor,
                                              .leave = leave,
                                              .collect = collect,
                                              .wake = wake,
                                              .recall = recall,
                                              .destroy = destroy};

int backend_uring_create_(unsigned depth, struct backend **backend)
{
    struct uring *uring = calloc(1, sizeof(*uring));
    int result = 0;

    if (uring == NULL)
        return -ENOMEM;
    uring->depth = depth;
    CDS_INIT_LIST_HEAD(&uring->backlog);
    turn_init_(&uring->turn);
    pthread_mutex_init(&uring->mutex, NULL);
    /* The completion queue has twice the entries, so it can't overflow. */
    result = io_uring_queue_init(depth, &uring->ring, 0);
    if (result == 0) {
        uring->backend.ops = uring->ring.features & IORING_FEAT_EXT_ARG ? &polled_ops : &uring_ops;
        result = thread_start_(&uring->reaper, reap, uring);
        if (result)
            io_uring_queue_exit(&uring->ring);
    }
    if (result) {
        turn_destroy_(&uring->turn);
        pthread_mutex_destroy(&uring->mutex);
        free(uring);
        return result;
    }
    *backend = &uring->backend;
    return 0;
}
