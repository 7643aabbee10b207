/* SPDX-License-Identifier: MIT */
/* What tests of requests on their way share: see rig.h. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int rig_enter(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    const size_t size = (size_t)MOST * BLOCK;

    CHECK(rig);
    (void)fixture_enter((void **)&rig->f);
    rig->buffer = memory_new(size);
    memset(rig->buffer, 'o', size);
    CHECK(twostate_pwrite(rig->f->file, rig->buffer, size, 0, 0) == (ssize_t)size);
    memset(rig->buffer, 'n', size);
    *state = rig;
    return 0;
}

int rig_leave(void **state)
{
    struct rig *rig = *state;

    if (rig->engine)
        rig_close(rig);
    (void)fixture_leave((void **)&rig->f);
    free(rig->buffer);
    free(rig);
    return 0;
}

/* Requests of one record may end in two threads at once. */
static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER;
static uint32_t last_turn;

void rig_open(struct rig *rig, struct twostate_engine_options options)
{
    options.backend = (enum twostate_backend)twostate_engine_backend(rig->f->engine);
    CHECK(twostate_engine_create(&options, &rig->engine) == 0);
    rig->file = file_new(rig->engine, &rig->f->scratch, O_RDWR);
    store(&last_turn, 0);
}

void rig_close(struct rig *rig)
{
    struct twostate_engine_info info;

    if (rig->engine->callers)
        AWAIT(requests_of(rig) == 0);
    if (rig->file) {
        AWAIT(file_is_free(rig->file));
        CHECK(cds_list_empty(&rig->file->waiting.requests));
        CHECK(twostate_file_close(rig->file) == 0);
    }
    CHECK(twostate_engine_query(rig->engine, &info) == 0);
    CHECK(info.files == 0 && info.requests == 0);
    CHECK(twostate_engine_destroy(rig->engine) == 0);
    rig->engine = NULL;
    rig->file = NULL;
}

uint32_t requests_of(const struct rig *rig)
{
    struct twostate_engine_info info;

    CHECK(twostate_engine_query(rig->engine, &info) == 0);
    return info.requests;
}

void note(void *arg, ssize_t result)
{
    struct record *record = arg;

    pthread_mutex_lock(&noting);
    record->result = result;
    record->waited = twostate_waited_ns();
    record->thread = pthread_self();
    record->turn = add(&last_turn, 1);
    record->cancelled += result == -ECANCELED;
    add(&record->calls, 1);
    pthread_mutex_unlock(&noting);
}

uint32_t turns(void)
{
    return load(&last_turn);
}

int read_block(struct rig *rig, int block, unsigned flags, struct record *record)
{
    const struct iovec iov = {rig->buffer + (size_t)block * BLOCK, BLOCK};

    return twostate_preadv_async(rig->file, &iov, 1, (int64_t)block * BLOCK, flags, note, record);
}

int write_block(struct rig *rig, int block, unsigned flags, struct record *record)
{
    const struct iovec iov = {rig->buffer + (size_t)block * BLOCK, BLOCK};

    return twostate_pwritev_async(rig->file, &iov, 1, (int64_t)block * BLOCK, flags, note, record);
}

int start_some(struct rig *rig, int i, struct record *record)
{
    const unsigned flags[] = {0, TWOSTATE_IO_DIRECT, TWOSTATE_IO_DSYNC | TWOSTATE_IO_DIRECT};

    if (i % 5 == 4)
        return twostate_fsync_async(rig->file, note, record);
    if (i % 5 == 3)
        return read_block(rig, i, TWOSTATE_IO_DIRECT, record);
    return write_block(rig, i, flags[i % 5], record);
}

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
    struct plug *plug = caa_container_of(op->iov, struct plug, iov);

    CHECK(op->result == 1);
    store(&plug->done, 1);
}

void plug_in(struct plug *plug, struct twostate_engine *engine)
{
    *plug = (struct plug){.iov = {&plug->byte, 1}};
    CHECK(pipe(plug->pipe) == 0);
    plug->op = malloc(sizeof(*plug->op)); /* nothing is around it, as it is in a request */
    CHECK(plug->op);
    *plug->op = (struct backend_op){
        .iov = &plug->iov, .count = 1, .fd = plug->pipe[0], .offset = -1, .done = pulled};
    engine->backend->ops->submit(engine->backend, plug->op);
}

void plug_pull(struct plug *plug)
{
    CHECK(write(plug->pipe[1], "", 1) == 1);
    AWAIT(load(&plug->done));
    free(plug->op);
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
