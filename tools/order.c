/* SPDX-License-Identifier: MIT */
/* Order. The clock of a slot ticks at each beginning and end, so all times of a slot differ. */
#include "order.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

#define NEVER UINT64_MAX

static struct order_value *find(struct order_slot *slot, uint64_t id)
{
    for (unsigned i = slot->count; i-- > 0;)
        if (slot->values[i].id == id)
            return &slot->values[i];
    return NULL;
}

static void op_begin(struct order_slot *slot, struct order_op *op)
{
    op->start = ++slot->clock;
    op->end = 0;
    op->next = NULL;
    op->prev = slot->newest;
    if (op->prev)
        op->prev->next = op;
    else
        slot->oldest = op;
    slot->newest = op;
}

static void op_end(struct order_slot *slot, struct order_op *op)
{
    ++slot->clock;
    if (op->prev)
        op->prev->next = op->next;
    else
        slot->oldest = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else
        slot->newest = op->prev;
}

/*
 * True if dead can be forgotten because of x: whoever reads it from now on (all such reads start
 * after `since`) would be in conflict with x, and x tells of every conflict that dead would.
 */
static bool covers(const struct order_value *x, const struct order_value *dead, uint64_t since)
{
    return dead->first_end < x->last_start && x->first_end <= since &&
           dead->last_start <= x->last_start && !dead->writing;
}

/* Forgets dead values: once their number has doubled, so that it costs little. */
static void prune(struct order_slot *slot)
{
    if (slot->count < slot->prune_at)
        return;
    uint64_t since = slot->oldest ? slot->oldest->start : slot->clock;
    unsigned kept = 0;

    for (unsigned i = 0; i < slot->count; i++) {
        bool dead = false;

        /* Those kept so far, and those not yet looked at: a dead one's own cover is among them. */
        for (unsigned j = 0; j < slot->count && !dead; j++)
            dead = (j < kept || j > i) && covers(&slot->values[j], &slot->values[i], since);
        if (!dead)
            slot->values[kept++] = slot->values[i];
    }
    slot->count = kept;
    slot->prune_at = 2 * kept + 4;
}

static void add_value(struct order_slot *slot, const struct order_value *value)
{
    if (slot->count == slot->room) {
        slot->room = slot->room ? slot->room * 2 : 4;
        slot->values = realloc(slot->values, slot->room * sizeof(*slot->values));
        if (slot->values == NULL)
            die("out of memory");
    }
    slot->values[slot->count++] = *value;
}

void order_init(struct order_slot *slot, enum kind kind)
{
    memset(slot, 0, sizeof(*slot));
    pthread_mutex_init(&slot->mutex, NULL);
    add_value(slot, &(struct order_value){.kind = kind});
}

void order_destroy(struct order_slot *slot)
{
    pthread_mutex_destroy(&slot->mutex);
    free(slot->values);
}

uint64_t order_write_begin(struct order_slot *slot, struct order_op *op, enum kind kind, bool zero)
{
    pthread_mutex_lock(&slot->mutex);
    op_begin(slot, op);
    uint64_t id = op->start;

    add_value(slot, &(struct order_value){.id = id,
                                          .first_end = NEVER,
                                          .last_start = id,
                                          .kind = kind,
                                          .zero = zero,
                                          .writing = true});
    slot->ever_zero |= zero;
    pthread_mutex_unlock(&slot->mutex);
    return id;
}

void order_write_end(struct order_slot *slot, struct order_op *op, uint64_t id, bool ok)
{
    pthread_mutex_lock(&slot->mutex);
    op_end(slot, op);
    struct order_value *value = find(slot, id);

    value->writing = false;
    if (ok && slot->clock < value->first_end)
        value->first_end = slot->clock;
    if (!ok) {
        slot->failed_at = slot->clock;
        slot->torn_until = NEVER;
    } else if (slot->torn_until == NEVER && op->start > slot->failed_at) {
        slot->torn_until = slot->clock;
    }
    prune(slot);
    pthread_mutex_unlock(&slot->mutex);
}

void order_read_begin(struct order_slot *slot, struct order_op *op)
{
    pthread_mutex_lock(&slot->mutex);
    op_begin(slot, op);
    pthread_mutex_unlock(&slot->mutex);
}

