/* SPDX-License-Identifier: MIT */
/* Reordered completions: one thread, one list of ops on their way, one of those held back. */
#include "reorder.h"
#include "util.h"

#include "io/backend.h"
#include "io/engine.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELAY_US 200

struct held {
    struct cds_list_head node;
    struct backend_op *op;
    void (*done)(struct backend_op *op);
    const struct iovec *iov; /* all of it */
    int count;
    struct iovec part; /* what is transferred instead */
    bool sent;
};

struct reorder {
    struct backend backend;
    struct twostate_engine *engine;
    struct backend *inner;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct cds_list_head away;
    struct cds_list_head held;
    unsigned count; /* of those that are held */
    uint64_t random;
    uint32_t unit;
    bool stop;
};

/* An op has no place for who it passes by. There is one at a time. */
static struct reorder *only;

/* The mutex is held. */
static struct held *find(struct cds_list_head *list, const struct backend_op *op)
{
    struct held *held = NULL;

    cds_list_for_each_entry(held, list, node) if (held->op == op) return held;
    return NULL;
}

static void came_back(struct backend_op *op)
{
    struct reorder *r = only;
    struct held *held = NULL;

    pthread_mutex_lock(&r->mutex);
    held = find(&r->away, op);
    if (held == NULL)
        abort(); /* it has come back before */
    cds_list_move(&held->node, &r->held);
    r->count++;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->mutex);
}

/* Nothing of it is touched after: it may be back before this returns. */
static void send(struct reorder *r, struct held *held)
{
    struct backend_op *op = held->op;

    pthread_mutex_lock(&r->mutex);
    held->sent = true;
    cds_list_add(&held->node, &r->away);
    pthread_mutex_unlock(&r->mutex);
    r->inner->ops->submit(r->inner, op);
}

/* Whole units of the first piece, if it has some. The mutex is held. */
static void cut_short(struct reorder *r, struct held *held)
{
    const size_t units = r->unit ? held->iov->iov_len / r->unit : 0;

    if (units == 0 || random_below(&r->random, 4))
        return;
    held->part = (struct iovec){held->iov->iov_base,
                                r->unit * (size_t)(1 + random_below(&r->random, (uint32_t)units))};
    held->op->iov = &held->part;
    held->op->count = 1;
}

static void submit(struct backend *backend, struct backend_op *op)
{
    struct reorder *r = caa_container_of(backend, struct reorder, backend);
    struct held *held = zalloc(1, sizeof(*held));
    bool hold = false;

    held->op = op;
    held->done = op->done;
    held->iov = op->iov;
    held->count = op->count;
    op->done = came_back;
    pthread_mutex_lock(&r->mutex);
    cut_short(r, held);
    hold = random_below(&r->random, 2);
    if (hold) {
        cds_list_add(&held->node, &r->held);
        r->count++;
        pthread_cond_signal(&r->changed);
    }
    pthread_mutex_unlock(&r->mutex);
    if (!hold)
        send(r, held);
}

static void let_go(struct reorder *r, struct held *held)
{
    struct backend_op *op = held->op;

    if (!held->sent) {
        send(r, held);
        return;
    }
    op->done = held->done;
    op->iov = held->iov;
    op->count = held->count;
    free(held);
    op->done(op);
}

static struct held *choose(struct reorder *r)
{
    unsigned skip = random_below(&r->random, r->count);
    struct cds_list_head *node = r->held.next;

    while (skip--)
        node = node->next;
    cds_list_del(node);
    r->count--;
    return cds_list_entry(node, struct held, node);
}

static void *run(void *arg)
{
    struct reorder *r = arg;

    pthread_mutex_lock(&r->mutex);
    while (!r->stop) {
        struct held *held = NULL;

        if (r->count == 0) {
            pthread_cond_wait(&r->changed, &r->mutex);
            continue;
        }
        if (random_below(&r->random, 2)) { /* so that there are several */
            const unsigned delay = random_below(&r->random, DELAY_US);

            pthread_mutex_unlock(&r->mutex);
            usleep(delay);
            pthread_mutex_lock(&r->mutex);
        }
        held = choose(r);
        pthread_mutex_unlock(&r->mutex);
        let_go(r, held);
        pthread_mutex_lock(&r->mutex);
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static const struct backend_ops reorder_ops = {.submit = submit};

struct reorder *reorder_enter(struct twostate_engine *engine, uint64_t seed)
{
    struct reorder *r = zalloc(1, sizeof(*r));

    r->engine = engine;
    r->inner = engine->backend;
    r->random = seed;
    r->backend.ops = &reorder_ops;
    CDS_INIT_LIST_HEAD(&r->away);
    CDS_INIT_LIST_HEAD(&r->held);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->changed, NULL);
    only = r;
    engine->backend = &r->backend;
    if (pthread_create(&r->thread, NULL, run, r))
        die("no thread");
    return r;
}

void reorder_leave(struct reorder *r)
{
    pthread_mutex_lock(&r->mutex);
    r->stop = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->mutex);
    pthread_join(r->thread, NULL);
    r->engine->backend = r->inner;
    only = NULL;
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

void reorder_cut(struct reorder *r, uint32_t unit)
{
    pthread_mutex_lock(&r->mutex);
    if (r->unit < unit)
        r->unit = unit;
    pthread_mutex_unlock(&r->mutex);
}
