/* SPDX-License-Identifier: MIT */
/* The steps of a run: each is done, and what it answers is compared with what it may. */
#include "run_private.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint32_t run_hits_(const struct run *r)
{
    return r->hits + inject_hits();
}

void run_heal_(struct run *r)
{
    r->hits += inject_hits();
    inject_nothing();
}

bool run_idle_(struct twostate_file *file)
{
    return file_is_free(file);
}

void run_report_(struct run *r, int64_t error)
{
    r->reports++;
    if (run_hits_(r) == 0 || r->trouble.error == 0 || error != -r->trouble.error)
        run_failed_(r, "an error that nobody made", error);
}

void run_see_(struct run *r, const char *data, size_t length, int64_t offset, const char *who)
{
    const int64_t wrong = model_see(&r->model, data, length, offset);

    if (wrong >= 0) {
        run_failed_(r, who, wrong);
        printf("    there: %02x; it may be of the writes %x\n", data[wrong - offset] & 0xff,
               r->model.may[(size_t)wrong / r->model.unit]);
    }
}

void run_look_at_disk_(struct run *r, int64_t offset, size_t length)
{
    const int64_t start = offset / 4096 * 4096;
    const size_t skip = (size_t)(offset - start);
    const ssize_t n = pread(r->disk_fd, r->seen, (skip + length + 4095) / 4096 * 4096, start);

    if (n < (ssize_t)(skip + length))
        run_failed_(r, "the size on disk, less that at which one looked", n);
    else
        run_see_(r, r->seen + skip, length, offset, "the disk");
}

/* The first failed sync of the kernel's makes all that come after it fail; pitfall E13. */
static bool stays_failed(const struct run *r, uint32_t hits)
{
    return r->trouble.kind == CALL_SYNC && r->trouble.error != EINTR && hits > r->hits_at_open;
}

void run_synced_(struct run *r, int result, uint32_t hits)
{
    struct stat st;

    if (stays_failed(r, hits) && result != -r->trouble.error)
        run_failed_(r, "a sync after one that failed", result);
    if (result) {
        run_report_(r, result);
        if (r->step == NULL && !stays_failed(r, hits))
            run_failed_(r, "a sync though nothing goes wrong any more", result);
        return;
    }
    if (!inject_durable())
        run_failed_(r, "a sync that the kernel did not hear of", 0);
    if (fstat(r->disk_fd, &st) || st.st_size != r->model.size)
        run_failed_(r, "the size on disk", st.st_size);
    run_look_at_disk_(r, 0, (size_t)r->model.size);
    model_synced(&r->model);
}

/* The size may be anything from least to most: it is what the engine says. */
static void ask_size(struct run *r, int64_t least, int64_t most)
{
    struct twostate_file_stat stat = {0};
    const int result = twostate_stat(r->file, &stat);

    if (result || stat.size < least || stat.size > most) {
        run_failed_(r, "the size", result ? result : stat.size);
        return;
    }
    model_resize(&r->model, stat.size);
}

/* A part that ends within a sector can't be gone on with by direct IO. */
static bool may_be_cut(const struct run *r, const struct slot *slot, int64_t result)
{
    return r->trouble.fault == FAULT_SHORT && (slot->step->flags & TWOSTATE_IO_DIRECT) &&
           run_hits_(r) > 0 && result > 0 && (slot->offset + result) % r->sector != 0;
}

