/* SPDX-License-Identifier: MIT */
/* Group commit: one sync for all who asked for one before it began. */
#ifndef TS_IO_COMMIT_H
#define TS_IO_COMMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct commit {
    int (*sync)(struct commit *commit, bool data_only); /* 0 or -errno */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t started; /* syncs */
    uint64_t finished;
    bool running;
    bool metadata; /* somebody who waits for the next one wants more than the data */
    int result;    /* of the last one that finished */
};

void commit_init_(struct commit *commit, int (*sync)(struct commit *commit, bool data_only));
void commit_destroy_(struct commit *commit);

/* What a sync answered that began after this call did. */
int commit_run_(struct commit *commit, bool data_only);

#endif
