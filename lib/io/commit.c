/* SPDX-License-Identifier: MIT */
/*
 * Group commit.
 *
 * The kernel reports a failed write-back to one of those that sync at the same time. So one syncs at
 * a time, for all who came before it started, and all of them hear what it heard.
 */
#include "commit.h"

void commit_init_(struct commit *commit, int (*sync)(struct commit *commit, bool data_only))
{
    *commit = (struct commit){.sync = sync};
    pthread_mutex_init(&commit->mutex, NULL);
    pthread_cond_init(&commit->changed, NULL);
}

void commit_destroy_(struct commit *commit)
{
    pthread_cond_destroy(&commit->changed);
    pthread_mutex_destroy(&commit->mutex);
}

/* The mutex is held, but not during the sync. */
static void sync_for_all(struct commit *commit)
{
    const bool data_only = !commit->metadata;
    int result = 0;

    commit->running = true;
    commit->metadata = false;
    commit->started++;
    pthread_mutex_unlock(&commit->mutex);

    result = commit->sync(commit, data_only);

    pthread_mutex_lock(&commit->mutex);
    commit->running = false;
    commit->finished = commit->started;
    commit->result = result;
    pthread_cond_broadcast(&commit->changed);
}

int commit_run_(struct commit *commit, bool data_only)
{
    uint64_t mine = 0;
    int result = 0;

    pthread_mutex_lock(&commit->mutex);
    mine = commit->started + 1;
    commit->metadata = commit->metadata || !data_only;
    while (commit->finished < mine) {
        if (commit->running)
            pthread_cond_wait(&commit->changed, &commit->mutex);
        else
            sync_for_all(commit);
    }
    result = commit->result;
    pthread_mutex_unlock(&commit->mutex);
    return result;
}
