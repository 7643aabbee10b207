/* SPDX-License-Identifier: MIT */
/*
 * Callbacks that are due in a polled engine.
 *
 * The descriptor is written when the first comes and read when the last goes, with the mutex held: so
 * it says what the list says, to any number of pollers, and no wake-up is lost between the two.
 */
#include "due.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct due {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* for due_wait_ */
    struct cds_list_head jobs;
    unsigned count;
    int fd;
};

int due_create_(struct due **created)
{
    const int saved = errno;
    struct due *due = calloc(1, sizeof(*due));

    if (due == NULL)
        return -ENOMEM;
    due->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (due->fd < 0) {
        const int error = errno;

        free(due);
        errno = saved;
        return -error;
    }
    pthread_mutex_init(&due->mutex, NULL);
    pthread_cond_init(&due->changed, NULL);
    CDS_INIT_LIST_HEAD(&due->jobs);
    *created = due;
    return 0;
}

void due_destroy_(struct due *due)
{
    close(due->fd);
    pthread_cond_destroy(&due->changed);
    pthread_mutex_destroy(&due->mutex);
    free(due);
}

int due_fd_(const struct due *due)
{
    return due->fd;
}

/* The mutex is held: the count goes between 0 and 1, so these neither wait nor fail. */
static void signal_fd(struct due *due)
{
    const int saved = errno;

    (void)eventfd_write(due->fd, 1);
    errno = saved;
}

static void clear_fd(struct due *due)
{
    const int saved = errno;
    eventfd_t value = 0;

    (void)eventfd_read(due->fd, &value);
    errno = saved;
}

void due_add_(struct due *due, struct job *job)
{
    pthread_mutex_lock(&due->mutex);
    cds_list_add_tail(&job->node, &due->jobs);
    if (due->count++ == 0)
        signal_fd(due);
    pthread_cond_broadcast(&due->changed);
    pthread_mutex_unlock(&due->mutex);
}

unsigned due_count_(struct due *due)
{
    unsigned count = 0;

    pthread_mutex_lock(&due->mutex);
    count = due->count;
    pthread_mutex_unlock(&due->mutex);
    return count;
}

static void take_out(struct due *due, struct job *job)
{
    cds_list_del(&job->node);
    if (--due->count == 0)
        clear_fd(due);
}

struct job *due_next_(struct due *due)
{
    struct job *job = NULL;

    pthread_mutex_lock(&due->mutex);
    if (due->count > 0) {
        job = cds_list_first_entry(&due->jobs, struct job, node);
        take_out(due, job);
    }
    pthread_mutex_unlock(&due->mutex);
    return job;
}

static struct job *find(const struct due *due, job_match *match, const void *context)
{
    struct job *job = NULL;

    cds_list_for_each_entry(job, &due->jobs, node)
    {
        if (match(job, context))
            return job;
    }
    return NULL;
}

struct job *due_wait_(struct due *due, job_match *match, const void *context, const bool *stopped)
{
    struct job *job = NULL;

    pthread_mutex_lock(&due->mutex);
    while ((job = find(due, match, context)) == NULL && !*stopped)
        pthread_cond_wait(&due->changed, &due->mutex);
    if (job)
        take_out(due, job);
    pthread_mutex_unlock(&due->mutex);
    return job;
}

void due_stop_(struct due *due, bool *stopped)
{
    pthread_mutex_lock(&due->mutex);
    *stopped = true;
    pthread_cond_broadcast(&due->changed);
    pthread_mutex_unlock(&due->mutex);
}
