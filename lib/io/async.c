/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous requests.
 *
 * A plain direct request whose locks are free goes to the backend at once; its completion, in a
 * thread of the backend, releases IOTYPE. If it has to wait for the mode it does so without a
 * thread, and whoever makes room submits it: a request that holds the mode must never wait for a
 * worker, for all of them may be waiting for the mode. Everything else, what goes through the cache
 * or takes more than this, is run by a worker, which may wait: no thread that completes requests
 * ever does. So a request in flight always completes, and with it the lock that a worker waits for.
 *
 * Callbacks are made by the thread that completes the request, or, in a polled engine, wait for
 * whoever polls, who may be that thread.
 *
 * A request can be cancelled while it is in a list: of those that wait for the mode, of the workers'
 * jobs, or of the backend's. Whoever takes it out of the list, with that list's mutex held, carries
 * it on: so each request is carried on once, and nobody touches one that may be gone.
 */
#include "transfer.h"

#include <twostate/async.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct request {
    struct job job;
    struct backend_op op;
    struct transfer transfer;
    struct twostate_waiter waiter;
    struct cds_list_head node; /* among the file's waiting requests, while it is */
    bool waiting;
    bool granted;                   /* both with the mutex of waiting */
    struct twostate_hold submitter; /* DIRECT, until op is submitted */
    struct twostate_hold hold;      /* IOTYPE, while op is in flight */
    int64_t moved;                  /* bytes that op has moved so far */
    int64_t length;
    int64_t waited;
    int64_t result;
    uint32_t users; /* the completion, and whoever else looks at the request; atomic */
    twostate_done *done;
    void *arg;
};

