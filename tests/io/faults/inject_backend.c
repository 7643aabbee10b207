/* SPDX-License-Identifier: MIT */
/* Between the engine and its backend, and between the backend and io_uring: see inject_backend.h. */
#include "inject_backend.h"

#include "engine/inject.h"
#include "io/backend.h"
#include "threads.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <time.h>

#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
#define MOST_HELD  64

int REAL(backend_uring_create_)(unsigned depth, struct backend **backend);
int REAL(backend_pool_create_)(unsigned depth, struct backend **backend);
int REAL(io_uring_queue_init)(unsigned entries, struct io_uring *ring, unsigned flags);
int REAL(io_uring_submit)(struct io_uring *ring);
int REAL(__io_uring_get_cqe)(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit,
                             unsigned wait, sigset_t *mask);
void *REAL(calloc)(size_t count, size_t size);
int REAL(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                         void *argument);

int WRAP(backend_uring_create_)(unsigned depth, struct backend **backend);
int WRAP(backend_pool_create_)(unsigned depth, struct backend **backend);
int WRAP(io_uring_queue_init)(unsigned entries, struct io_uring *ring, unsigned flags);
int WRAP(io_uring_submit)(struct io_uring *ring);
int WRAP(__io_uring_get_cqe)(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit,
                             unsigned wait, sigset_t *mask);

/* The backend that the engine gets: it passes ops on to the real one. */
struct shim {
    struct backend backend;
    struct backend *real;
    pthread_t holder; /* lets held ops go, the last one first */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct shim_op *held;
    unsigned held_count;
    bool ending;
};

/* An op in the place of the engine's. */
struct shim_op {
    struct backend_op op;
    struct backend_op *theirs;
    struct shim *shim;
    struct hit hit;
    struct iovec half;
    bool over; /* it was carried out */
    struct shim_op *next;
};

static bool small_rings;
static uint32_t overflows;
static uint32_t writes_hit;

void inject_small_rings(bool small)
{
    small_rings = small;
}

uint32_t inject_overflows(void)
{
    return load(&overflows);
}

uint32_t inject_writes_hit(void)
{
    return load(&writes_hit);
}

static void hold(struct shim_op *op)
{
    struct shim *shim = op->shim;

    pthread_mutex_lock(&shim->mutex);
    op->next = shim->held;
    shim->held = op;
    shim->held_count++;
    pthread_cond_signal(&shim->changed);
    pthread_mutex_unlock(&shim->mutex);
}

static void end(struct shim_op *op)
{
    struct backend_op *theirs = op->theirs;

    if (op->hit.error && theirs->write)
        add(&writes_hit, 1);
    theirs->result = op->op.result;
    free(op);
    theirs->done(theirs);
}

static void done(struct backend_op *base)
{
    struct shim_op *op = caa_container_of(base, struct shim_op, op);

    if (base->write && base->result > 0)
        inject_note_write(base->rw_flags);
    op->over = true;
    if (op->hit.fault == FAULT_HELD_DONE)
        hold(op);
    else
        end(op);
}

/* Waits for company, for a moment; then takes all that is held. */
static struct shim_op *take_held(struct shim *shim)
{
    struct timespec until;
    struct shim_op *held = NULL;

    pthread_mutex_lock(&shim->mutex);
    while (shim->held == NULL && !shim->ending)
        pthread_cond_wait(&shim->changed, &shim->mutex);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 500000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (!shim->ending && shim->held_count < MOST_HELD &&
           pthread_cond_timedwait(&shim->changed, &shim->mutex, &until) == 0)
        ;
    held = shim->held;
    shim->held = NULL;
    shim->held_count = 0;
    pthread_mutex_unlock(&shim->mutex);
    return held;
}

static void *let_go(void *argument)
{
    struct shim *shim = argument;
    struct shim_op *op = take_held(shim);

    for (; op; op = take_held(shim))
        while (op) {
            struct shim_op *next = op->next;

            if (op->over)
                end(op);
            else
                shim->real->ops->submit(shim->real, &op->op);
            op = next;
        }
    return NULL;
}

/* Without the real backend; in the caller's thread, before submit returns. */
static void fail(struct shim_op *op)
{
    if (op->hit.fault == FAULT_TORN && op->op.write)
        inject_tear(op->op.fd, op->op.iov, op->op.count, op->op.offset);
    op->op.result = -op->hit.error;
    end(op);
}

/* It is done, and ends in another thread. */
static void fail_late(struct shim_op *op)
{
    const bool spared = inject_spare(true);

    (void)backend_run_(&op->op);
    (void)inject_spare(spared);
    op->op.result = -op->hit.error;
    op->over = true;
    hold(op);
}

