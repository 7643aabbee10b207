/* SPDX-License-Identifier: MIT */
/* What keeps requests from going on: see hold.h. */
#include "hold.h"

#include <unistd.h>

static void carry_out(struct backend_op *op, int64_t error, size_t most)
{
    struct backend_op part = *op;
    struct iovec iov = op->iov[0];

    if (error) {
        op->result = error;
    } else {
        if (most) {
            iov.iov_len = iov.iov_len < most ? iov.iov_len : most;
            part.iov = &iov;
            part.count = 1;
        }
        op->result = backend_run_(&part);
    }
    op->done(op);
}

static void submit(struct backend *backend, struct backend_op *op)
{
    struct holding *holding = caa_container_of(backend, struct holding, backend);

    if (holding->at_once) {
        carry_out(op, 0, 0);
        return;
    }
    pthread_mutex_lock(&holding->mutex);
    cds_list_add_tail(&op->job.node, &holding->ops);
    holding->count++;
    pthread_mutex_unlock(&holding->mutex);
}

static void take(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken)
{
    struct holding *holding = caa_container_of(backend, struct holding, backend);
    struct cds_list_head *node = NULL;

    pthread_mutex_lock(&holding->mutex);
    jobs_take_(&holding->ops, match, context, taken);
    holding->count = 0;
    cds_list_for_each(node, &holding->ops) holding->count++;
    pthread_mutex_unlock(&holding->mutex);
}

static void never(struct backend *backend)
{
    CHECK(backend == NULL); /* the engine's own is put back before */
}

static const struct backend_ops holding_ops = {.submit = submit, .take = take, .destroy = never};

void holding_start(struct holding *holding, struct twostate_engine *engine)
{
    *holding = (struct holding){.backend.ops = &holding_ops, .real = engine->backend};
    pthread_mutex_init(&holding->mutex, NULL);
    CDS_INIT_LIST_HEAD(&holding->ops);
    engine->backend = &holding->backend;
}

void holding_stop(struct holding *holding, struct twostate_engine *engine)
{
    CHECK(holding->count == 0);
    engine->backend = holding->real;
    pthread_mutex_destroy(&holding->mutex);
}

void holding_release(struct holding *holding, unsigned nth, int64_t error, size_t most)
{
    struct cds_list_head *node = NULL;

    pthread_mutex_lock(&holding->mutex);
    CHECK(nth < holding->count);
    node = holding->ops.next;
    for (unsigned i = 0; i < nth; i++)
        node = node->next;
    cds_list_del(node);
    holding->count--;
    pthread_mutex_unlock(&holding->mutex);
    carry_out(cds_list_entry(node, struct backend_op, job.node), error, most);
}

static void pulled(struct backend_op *op)
{
    struct plug *plug = caa_container_of(op, struct plug, op);

    CHECK(op->result == 1);
    store(&plug->done, 1);
}

void plug_in(struct plug *plug, struct twostate_engine *engine)
{
    *plug = (struct plug){.iov = {&plug->byte, 1}};
    CHECK(pipe(plug->pipe) == 0);
    plug->op = (struct backend_op){
        .iov = &plug->iov, .count = 1, .fd = plug->pipe[0], .offset = -1, .done = pulled};
    engine->backend->ops->submit(engine->backend, &plug->op);
}

void plug_pull(struct plug *plug)
{
    CHECK(write(plug->pipe[1], "", 1) == 1);
    AWAIT(load(&plug->done));
    CHECK(close(plug->pipe[0]) == 0 && close(plug->pipe[1]) == 0);
}

static void be_busy(struct job *job)
{
    struct busy *busy = caa_container_of(job, struct busy, job);

    store(&busy->begun, 1);
    AWAIT(load(&busy->end));
    store(&busy->ended, 1);
}

void busy_queue(struct busy *busy, struct twostate_engine *engine)
{
    busy->job.run = be_busy;
    workers_add_(engine->workers, &busy->job);
}

void busy_start(struct busy *busy, struct twostate_engine *engine)
{
    *busy = (struct busy){0};
    busy_queue(busy, engine);
    AWAIT(load(&busy->begun));
}

void busy_end(struct busy *busy)
{
    store(&busy->end, 1);
    AWAIT(load(&busy->ended));
}
