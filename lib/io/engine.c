/* SPDX-License-Identifier: MIT */
/* The engine: its backend, its workers, and the state of each thread that calls it. */
#include "engine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include <twostate/validate.h>

#define DEFAULT_DEPTH   128
#define MOST_DEPTH      4096
#define DEFAULT_WORKERS 4
#define MOST_WORKERS    256

#define DEFAULT_REQUESTS      65536
#define LEAST_CACHE           (UINT64_C(4) << 20)
#define DEFAULT_CACHE         (UINT64_C(256) << 20)
#define DEFAULT_DIRTY_PERCENT 40
#define MOST_DIRTY_PERCENT    90
#define DEFAULT_WRITEBACK_MS  5000

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

bool file_enter_leased_(struct twostate_file *file)
{
    if (in_callback || file == NULL || !lease_enter_(&file->lease))
        return false;
    waited_reset_();
    return true;
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

static bool valid(const struct twostate_engine_options *o)
{
    return (unsigned)o->backend <= TWOSTATE_BACKEND_THREADS && o->queue_depth <= MOST_DEPTH &&
           o->workers <= MOST_WORKERS && (o->cache_bytes == 0 || o->cache_bytes >= LEAST_CACHE) &&
           o->dirty_percent <= MOST_DIRTY_PERCENT &&
           (o->reserved[0] | o->reserved[1] | o->reserved[2]) == 0;
}

static void set_options(struct twostate_engine *engine, const struct twostate_engine_options *o)
{
    engine->most_requests = o->requests ? o->requests : DEFAULT_REQUESTS;
    engine->cache_bytes = o->cache_bytes ? o->cache_bytes : DEFAULT_CACHE;
    engine->dirty_percent = o->dirty_percent ? o->dirty_percent : DEFAULT_DIRTY_PERCENT;
    engine->writeback_ms = o->writeback_ms ? o->writeback_ms : DEFAULT_WRITEBACK_MS;
}

static int create_parts(struct twostate_engine *engine, const struct twostate_engine_options *o)
{
    int result =
        create_backend(engine, o->backend, o->queue_depth ? o->queue_depth : DEFAULT_DEPTH);

    if (result == 0)
        result = workers_create_(o->workers ? o->workers : DEFAULT_WORKERS, &engine->workers);
    if (result == 0)
        result = o->polled ? due_create_(&engine->due) : workers_create_(1, &engine->callers);
    return result;
}

static void free_engine(struct twostate_engine *engine)
{
    if (engine->server)
        server_destroy_(engine->server);
    if (engine->workers)
        workers_destroy_(engine->workers);
    if (engine->user)
        user_destroy_(engine->user);
    pthread_mutex_destroy(&engine->user_mutex);
    pthread_mutex_destroy(&engine->files_mutex);
    if (engine->backend)
        engine->backend->ops->destroy(engine->backend);
    if (engine->callers)
        workers_destroy_(engine->callers);
    if (engine->due)
        due_destroy_(engine->due);
    free(engine);
}

int twostate_engine_create(const struct twostate_engine_options *options,
                           struct twostate_engine **created)
{
    const struct twostate_engine_options defaults = {0};
    const struct twostate_engine_options *o = options ? options : &defaults;
    struct twostate_engine *engine = NULL;
    int result = 0;

    if (created == NULL || !valid(o))
        return -EINVAL;
    engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return -ENOMEM;
    pthread_mutex_init(&engine->user_mutex, NULL);
    pthread_mutex_init(&engine->files_mutex, NULL);
    CDS_INIT_LIST_HEAD(&engine->open_files);
    set_options(engine, o);
    result = create_parts(engine, o);
    if (result)
        free_engine(engine);
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
    free_engine(engine);
    return 0;
}

int twostate_engine_backend(const struct twostate_engine *engine)
{
    return engine ? (int)engine->kind : -EINVAL;
}

int engine_admit_(struct twostate_engine *engine)
{
    uint32_t requests = __atomic_load_n(&engine->requests, __ATOMIC_RELAXED);

    do
        if (requests >= engine->most_requests)
            return -EBUSY;
    while (!__atomic_compare_exchange_n(&engine->requests, &requests, requests + 1, true,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return 0;
}

void engine_dismiss_(struct twostate_engine *engine)
{
    __atomic_sub_fetch(&engine->requests, 1, __ATOMIC_ACQ_REL);
}

/* What becomes due meanwhile is for the next call: a callback that starts a request can't keep the
   caller here. */
static int call_back(struct due *due, unsigned most)
{
    unsigned made = 0;
    unsigned count = due_count_(due);

    if (count > most)
        count = most;
    if (count > INT_MAX)
        count = INT_MAX;
    while (made < count) {
        struct job *job = due_next_(due);

        if (job == NULL)
            break;
        job->run(job);
        made++;
    }
    return (int)made;
}

static void wake_poller(void *backend)
{
    ((struct backend *)backend)->ops->wake(backend);
}

/*
 * Completes what the backend has, in this thread. If nothing is due it waits so long that something
 * is, here or in another thread.
 */
static void await_due(struct twostate_engine *engine, int64_t ns)
{
    struct backend *backend = engine->backend;
    const uint32_t pokes = due_pokes_(engine->due); /* before it sees that another is there */
    struct backend_op *op = NULL;
    struct backend_op *next = NULL;
    CDS_LIST_HEAD(completed);
    bool dozes = false;

    if (!backend->ops->enter || due_by_threads_(engine->due) ||
        !backend->ops->enter(backend, ns > 0)) {
        if (ns > 0)
            due_await_(engine->due, pokes, ns);
        return;
    }
    dozes = ns > 0 && due_doze_(engine->due, wake_poller, backend);
    backend->ops->poll(backend, dozes ? ns : 0, &completed);
    if (dozes)
        due_rise_(engine->due);
    backend->ops->leave(backend);
    due_poke_(engine->due); /* another may go on there */
    if (cds_list_empty(&completed))
        return;
    due_bring_(engine->due, true);
    cds_list_for_each_entry_safe(op, next, &completed, job.node) op->done(op);
    due_bring_(engine->due, false);
}

static void collect(struct backend *backend, bool begin)
{
    if (backend->ops->collect)
        backend->ops->collect(backend, begin);
}

static int64_t time_left(int64_t end)
{
    const int64_t left = end == INT64_MAX ? end : end - waited_now_();

    return left > 0 ? left : 0;
}

int twostate_engine_wait(struct twostate_engine *engine, unsigned most, int timeout_ms)
{
    int64_t end = INT64_MAX;
    int64_t left = 0;
    int made = 0;

    if (engine == NULL || engine->due == NULL)
        return -EINVAL;
    if (in_callback)
        return -EDEADLK;
    if (most == 0)
        return 0;
    if (timeout_ms >= 0)
        end = timeout_ms == 0 ? 0 : waited_now_() + timeout_ms * INT64_C(1000000);
    collect(engine->backend, true);
    do {
        left = time_left(end);
        await_due(engine, left);
        made = call_back(engine->due, most);
    } while (made == 0 && left > 0);
    collect(engine->backend, false);
    return made;
}

int twostate_engine_poll(struct twostate_engine *engine, unsigned most)
{
    return twostate_engine_wait(engine, most, 0);
}

int twostate_engine_fd(struct twostate_engine *engine)
{
    const struct backend_ops *ops = NULL;

    if (engine == NULL || engine->due == NULL)
        return -EINVAL;
    ops = engine->backend->ops;
    return due_fd_(engine->due, ops->fd ? ops->fd(engine->backend) : -1);
}

int twostate_engine_query(struct twostate_engine *engine, struct twostate_engine_info *info)
{
    if (engine == NULL || info == NULL)
        return -EINVAL;
    *info = (struct twostate_engine_info){
        .files = __atomic_load_n(&engine->files, __ATOMIC_ACQUIRE),
        .requests = __atomic_load_n(&engine->requests, __ATOMIC_ACQUIRE),
    };
    pthread_mutex_lock(&engine->user_mutex);
    if (engine->user)
        user_query_(engine->user, info);
    pthread_mutex_unlock(&engine->user_mutex);
    return 0;
}
