/* SPDX-License-Identifier: MIT */
/* A queue of jobs and the threads that run them, in the order they came. */
#ifndef TS_IO_WORKERS_H
#define TS_IO_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <urcu/list.h>

struct workers;

struct job {
    struct cds_list_head node;
    void (*run)(struct job *job);
};

typedef bool job_match(const struct job *job, const void *context);

/* Moves the jobs that match from one list to the end of another, in their order. */
void jobs_take_(struct cds_list_head *jobs, job_match *match, const void *context,
                struct cds_list_head *taken);

/* A thread that takes no signals: those are the program's. 0 or -errno. */
int thread_start_(pthread_t *thread, void *(*run)(void *), void *arg);

/* 0, -ENOMEM, or what pthread_create answers. */
int workers_create_(unsigned threads, struct workers **workers);

/* Runs what is queued, then ends the threads. Nobody may be adding jobs. */
void workers_destroy_(struct workers *workers);

/* Never fails and never waits for a job. */
void workers_add_(struct workers *workers, struct job *job);

/* Takes out the jobs that match and that no thread has begun. They are the caller's then. */
void workers_take_(struct workers *workers, job_match *match, const void *context,
                   struct cds_list_head *taken);

#endif