/* The last of its users frees the request and lets the file be closed. */
static void drop(struct request *request)
{
    struct twostate_file *file = request->transfer.file;

    if (__atomic_sub_fetch(&request->users, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(request);
    file_leave_(file);
}

/* It is counted out before, so that the callback can start another request in its place. */
static void call_back(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    waited_set_(request->waited);
    engine_dismiss_(request->transfer.file->engine);
    callback_run_(request->done, request->arg, (ssize_t)request->result);
    drop(request);
}

/* The last step of every request, in a thread of the engine or in any other. */
static void end(struct request *request, int64_t result, bool own_thread)
{
    struct twostate_engine *engine = request->transfer.file->engine;

    request->result = result;
    request->job.run = call_back;
    transfer_destroy_(&request->transfer);
    if (engine->due)
        due_add_(engine->due, &request->job);
    else if (own_thread)
        call_back(&request->job);
    else
        workers_add_(engine->callers, &request->job);
}

static void finish(struct request *request, int64_t result)
{
    end(request, result, true);
}

static void finish_elsewhere(struct request *request, int64_t result)
{
    end(request, result, false);
}

static void queue(struct request *request, void (*run)(struct job *job))
{
    request->job.run = run;
    workers_add_(request->transfer.file->engine->workers, &request->job);
}

/* In a worker, which may wait: the whole transfer as a synchronous call does it. */
static void run_waiting(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    waited_set_(request->waited);
    request->result = transfer_run_(&request->transfer, NULL);
    request->waited = twostate_waited_ns();
    finish(request, request->result);
}

/* In a worker: a DSYNC write has failed. */
static void run_after_failure(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    file_sync_(request->transfer.file, true);
    finish(request, request->result);
}

static void submit_rest(struct request *request)
{
    struct cursor *cursor = &request->transfer.cursor;
    struct backend *backend = request->transfer.file->engine->backend;

    request->op.iov = cursor->iov;
    request->op.count = cursor->window_count;
    backend->ops->submit(backend, &request->op);
}

/* In the backend's thread. The size and the cache come first, then IOTYPE, then the callback. */
static void direct_done(struct backend_op *op)
{
    struct request *request = caa_container_of(op, struct request, op);
    struct transfer *t = &request->transfer;
    int64_t result = op->result;

    if (result == -EINTR) {
        submit_rest(request);
        return;
    }
    if (result > 0) {
        request->moved += result;
        op->offset += result;
        cursor_advance_(&t->cursor, (size_t)result);
        if (t->cursor.window > 0 && result % t->file->direct_offset == 0) {
            submit_rest(request);
            return;
        }
    }
    if (request->moved > 0)
        result = request->moved;
    result = transfer_direct_done_(t, t->offset, request->length, result);
    twostate_iopair_complete(&request->hold);
    request->result = result;
    if (transfer_refused_(result))
        queue(request, run_waiting);
    else if (transfer_dsync_failed_(t, result, request->length))
        queue(request, run_after_failure);
    else
        finish(request, result);
}

/* DIRECT is held. */
static void submit_direct(struct request *request)
{
    struct transfer *t = &request->transfer;

    request->length = (int64_t)t->cursor.window;
    request->op = (struct backend_op){
        .fd = t->file->direct_fd,
        .offset = t->offset,
        .rw_flags = transfer_direct_flags_(t),
        .write = t->write,
        .done = direct_done,
    };
    __atomic_add_fetch(&request->users, 1, __ATOMIC_ACQ_REL);
    twostate_iopair_submitting(&request->submitter, &request->hold);
    submit_rest(request);
    twostate_iopair_submitted(&request->submitter);
    drop(request);
}

/* Whether the request may go to the backend under the DIRECT hold: nothing has to be done first. */
static bool submittable(struct transfer *t)
{
    struct cache *cache = t->file->cache;

    return !(t->write && transfer_extends_(t)) && transfer_clip_(t) == 0 && t->cursor.window > 0 &&
           cache->ops->prepare(cache, t->offset, (int64_t)t->cursor.window,
                               t->write ? &t->kept : NULL, true) == 0;
}

static bool dsync_failed(const struct transfer *t)
{
    return (t->flags & TWOSTATE_IO_DSYNC) && file_error_(t->file);
}

/* DIRECT is held. True: the request is on its way. False: it takes another way. */
static bool submit(struct request *request)
{
    if (submittable(&request->transfer)) {
        submit_direct(request);
        return true;
    }
    twostate_iopair_end(&request->submitter);
    return false;
}

/*
 * The request waits for the mode, or has waited: by now it may have been granted, and be done. It is
 * listed only now that there is something to cancel.
 */
static void list_waiting(struct request *request)
{
    struct waiting *waiting = &request->transfer.file->waiting;

    pthread_mutex_lock(&waiting->mutex);
    if (!request->granted) {
        cds_list_add_tail(&request->node, &waiting->requests);
        request->waiting = true;
    }
    pthread_mutex_unlock(&waiting->mutex);
}

/* Granted. Whoever has taken it out of the list to cancel it finds that out from the waiter. */
static void end_waiting(struct request *request)
{
    struct waiting *waiting = &request->transfer.file->waiting;

    pthread_mutex_lock(&waiting->mutex);
    request->granted = true;
    if (request->waiting)
        cds_list_del(&request->node);
    request->waiting = false;
    pthread_mutex_unlock(&waiting->mutex);
}

/* In the thread that made room, whose release this is part of; submitting does not wait. */
static void direct_granted(struct twostate_waiter *waiter, int result)
{
    struct request *request = waiter->context;

    end_waiting(request);
    lease_allow_(&request->transfer.file->lease);
    request->waited = waited_now_() - request->waited;
    waits_add_(&request->transfer.file->waits[WAIT_DIRECT], request->waited);
    if (result || !submit(request))
        queue(request, run_waiting);
}

static void run_sync(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    finish(request, file_sync_(request->transfer.file, false));
}

/* 0: DIRECT is held. -EINPROGRESS: the request waits for it. -EAGAIN: it may not wait. */
static int begin_called_in(struct request *request)
{
    struct transfer *t = &request->transfer;
    int result = 0;

    if (twostate_iopair_try_begin(&t->file->pair, TWOSTATE_DIRECT, &request->submitter))
        return 0;
    if (t->flags & TWOSTATE_IO_NOWAIT)
        return -EAGAIN;
    request->waited = waited_now_();
    request->waiter.done = direct_granted;
    request->waiter.context = request;
    request->users = 2; /* it may be granted, and done, before it is listed */
    result = twostate_iopair_begin_async(&t->file->pair, TWOSTATE_DIRECT, &request->submitter,
                                         &request->waiter);
    if (result == -EINPROGRESS) {
        list_waiting(request);
        drop(request);
    } else {
        request->users = 1;
    }
    return result;
}

/* A lease is kept from the pair until the request has it. */
static int begin_direct(struct request *request)
{
    struct lease *lease = &request->transfer.file->lease;
    int result = 0;

    lease_call_in_(lease);
    result = begin_called_in(request);
    if (result != -EINPROGRESS)
        lease_allow_(lease);
    return result;
}

/* Not calloc: that does not look among what the thread has freed last. */
static struct request *new_request(twostate_done *done, void *arg)
{
    struct request *request = malloc(sizeof(*request));

    if (request) {
        memset(request, 0, sizeof(*request));
        request->done = done;
        request->arg = arg;
        request->users = 1;
    }
    return request;
}

/* Counts a request in, and in the file: 0 or -errno. */
static int enter(struct twostate_file *file, twostate_done *done)
{
    int result = done == NULL ? -EINVAL : file_enter_async_(file);

    if (result)
        return result;
    result = engine_admit_(file->engine);
    if (result)
        file_leave_(file);
    return result;
}

static void leave(struct twostate_file *file)
{
    engine_dismiss_(file->engine);
    file_leave_(file);
}

/* The request is complete but for its way: 0, or -EAGAIN and nothing has happened. */
static int start(struct request *request)
{
    struct transfer *t = &request->transfer;

    if (transfer_plain_direct_(t) && !dsync_failed(t)) {
        const int result = begin_direct(request);

        if (result == -EINPROGRESS) /* it may be done, and gone, already */
            return 0;
        request->waited = 0;
        if (result == 0 && submit(request))
            return 0;
    }
    if (t->flags & TWOSTATE_IO_NOWAIT) {
        request->result = transfer_run_(t, NULL);
        if (request->result == -EAGAIN)
            return -EAGAIN;
        finish_elsewhere(request, request->result);
    } else {
        queue(request, run_waiting);
    }
    return 0;
}

static int start_transfer(struct twostate_file *file, bool write, const struct iovec *iov,
                          int count, int64_t offset, unsigned flags, twostate_done *done, void *arg)
{
    struct request *request = NULL;
    int result = enter(file, done);

    if (result)
        return result;
    request = new_request(done, arg);
    result = request ? transfer_init_(&request->transfer, file, write, iov, count, offset, flags)
                     : -ENOMEM;
    if (result == 0) {
        result = start(request);
        if (result)
            transfer_destroy_(&request->transfer);
    }
    if (result) {
        free(request);
        leave(file);
    }
    return result;
}

int twostate_preadv_async(struct twostate_file *file, const struct iovec *iov, int count,
                          int64_t offset, unsigned flags, twostate_done *done, void *arg)
{
    return start_transfer(file, false, iov, count, offset, flags, done, arg);
}

int twostate_pwritev_async(struct twostate_file *file, const struct iovec *iov, int count,
                           int64_t offset, unsigned flags, twostate_done *done, void *arg)
{
    return start_transfer(file, true, iov, count, offset, flags, done, arg);
}

int twostate_fsync_async(struct twostate_file *file, twostate_done *done, void *arg)
{
    struct request *request = NULL;
    int result = enter(file, done);

    if (result)
        return result;
    request = new_request(done, arg);
    if (request == NULL) {
        leave(file);
        return -ENOMEM;
    }
    request->transfer.file = file;
    queue(request, run_sync);
    return 0;
}

/* Cancelling. */

struct chosen {
    const struct twostate_file *file;
    const void *arg;
};

static bool is_chosen(const struct request *request, const struct chosen *chosen)
{
    return request->transfer.file == chosen->file && request->arg == chosen->arg;
}

/* Among the workers' jobs, whatever they are. */
static bool chosen_job(const struct job *job, const void *context)
{
    return (job->run == run_waiting || job->run == run_sync) &&
           is_chosen(caa_container_of(job, const struct request, job), context);
}

/* Among the backend's ops, whoever submitted them. One that has moved something has begun. */
static bool chosen_op(const struct job *job, const void *context)
{
    const struct backend_op *op = caa_container_of(job, const struct backend_op, job);
    const struct request *request = caa_container_of(op, const struct request, op);

    return op->done == direct_done && request->moved == 0 && is_chosen(request, context);
}

static int cancel_waiting(struct twostate_file *file, const struct chosen *chosen)
{
    struct request *request = NULL;
    struct request *next = NULL;
    CDS_LIST_HEAD(taken);
    int cancelled = 0;

    pthread_mutex_lock(&file->waiting.mutex);
    cds_list_for_each_entry_safe(request, next, &file->waiting.requests, node)
    {
        if (!is_chosen(request, chosen))
            continue;
        cds_list_del(&request->node);
        cds_list_add_tail(&request->node, &taken);
        request->waiting = false;
        __atomic_add_fetch(&request->users, 1, __ATOMIC_ACQ_REL);
    }
    pthread_mutex_unlock(&file->waiting.mutex);
    cds_list_for_each_entry_safe(request, next, &taken, node)
    {
        if (twostate_waiter_cancel(&request->waiter)) {
            lease_allow_(&file->lease);
            request->waited = waited_now_() - request->waited;
            finish_elsewhere(request, -ECANCELED);
            cancelled++;
        }
        drop(request);
    }
    return cancelled;
}

static int cancel_jobs(struct workers *workers, const struct chosen *chosen)
{
    struct job *job = NULL;
    struct job *next = NULL;
    CDS_LIST_HEAD(taken);
    int cancelled = 0;

    workers_take_(workers, chosen_job, chosen, &taken);
    cds_list_for_each_entry_safe(job, next, &taken, node)
    {
        finish_elsewhere(caa_container_of(job, struct request, job), -ECANCELED);
        cancelled++;
    }
    return cancelled;
}

/* These hold IOTYPE, like those that the kernel has, and maybe folios. */
static int cancel_ops(struct backend *backend, const struct chosen *chosen)
{
    struct backend_op *op = NULL;
    struct backend_op *next = NULL;
    CDS_LIST_HEAD(taken);
    int cancelled = 0;

    if (backend->ops->take)
        backend->ops->take(backend, chosen_op, chosen, &taken);
    cds_list_for_each_entry_safe(op, next, &taken, job.node)
    {
        struct request *request = caa_container_of(op, struct request, op);

        (void)transfer_direct_done_(&request->transfer, request->transfer.offset, request->length,
                                    -ECANCELED);
        twostate_iopair_complete(&request->hold);
        finish_elsewhere(request, -ECANCELED);
        cancelled++;
    }
    return cancelled;
}

/* In the order in which a request goes through the lists. */
int twostate_cancel(struct twostate_file *file, void *arg)
{
    const struct chosen chosen = {.file = file, .arg = arg};
    int result = file_enter_async_(file);

    if (result)
        return result;
    result = cancel_waiting(file, &chosen);
    result += cancel_ops(file->engine->backend, &chosen);
    result += cancel_jobs(file->engine->workers, &chosen);
    file_leave_(file);
    return result;
}

/* Closing. */

struct shutting {
    struct twostate_waiter waiter;
    struct due *due;
    bool shut; /* with the mutex of due */
};

static void all_have_left(struct twostate_waiter *waiter, int result)
{
    struct shutting *shutting = waiter->context;

    (void)result; /* an exclusive one is never refused */
    due_stop_(shutting->due, &shutting->shut);
}

static bool due_for(const struct job *job, const void *file)
{
    return caa_container_of(job, const struct request, job)->transfer.file == file;
}

/*
 * A program with one thread that polls and closes would wait for itself: so the callbacks that close
 * waits for are made here.
 */
static void shut_polled(struct twostate_file *file, struct due *due)
{
    struct shutting shutting = {.waiter.done = all_have_left, .due = due};
    struct job *job = NULL;

    shutting.waiter.context = &shutting;
    if (twostate_iolock_acquire_async(&file->users, TWOSTATE_EXCLUSIVE, &shutting.waiter) == 0)
        return;
    while ((job = due_wait_(due, due_for, file, &shutting.shut)) != NULL)
        job->run(job);
}

void file_shut_(struct twostate_file *file)
{
    backend_recall_(file->engine->backend);
    if (file->engine->due)
        shut_polled(file, file->engine->due);
    else
        twostate_iolock_acquire(&file->users, TWOSTATE_EXCLUSIVE);
}
