/* SPDX-License-Identifier: MIT */
/* A queue of jobs and the threads that run them, in the order they came. */
#ifndef TS_IO_WORKERS_H
#define TS_IO_WORKERS_H

#include <pthread.h>
#include <urcu/list.h>

struct workers;

struct job {
    struct cds_list_head node;
    void (*run)(struct job *job);
};

/* A thread that takes no signals: those are the program's. 0 or -errno. */
int thread_start_(pthread_t *thread, void *(*run)(void *), void *arg);

/* 0, -ENOMEM, or what pthread_create answers. */
int workers_create_(unsigned threads, struct workers **workers);

/* Runs what is queued, then ends the threads. Nobody may be adding jobs. */
void workers_destroy_(struct workers *workers);

/* Never fails and never waits for a job. */
void workers_add_(struct workers *workers, struct job *job);

#endif
