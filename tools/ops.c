/* SPDX-License-Identifier: MIT */
/* The operations: each does one thing to the file and tells the books before and after. */
#include "load.h"
#include "util.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#define PICKS        16
#define SCAN_RECORDS 64

void worker_found(struct worker *worker, enum kind kind, enum finding finding, uint64_t count)
{
    if (count > 0)
        atomic_fetch_add_explicit(&worker->found[kind][finding], count, memory_order_relaxed);
}

static void count_error(struct worker *worker, int64_t result)
{
    if (worker->error == 0)
        worker->error = result < 0 ? (int)result : -EIO;
    atomic_fetch_add_explicit(&worker->errors, 1, memory_order_relaxed);
}

/* An operation is over: bytes is what it was to transfer, or 0. */
static void count_op(struct worker *worker, int64_t latency_ns, int64_t waited_ns, uint64_t bytes)
{
    atomic_fetch_add_explicit(&worker->ops, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->bytes, bytes, memory_order_relaxed);
    hist_add_ns(&worker->latency, latency_ns);
    hist_add_ns(&worker->wait, waited_ns);
}

static void count_verdict(struct worker *worker, enum kind kind, enum verdict verdict)
{
    if (verdict == VERDICT_TORN)
        worker_found(worker, kind, FOUND_TORN, 1);
    else if (verdict == VERDICT_STALE)
        worker_found(worker, kind, FOUND_STALE, 1);
}

/* In any thread: the books of the slot are kept when a request ends, not when its batch does. */
static void job_done(struct request *request)
{
    struct job *job = request->arg;
    struct order_slot *order = &job->zone->order[job->slot];

    job->failed = request->result != (int64_t)request->length;
    if (request->write) {
        order_write_end(order, &job->op, job->id, !job->failed);
    } else if (request->result < 0) {
        order_read_cancel(order, &job->op);
    } else {
        struct block_header header = {0};
        enum content content = CONTENT_TORN;

        if (!job->failed)
            content = block_check(request->buffer, job->zone->length,
                                  slot_name(job->zone, job->slot), &header);
        job->verdict = order_read_end(order, &job->op, content, header.sequence);
        job->failed = false;
    }
    if (request->direct)
        order_unclaim(order, request->write);
}

/* Picks a slot for job; false if direct requests of others are in the way wherever one looks. */
static bool job_pick(struct worker *worker, struct job *job, bool write, bool direct)
{
    for (unsigned i = 0; i < PICKS; i++) {
        layout_pick(&worker->load->layout, &worker->random, false, &job->zone, &job->slot);
        if (!direct || order_claim(&job->zone->order[job->slot], write))
            return true;
    }
    return false;
}

static void job_begin(struct worker *worker, unsigned i, bool write, bool direct)
{
    struct job *job = &worker->jobs[i];
    struct request *request = &worker->requests[i];
    struct order_slot *order = &job->zone->order[job->slot];
    uint32_t length = job->zone->length;

    *request = (struct request){
        .write = write,
        .direct = direct,
        .buffer = worker->buffer + (size_t)i * worker->load->layout.longest,
        .length = length,
        .offset = slot_offset(job->zone, job->slot),
        .done = job_done,
        .arg = job,
    };
    job->verdict = VERDICT_OK;
    if (write) {
        job->id = order_write_begin(order, &job->op, worker->kind, false);
        block_fill(request->buffer, length, slot_name(job->zone, job->slot), worker->number,
                   job->id);
    } else {
        order_read_begin(order, &job->op);
    }
}

static void transfer_step(struct worker *worker, bool write, bool direct)
{
    unsigned count = 0;

    for (unsigned i = 0; i < worker->batch; i++)
        if (job_pick(worker, &worker->jobs[count], write, direct))
            job_begin(worker, count++, write, direct);
    if (count == 0) {
        sched_yield();
        return;
    }
    worker->load->driver->transfer(worker->load->file, worker->requests, count);
    for (unsigned i = 0; i < count; i++) {
        const struct request *request = &worker->requests[i];

        count_op(worker, request->ended_ns - request->begun_ns, request->waited_ns,
                 request->result > 0 ? (uint64_t)request->result : 0);
        if (worker->jobs[i].failed)
            count_error(worker, request->result);
        count_verdict(worker, worker->kind, worker->jobs[i].verdict);
    }
}

static void append_step(struct worker *worker)
{
    struct load *load = worker->load;
    struct tail *tail = &load->layout.tail;
    bool direct = random_below(&worker->random, 2) != 0;
    uint64_t sequence = tail_append_begin(tail, worker->index);
    int64_t offset = -1;

    block_fill(worker->buffer, tail->record, TAIL_SLOT, worker->index, sequence);
    int64_t begun = now_ns();
    int64_t n = load->driver->append(load->file, worker->buffer, tail->record, direct, &offset);
    int64_t ended = now_ns();

    count_op(worker, ended - begun, load->driver->waited_ns(), n > 0 ? (uint64_t)n : 0);
    tail_append_end(tail, worker->index, n == (int64_t)tail->record, offset);
    if (n != (int64_t)tail->record)
        count_error(worker, n);
}