static void submit(struct backend *backend, struct backend_op *theirs)
{
    struct shim *shim = caa_container_of(backend, struct shim, backend);
    struct shim_op *op = REAL(calloc)(1, sizeof(*op));

    CHECK(op);
    op->op = *theirs;
    op->op.done = done;
    op->theirs = theirs;
    op->shim = shim;
    op->hit = inject_next(CALL_OP);
    if (op->hit.fault == FAULT_SHORT) {
        op->half = op->op.iov[0];
        if (op->half.iov_len >= 8192)
            op->half.iov_len = op->half.iov_len / 8192 * 4096;
        op->op.iov = &op->half;
        op->op.count = 1;
    }
    if (op->hit.fault == FAULT_ERROR || op->hit.fault == FAULT_TORN)
        fail(op);
    else if (op->hit.fault == FAULT_LATE_ERROR)
        fail_late(op);
    else if (op->hit.fault == FAULT_HELD)
        hold(op);
    else
        shim->real->ops->submit(shim->real, &op->op);
}

struct shim_match {
    job_match *match;
    const void *context;
};

static bool match_theirs(const struct job *job, const void *context)
{
    const struct shim_match *match = context;
    const struct backend_op *base = caa_container_of(job, const struct backend_op, job);
    const struct shim_op *op = caa_container_of(base, const struct shim_op, op);

    return match->match(&op->theirs->job, match->context);
}

static void take_held_jobs(struct shim *shim, const struct shim_match *match,
                           struct cds_list_head *taken)
{
    struct shim_op **op = NULL;

    pthread_mutex_lock(&shim->mutex);
    op = &shim->held;
    while (*op)
        if (!(*op)->over && match_theirs(&(*op)->op.job, match)) {
            cds_list_add_tail(&(*op)->op.job.node, taken);
            *op = (*op)->next;
            shim->held_count--;
        } else {
            op = &(*op)->next;
        }
    pthread_mutex_unlock(&shim->mutex);
}

static void take(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken)
{
    struct shim *shim = caa_container_of(backend, struct shim, backend);
    const struct shim_match theirs = {match, context};
    struct shim_op *op = NULL;
    struct shim_op *next = NULL;
    CDS_LIST_HEAD(mine);

    take_held_jobs(shim, &theirs, &mine);
    shim->real->ops->take(shim->real, match_theirs, &theirs, &mine);
    cds_list_for_each_entry_safe(op, next, &mine, op.job.node)
    {
        cds_list_add_tail(&op->theirs->job.node, taken);
        free(op);
    }
}

static void destroy(struct backend *backend)
{
    struct shim *shim = caa_container_of(backend, struct shim, backend);

    pthread_mutex_lock(&shim->mutex);
    CHECK(shim->held == NULL);
    shim->ending = true;
    pthread_cond_signal(&shim->changed);
    pthread_mutex_unlock(&shim->mutex);
    CHECK(pthread_join(shim->holder, NULL) == 0);
    shim->real->ops->destroy(shim->real);
    pthread_cond_destroy(&shim->changed);
    pthread_mutex_destroy(&shim->mutex);
    free(shim);
}

static const struct backend_ops shim_ops = {.submit = submit, .take = take, .destroy = destroy};

static int create(int (*real)(unsigned depth, struct backend **backend), unsigned depth,
                  struct backend **backend)
{
    struct backend *made = NULL;
    struct shim *shim = NULL;
    const int result = real(depth, &made);

    if (result)
        return result;
    shim = REAL(calloc)(1, sizeof(*shim));
    CHECK(shim);
    shim->backend.ops = &shim_ops;
    shim->real = made;
    pthread_mutex_init(&shim->mutex, NULL);
    pthread_cond_init(&shim->changed, NULL);
    CHECK(REAL(pthread_create)(&shim->holder, NULL, let_go, shim) == 0);
    *backend = &shim->backend;
    return 0;
}

int WRAP(backend_uring_create_)(unsigned depth, struct backend **backend)
{
    return create(REAL(backend_uring_create_), depth, backend);
}

int WRAP(backend_pool_create_)(unsigned depth, struct backend **backend)
{
    return create(REAL(backend_pool_create_), depth, backend);
}

int WRAP(io_uring_queue_init)(unsigned entries, struct io_uring *ring, unsigned flags)
{
    const struct hit hit = inject_next(CALL_RING);

    if (hit.fault != FAULT_NONE)
        return -hit.error;
    return REAL(io_uring_queue_init)(small_rings ? 1 : entries, ring, flags);
}

/* An error of 0: the kernel takes none of them. */
int WRAP(io_uring_submit)(struct io_uring *ring)
{
    const struct hit hit = inject_next(CALL_SUBMIT);

    return hit.fault == FAULT_NONE ? REAL(io_uring_submit)(ring) : -hit.error;
}

int WRAP(__io_uring_get_cqe)(struct io_uring *ring, struct io_uring_cqe **cqe,
                             unsigned submit_count, unsigned wait, sigset_t *mask)
{
    const struct timespec moment = {.tv_nsec = 500000};
    const struct hit hit = inject_next(CALL_REAP);

    if (small_rings)
        nanosleep(&moment, NULL);
    if (__atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW)
        add(&overflows, 1);
    if (hit.fault != FAULT_NONE)
        return -hit.error;
    return REAL(__io_uring_get_cqe)(ring, cqe, submit_count, wait, mask);
}
