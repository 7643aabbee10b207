/* SPDX-License-Identifier: MIT */
/* Flights. */
#include "flight.h"
#include "run.h"
#include "util.h"
#include "world.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

void flights_init(struct flights *flights)
{
    pthread_mutex_init(&flights->mutex, NULL);
    pthread_cond_init(&flights->landed, NULL);
}

void flights_destroy(struct flights *flights)
{
    pthread_cond_destroy(&flights->landed);
    pthread_mutex_destroy(&flights->mutex);
}

/* Which may be in flight together. */

static bool is_transfer(const struct op *op)
{
    return op->kind == OP_read || op->kind == OP_write || op->kind == OP_append;
}

static bool is_sync(const struct op *op)
{
    return op->kind == OP_fsync || op->kind == OP_fdatasync;
}

static bool raises(const struct world *w, const struct op *op)
{
    return op_appends(op) ||
           (op->kind != OP_read && op->offset + op->length > w->files[op->file].model.size);
}

static bool finds_end(const struct world *w, const struct op *op)
{
    return op->kind == OP_read && op->offset + op->length > w->files[op->file].model.size;
}

static bool overlap(const struct op *a, const struct op *b)
{
    return a->offset < b->offset + b->length && b->offset < a->offset + a->length;
}

static bool transfers_conflict(const struct world *w, const struct op *a, const struct op *b)
{
    if (a->kind == OP_read && b->kind == OP_read)
        return false;
    if ((raises(w, a) && finds_end(w, b)) || (raises(w, b) && finds_end(w, a)))
        return true;
    if (op_appends(a) && op_appends(b)) /* only flights are sorted out afterwards */
        return !a->async || !b->async || a->kind == OP_append || b->kind == OP_append;
    if (op_appends(a) || op_appends(b))
        return raises(w, a) && raises(w, b);
    return overlap(a, b);
}

bool flights_conflict(const struct world *w, const struct op *op)
{
    if (op->kind == OP_cancel || w->flights.count == 0)
        return false;
    if (op->kind == OP_reopen)
        return w->setup->polled;
    for (unsigned i = 0; i < w->flights.count; i++) {
        const struct op *other = w->flights.flights[i]->op;

        if (is_sync(op) || (is_sync(other) && is_transfer(op)))
            continue;
        if (!is_transfer(op))
            return true;
        if (op->file == other->file && transfers_conflict(w, op, other))
            return true;
    }
    return w->flights.count == FLIGHTS_MOST;
}

/* Starting and ending. */

static void landed(void *arg, ssize_t result)
{
    struct flight *flight = arg;
    struct flights *flights = flight->flights;

    pthread_mutex_lock(&flights->mutex);
    if (flight->done)
        abort(); /* a second callback; pitfall E04 */
    flight->result = result;
    flight->done = true;
    pthread_cond_broadcast(&flights->landed);
    pthread_mutex_unlock(&flights->mutex);
}

static bool has_landed(struct flight *flight)
{
    bool done = false;

    pthread_mutex_lock(&flight->flights->mutex);
    done = flight->done;
    pthread_mutex_unlock(&flight->flights->mutex);
    return done;
}

static int start(const struct world *w, const struct op *op, struct flight *flight)
{
    struct twostate_file *file = w->files[op->file].file;
    const struct memory *memory = &flight->memory;
    const int64_t offset = op_appends(op) ? -5 : w->setup->base + op->offset;

    if (op->kind == OP_fsync)
        return twostate_fsync_async(file, landed, flight);
    if (op->kind == OP_read)
        return twostate_preadv_async(file, memory->iov, memory->count, offset, (unsigned)op->flags,
                                     landed, flight);
    return twostate_pwritev_async(file, memory->iov, memory->count, offset, (unsigned)op->flags,
                                  landed, flight);
}

static void flight_free(struct flight *flight)
{
    memory_destroy(&flight->memory);
    free(flight);
}

/* Not accepted: with NOWAIT, or because of the limit of requests. */
static void judge_refusal(const struct world *w, const struct op *op, int result)
{
    if (result == -EAGAIN && (op->flags & TWOSTATE_IO_NOWAIT))
        return;
    if (result == -EBUSY && w->setup->requests && w->flights.count >= w->setup->requests)
        return;
    world_fail(w, "not accepted: %d", result);
}

void flight_start(struct world *w, const struct op *op)
{
    struct flight *flight = zalloc(1, sizeof(*flight));
    int result = 0;

    flight->op = op;
    flight->flights = &w->flights;
    memory_init(&flight->memory, op);
    result = start(w, op, flight);
    if (result) {
        judge_refusal(w, op, result);
        flight_free(flight);
    } else {
        w->flights.flights[w->flights.count++] = flight;
    }
}