/* Reads the records below the size that the file has now. False: a read failed. */
static bool scan_records(struct worker *worker, struct tail_scan *scan)
{
    struct load *load = worker->load;
    const struct tail *tail = &load->layout.tail;
    int64_t end = load->driver->size(load->file);

    for (int64_t at = tail->base; at < end; at += SCAN_RECORDS * (int64_t)tail->record) {
        int64_t records = (end - at + tail->record - 1) / tail->record;
        struct request request = {.direct = random_below(&worker->random, 2) != 0,
                                  .buffer = worker->buffer,
                                  .length = tail->record * (size_t)SCAN_RECORDS,
                                  .offset = at};

        if (records < SCAN_RECORDS)
            request.length = (size_t)records * tail->record;
        load->driver->transfer(load->file, &request, 1);
        if (request.result < 0) {
            count_error(worker, request.result);
            return false;
        }
        for (int64_t i = 0; i < request.result; i += tail->record) {
            int64_t left = request.result - i;

            tail_scan_record(tail, scan, worker->buffer + i,
                             left < tail->record ? (uint32_t)left : tail->record, at + i);
        }
    }
    return end >= 0;
}

static void truncate_step(struct worker *worker)
{
    struct load *load = worker->load;
    struct tail *tail = &load->layout.tail;
    struct tail_scan scan;

    pthread_mutex_lock(&load->truncating);
    tail_scan_begin(tail, &scan);
    if (scan_records(worker, &scan)) {
        tail_scan_end(tail, &scan);
        worker_found(worker, KIND_APPEND, FOUND_TORN, scan.torn);
        worker_found(worker, KIND_APPEND, FOUND_STALE, scan.stale);
        worker_found(worker, KIND_APPEND, FOUND_LOST, scan.lost);
    }
    tail_truncate_begin(tail);
    int64_t begun = now_ns();
    int error = load->driver->truncate(load->file, tail->base);
    int64_t ended = now_ns();

    count_op(worker, ended - begun, load->driver->waited_ns(), 0);
    tail_truncate_end(tail, error == 0);
    pthread_mutex_unlock(&load->truncating);
    if (error)
        count_error(worker, error);
}

static void punch_step(struct worker *worker)
{
    struct load *load = worker->load;
    struct zone *zone;
    uint32_t slot;
    struct order_op op;

    if (!layout_pick(&load->layout, &worker->random, true, &zone, &slot))
        return;
    uint64_t id = order_write_begin(&zone->order[slot], &op, worker->kind, true);
    int64_t begun = now_ns();
    int error = load->driver->punch(load->file, slot_offset(zone, slot), zone->length);
    int64_t ended = now_ns();

    count_op(worker, ended - begun, load->driver->waited_ns(), 0);
    order_write_end(&zone->order[slot], &op, id, error == 0);
    if (error)
        count_error(worker, error);
}

/* A remap reads its source: what the copy turns out to hold must be what a read could return. */
static void remap_step(struct worker *worker)
{
    struct load *load = worker->load;
    struct zone *zone;
    uint32_t slot;
    struct order_op op;
    struct block_header header;

    if (!layout_pick(&load->layout, &worker->random, true, &zone, &slot))
        return;
    struct order_slot *order = &zone->order[slot];
    struct request back = {.direct = random_below(&worker->random, 2) != 0,
                           .buffer = worker->buffer,
                           .length = zone->length,
                           .offset = slot_offset(zone, zone->slots + worker->index)};

    order_read_begin(order, &op);
    int64_t begun = now_ns();
    int64_t n = load->driver->remap(load->file, slot_offset(zone, slot), back.offset, zone->length);
    int64_t ended = now_ns();

    count_op(worker, ended - begun, load->driver->waited_ns(), n > 0 ? (uint64_t)n : 0);
    order_read_stop(order, &op);
    if (n == zone->length)
        load->driver->transfer(load->file, &back, 1);
    if (n != zone->length || back.result != n) {
        order_read_cancel(order, &op);
        count_error(worker, n != zone->length ? n : back.result);
        return;
    }
    enum content content = block_check(back.buffer, zone->length, slot_name(zone, slot), &header);

    count_verdict(worker, worker->kind, order_read_end(order, &op, content, header.sequence));
}

static void fsync_step(struct worker *worker)
{
    int64_t begun = now_ns();
    int error = worker->load->driver->fsync(worker->load->file);
    int64_t ended = now_ns();

    count_op(worker, ended - begun, worker->load->driver->waited_ns(), 0);
    if (error == -EIO)
        atomic_fetch_add_explicit(&worker->fsync_eio, 1, memory_order_relaxed);
    else if (error)
        count_error(worker, error);
}

void worker_step(struct worker *worker)
{
    switch (worker->kind) {
    case KIND_BUFFERED_READ:
        transfer_step(worker, false, false);
        break;
    case KIND_BUFFERED_WRITE:
        transfer_step(worker, true, false);
        break;
    case KIND_DIRECT_READ:
        transfer_step(worker, false, true);
        break;
    case KIND_DIRECT_WRITE:
        transfer_step(worker, true, true);
        break;
    case KIND_APPEND:
        append_step(worker);
        break;
    case KIND_TRUNCATE:
        truncate_step(worker);
        break;
    case KIND_PUNCH:
        punch_step(worker);
        break;
    case KIND_REMAP:
        remap_step(worker);
        break;
    case KIND_FSYNC:
    case KIND_COUNT:
        fsync_step(worker);
        break;
    }
}
