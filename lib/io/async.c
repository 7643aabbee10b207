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
 */
#include "transfer.h"

#include <twostate/async.h>

#include <errno.h>
#include <stdlib.h>

struct request {
    struct job job;
    struct backend_op op;
    struct transfer transfer;
    struct twostate_waiter waiter;
    struct twostate_hold submitter; /* DIRECT, until op is submitted */
    struct twostate_hold hold;      /* IOTYPE, while op is in flight */
    int64_t moved;                  /* bytes that op has moved so far */
    int64_t length;
    int64_t waited;
    int64_t result;
    uint32_t users; /* the completion, and a submitter that still holds the IOLOCK; atomic */
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

/* The last step of every request. */
static void finish(struct request *request, int64_t result)
{
    waited_set_(request->waited);
    transfer_destroy_(&request->transfer);
    callback_run_(request->done, request->arg, (ssize_t)result);
    drop(request);
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
    transfer_direct_done_(t, t->offset, request->length, result);
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
    request->users = 2;
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
           cache->ops->write_back(cache, t->offset, (int64_t)t->cursor.window) == 0;
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

/* In the thread that made room, whose release this is part of; submitting does not wait. */
static void direct_granted(struct twostate_waiter *waiter, int result)
{
    struct request *request = waiter->context;

    request->waited = waited_now_() - request->waited;
    if (result || !submit(request))
        queue(request, run_waiting);
}

/* In a worker: a request that was carried out already. */
static void run_callback(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    finish(request, request->result);
}

static void run_sync(struct job *job)
{
    struct request *request = caa_container_of(job, struct request, job);

    finish(request, file_sync_(request->transfer.file, false));
}

/* 0: DIRECT is held. -EINPROGRESS: the request waits for it. -EAGAIN: it may not wait. */
static int begin_direct(struct request *request)
{
    struct transfer *t = &request->transfer;

    if (t->flags & TWOSTATE_IO_NOWAIT)
        return twostate_iopair_try_begin(&t->file->pair, TWOSTATE_DIRECT, &request->submitter)
                   ? 0
                   : -EAGAIN;
    request->waited = waited_now_();
    request->waiter.done = direct_granted;
    request->waiter.context = request;
    return twostate_iopair_begin_async(&t->file->pair, TWOSTATE_DIRECT, &request->submitter,
                                       &request->waiter);
}

static struct request *new_request(twostate_done *done, void *arg)
{
    struct request *request = calloc(1, sizeof(*request));

    if (request) {
        request->done = done;
        request->arg = arg;
        request->users = 1;
    }
    return request;
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
        queue(request, run_callback);
    } else {
        queue(request, run_waiting);
    }
    return 0;
}

static int start_transfer(struct twostate_file *file, bool write, const struct iovec *iov,
                          int count, int64_t offset, unsigned flags, twostate_done *done, void *arg)
{
    struct request *request = NULL;
    int result = done == NULL ? -EINVAL : file_enter_async_(file);

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
        file_leave_(file);
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
    int result = done == NULL ? -EINVAL : file_enter_async_(file);

    if (result)
        return result;
    request = new_request(done, arg);
    if (request == NULL) {
        file_leave_(file);
        return -ENOMEM;
    }
    request->transfer.file = file;
    queue(request, run_sync);
    return 0;
}