void flight_cancel(struct world *w, int64_t number)
{
    struct flight *flight = NULL;
    int count = 0;

    if (number >= w->flights.count)
        return;
    flight = w->flights.flights[number];
    count = twostate_cancel(w->files[flight->op->file].file, flight);
    if (count != 0 && count != 1)
        world_fail(w, "cancelled %d requests", count);
    if (count == 1 && flight->cancelled)
        world_fail(w, "cancelled it twice");
    flight->cancelled = flight->cancelled || count == 1;
}

static void poll_engine(const struct world *w)
{
    struct pollfd fd = {.fd = twostate_engine_fd(w->engine), .events = POLLIN};
    const int polled = twostate_engine_poll(w->engine, 3);

    if (polled < 0 || polled > 3)
        world_fail(w, "poll: %d", polled);
    if (polled == 0)
        (void)poll(&fd, 1, 1000);
}

static void wait_for(const struct world *w, struct flight *flight)
{
    struct flights *flights = flight->flights;

    if (w->setup->polled) {
        while (!has_landed(flight))
            poll_engine(w);
        return;
    }
    pthread_mutex_lock(&flights->mutex);
    while (!flight->done)
        pthread_cond_wait(&flights->landed, &flights->mutex);
    pthread_mutex_unlock(&flights->mutex);
}

/* What they have done. */

struct appended {
    const struct flight *flights[FLIGHTS_MOST];
    unsigned count;
    const char *tail;
    int64_t length;
};

/* Whether the rest can stand behind `at`, in some order. */
static bool explained(const struct appended *appended, int64_t at, uint32_t placed)
{
    bool all = true;

    for (unsigned i = 0; i < appended->count; i++) {
        const struct flight *flight = appended->flights[i];

        if (placed & 1U << i)
            continue;
        all = false;
        if (memcmp(appended->tail + at, memory_data(flight->op->data), (size_t)flight->result) != 0)
            continue;
        if (explained(appended, at + flight->result, placed | 1U << i))
            return true;
    }
    return all && at == appended->length;
}

static void settle_appends(struct world *w, struct appended *appended, struct file *file)
{
    struct model *model = &file->model;
    char *tail = NULL;
    int64_t result = 0;

    if (appended->length == 0)
        return;
    tail = zalloc(1, (size_t)appended->length + 1);
    result = twostate_pread(file->file, tail, (size_t)appended->length + 1,
                            w->setup->base + model->size, 0);
    appended->tail = tail;
    if (result != appended->length)
        world_fail(w, "appends: %lld bytes, not %lld", (long long)result,
                   (long long)appended->length);
    if (!explained(appended, 0, 0))
        world_fail(w, "appends: no order of them gives what is there");
    model_write(model, model->size, tail, appended->length);
    free(tail);
}

static bool was_cancelled(const struct world *w, const struct flight *flight)
{
    if (flight->cancelled != (flight->result == -ECANCELED))
        world_fail(w, "result %lld of a request that was%s cancelled", (long long)flight->result,
                   flight->cancelled ? "" : " not");
    return flight->cancelled;
}

static void settle(struct world *w, const struct flight *flight, struct appended appended[2])
{
    struct appended *a = &appended[flight->op->file];

    w->op = flight->op;
    if (was_cancelled(w, flight))
        return;
    if (flight->op->kind == OP_fsync) {
        if (flight->result)
            world_fail(w, "result %lld of a fsync", (long long)flight->result);
    } else if (op_appends(flight->op)) {
        run_judge_result(w, flight->op, flight->result, flight->op->length);
        if (flight->result > 0) {
            a->flights[a->count++] = flight;
            a->length += flight->result;
        }
    } else {
        run_judge(w, flight->op, &flight->memory, flight->result, w->flights.count == 1);
    }
}

void flights_settle(struct world *w)
{
    struct appended appended[2] = {0};

    for (unsigned i = 0; i < w->flights.count; i++)
        wait_for(w, w->flights.flights[i]);
    for (unsigned i = 0; i < w->flights.count; i++)
        settle(w, w->flights.flights[i], appended);
    for (unsigned i = 0; i < 2; i++)
        settle_appends(w, &appended[i], &w->files[i]);
    for (unsigned i = 0; i < w->flights.count; i++)
        flight_free(w->flights.flights[i]);
    w->flights.count = 0;
}

void flights_ended(struct world *w, int64_t file)
{
    for (unsigned i = 0; i < w->flights.count; i++)
        if (w->flights.flights[i]->op->file == file && !has_landed(w->flights.flights[i]))
            world_fail(w, "closed before a request has ended");
}