/* It moved less than it had to. False: that is allowed, and it has done nothing. */
static bool fell_short(struct run *r, const struct slot *slot)
{
    const struct step *step = slot->step;
    const int64_t result = slot->result;

    if (slot->cancelled) {
        if (result != -ECANCELED)
            run_failed_(r, "a cancelled request", result);
        return false;
    }
    if (result == -EAGAIN && (step->flags & TWOSTATE_IO_NOWAIT))
        return false;
    if (result >= 0 && !may_be_cut(r, slot, result)) {
        r->reports++;
        if (run_hits_(r) == 0 || r->trouble.error == 0)
            run_failed_(r, "it did less than it could", result);
    }
    if (result < 0)
        run_report_(r, result);
    return result != -ENOMEM;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void wrote_durably(struct run *r, const struct slot *slot)
{
    if (stays_failed(r, slot->hits))
        run_failed_(r, "a durable write after a sync that failed", slot->result);
    if (r->in_flight > 0)
        return;
    run_look_at_disk_(r, slot->offset, slot->step->length);
    model_synced_range(&r->model, slot->offset, slot->step->length);
}

static void wrote(struct run *r, struct slot *slot)
{
    const int64_t length = (int64_t)slot->step->length;
    const int64_t end = slot->offset + length;
    int64_t certain = slot->result / (int64_t)r->model.unit * (int64_t)r->model.unit;

    if (slot->result == length) {
        if (end > r->model.size)
            model_resize(&r->model, end);
        model_write(&r->model, slot->offset, (size_t)length, slot->number, false);
        if (slot->step->flags & TWOSTATE_IO_DSYNC)
            wrote_durably(r, slot);
        return;
    }
    if (!fell_short(r, slot))
        return;
    if (certain < 0)
        certain = 0;
    model_write(&r->model, slot->offset, (size_t)certain, slot->number, false);
    model_write(&r->model, slot->offset + certain, (size_t)(length - certain), slot->number, true);
    if (end > r->model.size)
        ask_size(r, larger(r->model.size, certain ? slot->offset + slot->result : 0), end);
}

static void has_read(struct run *r, struct slot *slot)
{
    const int64_t left = larger(slot->size - slot->offset, 0);
    const int64_t length = (int64_t)slot->step->length;

    if (slot->result != (left < length ? left : length))
        (void)fell_short(r, slot);
    if (slot->result > 0)
        run_see_(r, slot->memory + slot->step->odd, (size_t)slot->result, slot->offset, "a read");
}

static void has_synced(struct run *r, const struct slot *slot, bool alone)
{
    if (slot->cancelled)
        return;
    if (alone)
        run_synced_(r, (int)slot->result, slot->hits);
    else if (slot->result)
        run_report_(r, slot->result);
}

static void ended(struct run *r, struct slot *slot, bool alone)
{
    if (slot->step->act == ACT_WRITE)
        wrote(r, slot);
    else if (slot->step->act == ACT_READ)
        has_read(r, slot);
    else
        has_synced(r, slot, alone);
}

/* Asynchronous requests. */

static void done(void *arg, ssize_t result)
{
    struct slot *slot = arg;

    slot->result = result;
    add(&slot->done, 1);
}

/* Nothing waits for the engine but this: the watchdog ends it if it never comes. */
static void await_callback(struct run *r, struct slot *slot)
{
    const struct timespec moment = {.tv_nsec = 50000};

    while (load(&slot->done) == 0) {
        if (r->scenario->options.polled && twostate_engine_poll(r->engine, 3) > 0)
            continue;
        nanosleep(&moment, NULL);
    }
}

/* What has ended is compared, in the order in which it was begun. */
static void settle(struct run *r)
{
    const struct step *const step = r->step;
    const bool alone = r->in_flight == 1;

    r->in_flight = 0;
    for (unsigned i = 0; i < r->scenario->step_count; i++) {
        struct slot *slot = &r->slots[i];

        if (!slot->accepted || slot->settled)
            continue;
        slot->settled = true;
        r->step = slot->step;
        ended(r, slot, alone);
    }
    r->step = step;
}

void run_wait_(struct run *r)
{
    for (unsigned i = 0; i < r->scenario->step_count; i++)
        if (r->slots[i].accepted)
            await_callback(r, &r->slots[i]);
    settle(r);
}

static int start(struct run *r, struct slot *slot, int pieces)
{
    const struct step *step = slot->step;

    if (step->act == ACT_SYNC)
        return twostate_fsync_async(r->file, done, slot);
    if (step->act == ACT_WRITE)
        return twostate_pwritev_async(r->file, slot->iov, pieces, slot->offset, step->flags, done,
                                      slot);
    return twostate_preadv_async(r->file, slot->iov, pieces, slot->offset, step->flags, done, slot);
}

static void begin(struct run *r, struct slot *slot, int pieces)
{
    const bool nowait = slot->step->flags & TWOSTATE_IO_NOWAIT;
    int result = 0;

    inject_spare(false);
    result = start(r, slot, pieces);
    inject_spare(true);
    slot->accepted = result == 0;
    r->in_flight += result == 0;
    if (result && !(result == -EBUSY && r->scenario->options.requests) &&
        !(result == -EAGAIN && nowait))
        run_report_(r, result);
}

/* Calls that wait. */

static int64_t append(struct run *r, struct slot *slot, int pieces)
{
    const int64_t size = r->model.size;
    int64_t at = -1;
    const int64_t result = twostate_append(r->file, slot->iov, pieces, slot->step->flags, &at);

    if (result > 0 && at != size)
        run_failed_(r, "the place of an append", at);
    return result;
}

/* Before a direct write the user cache may write back what no one has asked to be durable. */
static bool has_to_be_durable(const struct run *r, const struct slot *slot)
{
    const unsigned flags = slot->step->flags;

    return (flags & TWOSTATE_IO_DSYNC) && slot->result == (int64_t)slot->step->length &&
           !(r->setting.cache == TWOSTATE_CACHE_USER && (flags & TWOSTATE_IO_DIRECT));
}

static void transfer(struct run *r, struct slot *slot, int pieces)
{
    const struct step *step = slot->step;
    const uint32_t changes = inject_changes();

    inject_spare(false);
    if (step->act == ACT_READ)
        slot->result = twostate_preadv(r->file, slot->iov, pieces, slot->offset, step->flags);
    else if (step->flags & TWOSTATE_IO_APPEND)
        slot->result = append(r, slot, pieces);
    else
        slot->result = twostate_pwritev(r->file, slot->iov, pieces, slot->offset, step->flags);
    inject_spare(true);
    if (has_to_be_durable(r, slot) && inject_changes() != changes && !inject_durable())
        run_failed_(r, "a durable write that the kernel did not hear of", 0);
    ended(r, slot, false);
}

/* The memory in as many pieces, the last one larger than the others. */
static int cut(struct slot *slot)
{
    const struct step *step = slot->step;
    const unsigned pieces = step->pieces ? step->pieces : 1;
    const size_t each = step->length / pieces / 512 * 512;
    char *at = slot->memory + step->odd;

    for (unsigned i = 0; i < pieces; i++, at += each)
        slot->iov[i] = (struct iovec){at, each};
    slot->iov[pieces - 1].iov_len = step->length - (pieces - 1) * each;
    return (int)pieces;
}

static void do_transfer(struct run *r, struct slot *slot)
{
    const struct step *step = slot->step;
    const int pieces = cut(slot);

    slot->offset = step->offset;
    slot->size = r->model.size;
    if (step->flags & TWOSTATE_IO_APPEND) {
        slot->offset = r->model.size;
        model_fill(slot->memory, step->length, slot->offset, slot->number);
    }
    if (step->async)
        begin(r, slot, pieces);
    else
        transfer(r, slot, pieces);
}

static void do_sync(struct run *r, struct slot *slot)
{
    if (slot->step->async) {
        begin(r, slot, 0);
        return;
    }
    inject_spare(false);
    slot->result =
        slot->step->act == ACT_SYNC ? twostate_fsync(r->file) : twostate_fdatasync(r->file);
    inject_spare(true);
    has_synced(r, slot, r->in_flight == 0);
}

static void do_truncate(struct run *r, struct slot *slot)
{
    const int64_t size = r->model.size;
    const int64_t to = slot->step->offset;

    inject_spare(false);
    slot->result = twostate_truncate(r->file, to);
    inject_spare(true);
    if (slot->result == 0) {
        model_resize(&r->model, to);
        return;
    }
    run_report_(r, slot->result);
    ask_size(r, size < to ? size : to, larger(size, to));
    if (r->model.size != size && r->model.size != to)
        run_failed_(r, "the size, of a file truncated to another", r->model.size);
}

static void do_allocate(struct run *r, struct slot *slot)
{
    const struct step *step = slot->step;
    const int64_t size = r->model.size;
    const int64_t end = step->offset + (int64_t)step->length;

    inject_spare(false);
    slot->result = twostate_fallocate(r->file, step->mode, step->offset, (int64_t)step->length);
    inject_spare(true);
    if (slot->result)
        run_report_(r, slot->result);
    if (step->mode & FALLOC_FL_PUNCH_HOLE)
        model_write(&r->model, step->offset, step->length, 0, slot->result != 0);
    if (slot->result)
        ask_size(r, size, step->mode ? size : larger(size, end));
    else if (step->mode == 0 && end > size)
        model_resize(&r->model, end);
}

/* By now it may be over, or have begun. */
static void do_cancel(struct run *r, struct slot *slot)
{
    struct slot *victim = slot - slot->step->offset;
    int result = 0;

    inject_spare(false);
    result = twostate_cancel(r->file, victim);
    inject_spare(true);
    if (result < 0 || result > (int)victim->accepted)
        run_failed_(r, "requests cancelled", result);
    victim->cancelled = result == 1;
}

static void do_reopen(struct run *r, struct slot *slot)
{
    struct stat st;

    inject_spare(false);
    slot->result = twostate_file_close(r->file);
    inject_spare(true);
    for (unsigned i = 0; i < r->scenario->step_count; i++)
        if (r->slots[i].accepted && load(&r->slots[i].done) == 0)
            run_failed_(r, "close did not wait for a request", i);
    r->in_flight = 2; /* the file is closed: nothing can be asked of it */
    settle(r);
    if (slot->result)
        run_report_(r, slot->result);
    if (slot->result && r->setting.cache == TWOSTATE_CACHE_USER) {
        model_lose(&r->model);
        if (fstat(r->disk_fd, &st) || st.st_size < r->model.least || st.st_size > r->model.most)
            run_failed_(r, "the size on disk", st.st_size);
        model_resize(&r->model, st.st_size);
    } else if (slot->result == 0) {
        run_synced_(r, 0, r->hits_at_open);
    }
    run_open_(r);
}

void run_step_(struct run *r, struct slot *slot)
{
    r->step = slot->step;
    slot->hits = run_hits_(r);
    switch (slot->step->act) {
    case ACT_READ:
    case ACT_WRITE:
        do_transfer(r, slot);
        break;
    case ACT_SYNC:
    case ACT_DATASYNC:
        do_sync(r, slot);
        break;
    case ACT_TRUNCATE:
        do_truncate(r, slot);
        break;
    case ACT_ALLOCATE:
        do_allocate(r, slot);
        break;
    case ACT_CANCEL:
        do_cancel(r, slot);
        break;
    case ACT_WAIT:
        run_wait_(r);
        break;
    case ACT_REOPEN:
        do_reopen(r, slot);
        break;
    }
}
