/* SPDX-License-Identifier: MIT */
/* A queue of jobs and the threads that run them, in the order they came. */
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct cds_list_head jobs;
    bool ending;
    unsigned started;
    pthread_t threads[];
};

void jobs_take_(struct cds_list_head *jobs, job_match *match, const void *context,
                struct cds_list_head *taken)
{
    struct job *job = NULL;
    struct job *next = NULL;

    cds_list_for_each_entry_safe(job, next, jobs, node)
    {
        if (!match(job, context))
            continue;
        cds_list_del(&job->node);
        cds_list_add_tail(&job->node, taken);
    }
}

static struct job *next_job(struct workers *workers)
{
    struct job *job = NULL;

    pthread_mutex_lock(&workers->mutex);
    while (cds_list_empty(&workers->jobs) && !workers->ending)
        pthread_cond_wait(&workers->changed, &workers->mutex);
    if (!cds_list_empty(&workers->jobs)) {
        job = cds_list_first_entry(&workers->jobs, struct job, node);
        cds_list_del(&job->node);
    }
    pthread_mutex_unlock(&workers->mutex);
    return job;
}

static void *work(void *arg)
{
    for (;;) {
        struct job *job = next_job(arg);

        if (job == NULL)
            return NULL;
        job->run(job);
    }
}

int thread_start_(pthread_t *thread, void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t before;
    int error = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

int workers_create_(unsigned threads, struct workers **created)
{
    struct workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(workers->threads[0]));

    if (workers == NULL)
        return -ENOMEM;
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_cond_init(&workers->changed, NULL);
    CDS_INIT_LIST_HEAD(&workers->jobs);
    while (workers->started < threads) {
        const int error = thread_start_(&workers->threads[workers->started], work, workers);

        if (error) {
            workers_destroy_(workers);
            return error;
        }
        workers->started++;
    }
    *created = workers;
    return 0;
}

void workers_destroy_(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->ending = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->mutex);
    for (unsigned i = 0; i < workers->started; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
}

void workers_add_(struct workers *workers, struct job *job)
{
    pthread_mutex_lock(&workers->mutex);
    cds_list_add_tail(&job->node, &workers->jobs);
    pthread_cond_signal(&workers->changed);
    pthread_mutex_unlock(&workers->mutex);
}

void workers_take_(struct workers *workers, job_match *match, const void *context,
                   struct cds_list_head *taken)
{
    pthread_mutex_lock(&workers->mutex);
    jobs_take_(&workers->jobs, match, context, taken);
    pthread_mutex_unlock(&workers->mutex);
}
