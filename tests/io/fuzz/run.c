/* SPDX-License-Identifier: MIT */
/* Running a script. What doesn't fit into a file any more, as the script was cut, is left out. */
#include "run.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With NOWAIT a call may have done nothing, or a part. */
void run_judge_result(const struct world *w, const struct op *op, int64_t result, int64_t full)
{
    if (result == full)
        return;
    if ((op->flags & TWOSTATE_IO_NOWAIT) && (result == -EAGAIN || (result > 0 && result < full)))
        return;
    world_fail(w, "result %lld, not %lld", (long long)result, (long long)full);
}

/* A direct write with NOWAIT never makes the file larger, whatever its alignment. */
static void judge_nowait(const struct world *w, const struct op *op, int64_t size, int64_t offset,
                         int64_t result)
{
    const unsigned flags = TWOSTATE_IO_NOWAIT | TWOSTATE_IO_DIRECT;

    if ((op->flags & flags) == flags && w->has_direct && result > 0 && offset + result > size)
        world_fail(w, "a direct write with nowait has made the file larger: %lld",
                   (long long)result);
}

static int64_t write_offset(const struct model *model, const struct op *op)
{
    return op_appends(op) ? model->size : op->offset;
}

void run_judge(struct world *w, const struct op *op, const struct memory *memory, int64_t result,
               bool alone)
{
    struct model *model = &op_file(w, op)->model;

    if (op->kind == OP_read) { /* pitfall E09: nothing beyond the end, or that never was there */
        run_judge_result(w, op, result, model_readable(model, op->offset, op->length));
        if (result > 0)
            world_compare(w, "read", memory->bytes, model->bytes + op->offset, result);
    } else {
        const int64_t offset = write_offset(model, op);

        run_judge_result(w, op, result, op->length);
        if (alone)
            judge_nowait(w, op, model->size, offset, result);
        model_write(model, offset, memory_data(op->data), result);
    }
}

static void run_transfer(struct world *w, const struct op *op)
{
    const struct file *file = op_file(w, op);
    const int64_t offset = op_appends(op) ? -5 : w->setup->base + op->offset;
    const unsigned flags = (unsigned)op->flags;
    int64_t at = -1;
    int64_t result = 0;
    struct memory memory;

    memory_init(&memory, op);
    if (op->kind == OP_append)
        result = twostate_append(file->file, memory.iov, memory.count, flags, &at);
    else if (op->pieces == 0 && op->kind == OP_read)
        result = twostate_pread(file->file, memory.bytes, (size_t)op->length, offset, flags);
    else if (op->pieces == 0)
        result = twostate_pwrite(file->file, memory.bytes, (size_t)op->length, offset, flags);
    else if (op->kind == OP_read)
        result = twostate_preadv(file->file, memory.iov, memory.count, offset, flags);
    else
        result = twostate_pwritev(file->file, memory.iov, memory.count, offset, flags);
    if (op->kind == OP_append && result > 0 && at != w->setup->base + file->model.size)
        world_fail(w, "appended at %lld, not %lld", (long long)(at - w->setup->base),
                   (long long)file->model.size);
    run_judge(w, op, &memory, result, w->flights.count == 0);
    if ((op->flags & TWOSTATE_IO_DSYNC) && result > 0 && w->has_direct)
        world_check_disk(w, op_file(w, op), op_appends(op) ? file->model.size - result : op->offset,
                         result);
    memory_destroy(&memory);
}

/* All that the model gets to see of a write has a place. */
static bool fits(const struct world *w, const struct op *op)
{
    const struct model *model = &w->files[op->file].model;
    int64_t end = op->offset;

    if (op->kind != OP_write && op->kind != OP_append)
        return true;
    if (op_appends(op))
        end = model->size;
    for (unsigned i = 0; i < w->flights.count && op_appends(op); i++)
        end += w->flights.flights[i]->op->length;
    return end + op->length <= model->most;
}

static void expect(const struct world *w, int64_t result, int64_t expected)
{
    if (result != expected)
        world_fail(w, "result %lld, not %lld", (long long)result, (long long)expected);
}

static void run_truncate(struct world *w, const struct op *op)
{
    struct file *file = op_file(w, op);

    if (op->length > file->model.most)
        return;
    expect(w, twostate_truncate(file->file, w->setup->base + op->length), 0);
    model_truncate(&file->model, op->length);
}

