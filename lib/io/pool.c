/* SPDX-License-Identifier: MIT */
/* The backend that serves everywhere: a pool of threads, each in a system call. */
#include "backend.h"

#include <errno.h>
#include <stdlib.h>

#define MOST_THREADS 32

struct pool {
    struct backend backend;
    struct workers *workers;
};

static void run(struct job *job)
{
    struct backend_op *op = caa_container_of(job, struct backend_op, job);

    op->result = backend_run_(op);
    op->done(op);
}

static void submit(struct backend *backend, struct backend_op *op)
{
    struct pool *pool = caa_container_of(backend, struct pool, backend);

    op->job.run = run;
    workers_add_(pool->workers, &op->job);
}

static void take(struct backend *backend, job_match *match, const void *context,
                 struct cds_list_head *taken)
{
    struct pool *pool = caa_container_of(backend, struct pool, backend);

    workers_take_(pool->workers, match, context, taken);
}

static void destroy(struct backend *backend)
{
    struct pool *pool = caa_container_of(backend, struct pool, backend);

    workers_destroy_(pool->workers);
    free(pool);
}

static const struct backend_ops pool_ops = {.submit = submit, .take = take, .destroy = destroy};

int backend_pool_create_(unsigned depth, struct backend **backend)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    int result = 0;

    if (pool == NULL)
        return -ENOMEM;
    pool->backend.ops = &pool_ops;
    result = workers_create_(depth < MOST_THREADS ? depth : MOST_THREADS, &pool->workers);
    if (result)
        free(pool);
    else
        *backend = &pool->backend;
    return result;
}