/* Whether this read can have returned value. */
static bool possible(const struct order_slot *slot, const struct order_value *value,
                     const struct order_op *read)
{
    uint64_t first_end = value->first_end < read->end ? value->first_end : read->end;
    uint64_t last_start = value->last_start > read->start ? value->last_start : read->start;

    if (value->id > read->end)
        return false;
    for (unsigned i = 0; i < slot->count; i++) {
        const struct order_value *x = &slot->values[i];

        if (x != value && first_end < x->last_start && x->first_end < last_start)
            return false;
    }
    return true;
}

/* The read belongs to value: from now on that is part of the history. */
static void record(struct order_value *value, const struct order_op *read)
{
    if (read->end < value->first_end)
        value->first_end = read->end;
    if (read->start > value->last_start)
        value->last_start = read->start;
}

static enum verdict judge_zero(struct order_slot *slot, const struct order_op *read)
{
    struct order_value *only = NULL;
    unsigned candidates = 0;

    for (unsigned i = 0; i < slot->count; i++) {
        if (slot->values[i].zero && possible(slot, &slot->values[i], read)) {
            only = &slot->values[i];
            candidates++;
        }
    }
    if (candidates == 1)
        record(only, read);
    return candidates > 0 ? VERDICT_OK : slot->ever_zero ? VERDICT_STALE : VERDICT_TORN;
}

static enum verdict judge(struct order_slot *slot, const struct order_op *read,
                          enum content content, uint64_t id)
{
    bool mixture_allowed = read->start < slot->torn_until;

    if (content == CONTENT_TORN)
        return mixture_allowed ? VERDICT_OK : VERDICT_TORN;
    if (content == CONTENT_ZERO) {
        enum verdict verdict = judge_zero(slot, read);

        return mixture_allowed && verdict == VERDICT_TORN ? VERDICT_OK : verdict;
    }

    struct order_value *value = find(slot, id);

    /* One that was forgotten was overwritten before any operation in flight began. */
    if (value == NULL || !possible(slot, value, read))
        return VERDICT_STALE;
    record(value, read);
    return VERDICT_OK;
}

void order_read_stop(struct order_slot *slot, struct order_op *op)
{
    pthread_mutex_lock(&slot->mutex);
    op->end = ++slot->clock;
    pthread_mutex_unlock(&slot->mutex);
}

enum verdict order_read_end(struct order_slot *slot, struct order_op *op, enum content content,
                            uint64_t id)
{
    pthread_mutex_lock(&slot->mutex);
    op_end(slot, op);
    if (op->end == 0)
        op->end = slot->clock;
    enum verdict verdict = judge(slot, op, content, id);

    prune(slot);
    pthread_mutex_unlock(&slot->mutex);
    return verdict;
}

void order_read_cancel(struct order_slot *slot, struct order_op *op)
{
    pthread_mutex_lock(&slot->mutex);
    op_end(slot, op);
    pthread_mutex_unlock(&slot->mutex);
}

enum kind order_last_kind(struct order_slot *slot)
{
    const struct order_value *last = NULL;

    pthread_mutex_lock(&slot->mutex);
    for (unsigned i = 0; i < slot->count; i++)
        if (slot->values[i].first_end != NEVER && (!last || slot->values[i].id > last->id))
            last = &slot->values[i];
    enum kind kind = last ? last->kind : KIND_BUFFERED_WRITE;

    pthread_mutex_unlock(&slot->mutex);
    return kind;
}

bool order_claim(struct order_slot *slot, bool write)
{
    pthread_mutex_lock(&slot->mutex);
    bool free_to_take = !slot->direct_writer && !(write && slot->direct_readers > 0);

    if (free_to_take && write)
        slot->direct_writer = true;
    else if (free_to_take)
        slot->direct_readers++;
    pthread_mutex_unlock(&slot->mutex);
    return free_to_take;
}

void order_unclaim(struct order_slot *slot, bool write)
{
    pthread_mutex_lock(&slot->mutex);
    if (write)
        slot->direct_writer = false;
    else
        slot->direct_readers--;
    pthread_mutex_unlock(&slot->mutex);
}