static void run_fallocate(struct world *w, const struct op *op)
{
    struct file *file = op_file(w, op);
    const int mode = (int)op->mode;

    if (op->length <= 0 || model_too_large(&file->model, mode, op->offset, op->length) ||
        !world_has_mode(w, mode))
        return;
    expect(w, twostate_fallocate(file->file, mode, w->setup->base + op->offset, op->length),
           model_fallocate(&file->model, mode, op->offset, op->length));
}

static void run_remap(struct world *w, const struct op *op)
{
    struct file *from = op_file(w, op);
    struct file *to = &w->files[op->other];
    int64_t result = 0;

    if (op->to + op->length > to->model.most)
        return;
    result = twostate_remap(from->file, w->setup->base + op->offset, to->file,
                            w->setup->base + op->to, op->length);
    expect(w, result, model_remap(&from->model, op->offset, &to->model, op->to, op->length));
}

/* What is between the offset and the next data is zero; at the end there is a hole. */
static void run_seek(struct world *w, const struct op *op)
{
    const struct file *file = op_file(w, op);
    const struct model *model = &file->model;
    const int64_t base = w->setup->base;
    int64_t at = twostate_seek(file->file, base + op->offset, op->mode ? SEEK_HOLE : SEEK_DATA);
    int64_t data = 0;

    if (op->offset >= model->size) {
        expect(w, at, -ENXIO);
    } else if (op->mode) {
        if (at - base < op->offset || at - base > model->size)
            world_fail(w, "a hole at %lld", (long long)(at - base));
    } else {
        data = at == -ENXIO ? model->size : at - base;
        if (data < op->offset || data > model->size || (at != -ENXIO && data == model->size) ||
            !model_is_zero(model, op->offset, data))
            world_fail(w, "data at %lld", (long long)(at < 0 ? at : data));
    }
}

static void run_check(struct world *w, const struct op *op)
{
    expect(w, twostate_fsync(op_file(w, op)->file), 0);
    world_check_kernel(w, op_file(w, op), op->flags & TWOSTATE_IO_DIRECT);
}

/* Requests may be in flight, and close has to wait for them; but not for those who poll. */
static void run_reopen(struct world *w, const struct op *op)
{
    world_reopen(w, op_file(w, op), (enum twostate_cache)op->cache, op->folio);
    flights_ended(w, op->file);
}

static bool is_async(const struct op *op)
{
    return op->async && (op->kind == OP_read || op->kind == OP_write || op->kind == OP_fsync);
}

static void run_waiting(struct world *w, const struct op *op)
{
    switch (op->kind) {
    case OP_read:
    case OP_write:
    case OP_append:
        run_transfer(w, op);
        break;
    case OP_truncate:
        run_truncate(w, op);
        break;
    case OP_fallocate:
        run_fallocate(w, op);
        break;
    case OP_remap:
        run_remap(w, op);
        break;
    case OP_seek:
        run_seek(w, op);
        break;
    case OP_fsync:
        expect(w, twostate_fsync(op_file(w, op)->file), 0);
        break;
    case OP_fdatasync:
        expect(w, twostate_fdatasync(op_file(w, op)->file), 0);
        break;
    case OP_check:
        run_check(w, op);
        break;
    case OP_reopen:
        run_reopen(w, op);
        break;
    case OP_cancel:
        flight_cancel(w, op->data);
        break;
    case OP_wait:
    case OP_KIND_COUNT:
        flights_settle(w);
        break;
    }
}

static void run_op(struct world *w, const struct op *op)
{
    w->op = op;
    if (!fits(w, op))
        return;
    if (flights_conflict(w, op))
        flights_settle(w);
    w->op = op;
    if (is_async(op))
        flight_start(w, op);
    else
        run_waiting(w, op);
    if (w->flights.count == 0)
        world_check_sizes(w, op_file(w, op));
}

void script_run(const struct script *script, const struct place *place, struct report *report)
{
    struct world *w = zalloc(1, sizeof(*w));

    world_enter(w, &script->setup, place, report);
    for (w->step = 0; w->step < script->count; w->step++) {
        report_step(report, w->step);
        run_op(w, &script->ops[w->step]);
    }
    world_leave(w);
    free(w);
}
