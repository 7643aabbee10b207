/* SPDX-License-Identifier: MIT */
/* The engine: its backend, its workers, and the state of each thread that calls it. */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <twostate/validate.h>

#define DEFAULT_DEPTH   128
#define MOST_DEPTH      4096
#define DEFAULT_WORKERS 4
#define MOST_WORKERS    256

static _Thread_local bool in_callback;
static _Thread_local int64_t waited;

void callback_run_(twostate_done *done, void *arg, ssize_t result)
{
    in_callback = true;
    done(arg, result);
    in_callback = false;
}

void waited_reset_(void)
{
    waited = 0;
}

void waited_set_(int64_t ns)
{
    waited = ns;
}

int64_t waited_now_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void waited_since_(int64_t start)
{
    waited += waited_now_() - start;
}

int64_t twostate_waited_ns(void)
{
    return waited;
}

int file_enter_async_(struct twostate_file *file)
{
    if (file == NULL)
        return -EINVAL;
    if (!twostate_iolock_try_acquire(&file->users, TWOSTATE_SHARED))
        return -EBADF;
    twostate_validate_disown(
        &file->users); /* it is the request's, which may end in another thread */
    return 0;
}

int file_enter_(struct twostate_file *file)
{
    if (in_callback)
        return -EDEADLK;
    waited_reset_();
    return file_enter_async_(file);
}

void file_leave_(struct twostate_file *file)
{
    twostate_iolock_release(&file->users, TWOSTATE_SHARED);
}

static int create_backend(struct twostate_engine *engine, enum twostate_backend kind,
                          unsigned depth)
{
    int result = -EINVAL;

    if (kind != TWOSTATE_BACKEND_THREADS) {
        result = backend_uring_create_(depth, &engine->backend);
        engine->kind = TWOSTATE_BACKEND_URING;
    }
    if (result && kind != TWOSTATE_BACKEND_URING) {
        result = backend_pool_create_(depth, &engine->backend);
        engine->kind = TWOSTATE_BACKEND_THREADS;
    }
    return result;
}

int twostate_engine_create(const struct twostate_engine_options *options,
                           struct twostate_engine **created)
{
    const struct twostate_engine_options defaults = {0};
    const struct twostate_engine_options *o = options ? options : &defaults;
    struct twostate_engine *engine = NULL;
    int result = 0;

    if (created == NULL || (unsigned)o->backend > TWOSTATE_BACKEND_THREADS ||
        o->queue_depth > MOST_DEPTH || o->workers > MOST_WORKERS)
        return -EINVAL;
    engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return -ENOMEM;
    result = create_backend(engine, o->backend, o->queue_depth ? o->queue_depth : DEFAULT_DEPTH);
    if (result == 0) {
        result = workers_create_(o->workers ? o->workers : DEFAULT_WORKERS, &engine->workers);
        if (result)
            engine->backend->ops->destroy(engine->backend);
    }
    if (result)
        free(engine);
    else
        *created = engine;
    return result;
}

int twostate_engine_destroy(struct twostate_engine *engine)
{
    if (engine == NULL)
        return -EINVAL;
    if (in_callback)
        return -EDEADLK;
    if (__atomic_load_n(&engine->files, __ATOMIC_ACQUIRE) > 0)
        return -EBUSY;
    workers_destroy_(engine->workers);
    engine->backend->ops->destroy(engine->backend);
    free(engine);
    return 0;
}

int twostate_engine_backend(const struct twostate_engine *engine)
{
    return engine ? (int)engine->kind : -EINVAL;
}
