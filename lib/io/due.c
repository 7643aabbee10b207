/* SPDX-License-Identifier: MIT */
/*
 * Callbacks that are due in a polled engine.
 *
 * An eventfd is written when the first comes and read when the last goes, with the mutex held: so
 * it says what the list says, to any number of pollers, and no wake-up is lost between the two. Until
 * somebody has asked for the descriptor that is not done: it takes two system calls. Nor is it for one
 * that a poller brings itself, which it is about to take.
 *
 * Where pollers may take completions from the backend, the descriptor is an epoll one, of the eventfd
 * and the backend's: no thread has to turn the one into the other.
 */
#include "due.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct due {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* for due_wait_ and due_await_ */
    struct cds_list_head jobs;
    unsigned count;
    uint32_t pokes;  /* so far; atomic for who looks without the mutex */
    unsigned dozing; /* threads that wait elsewhere, whom this wakes: */
    void (*wake)(void *arg);
    void *wake_arg;
    bool watched; /* somebody has asked for the descriptor */
    bool told;    /* it is readable for what is due */
    int event;
    int both; /* -1: the eventfd is the descriptor */
};

/* Whose callbacks this thread brings and is about to make. */
static _Thread_local const struct due *bringing;

int due_create_(struct due **created)
{
    const int saved = errno;
    struct due *due = calloc(1, sizeof(*due));
    pthread_condattr_t monotonic;

    if (due == NULL)
        return -ENOMEM;
    due->both = -1;
    due->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (due->event < 0) {
        const int error = errno;

        free(due);
        errno = saved;
        return -error;
    }
    pthread_mutex_init(&due->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&due->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    CDS_INIT_LIST_HEAD(&due->jobs);
    *created = due;
    return 0;
}

void due_destroy_(struct due *due)
{
    if (due->both >= 0)
        close(due->both);
    close(due->event);
    pthread_cond_destroy(&due->changed);
    pthread_mutex_destroy(&due->mutex);
    free(due);
}

/* The mutex is held: the count goes between 0 and 1, so these neither wait nor fail. */
static void tell(struct due *due)
{
    const int saved = errno;

    (void)eventfd_write(due->event, 1);
    due->told = true;
    errno = saved;
}

static void take_back(struct due *due)
{
    const int saved = errno;
    eventfd_t value = 0;

    (void)eventfd_read(due->event, &value);
    due->told = false;
    errno = saved;
}

/* The descriptor of both; -1: there is none, and a thread of the backend has to see to the eventfd. */
static int join(int event, int completions)
{
    const int fds[] = {event, completions};
    const int saved = errno;
    int both = completions < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);

    for (unsigned i = 0; i < 2 && both >= 0; i++)
        if (epoll_ctl(both, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){.events = EPOLLIN})) {
            close(both);
            both = -1;
        }
    errno = saved;
    return both;
}

int due_fd_(struct due *due, int completions)
{
    int fd = -1;

    pthread_mutex_lock(&due->mutex);
    if (!due->watched) {
        due->both = join(due->event, completions);
        due->watched = true;
        if (due->count > 0)
            tell(due);
    }
    fd = due->both >= 0 ? due->both : due->event;
    pthread_mutex_unlock(&due->mutex);
    return fd;
}

bool due_by_threads_(struct due *due)
{
    bool by_threads = false;

    pthread_mutex_lock(&due->mutex);
    by_threads = due->watched && due->both < 0;
    pthread_mutex_unlock(&due->mutex);
    return by_threads;
}

void due_add_(struct due *due, struct job *job)
{
    pthread_mutex_lock(&due->mutex);
    cds_list_add_tail(&job->node, &due->jobs);
    if (due->watched && !due->told && bringing != due)
        tell(due);
    if (due->count++ == 0 && due->dozing > 0)
        due->wake(due->wake_arg);
    pthread_cond_broadcast(&due->changed);
    pthread_mutex_unlock(&due->mutex);
}

void due_bring_(struct due *due, bool begin)
{
    bringing = begin ? due : NULL;
    if (begin)
        return;
    pthread_mutex_lock(&due->mutex);
    if (due->watched && !due->told && due->count > 1)
        tell(due);
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
    if (--due->count == 0 && due->told)
        take_back(due);
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

bool due_doze_(struct due *due, void (*wake)(void *arg), void *arg)
{
    bool dozes = false;

    pthread_mutex_lock(&due->mutex);
    dozes = due->count == 0;
    if (dozes) {
        due->dozing++;
        due->wake = wake;
        due->wake_arg = arg;
    }
    pthread_mutex_unlock(&due->mutex);
    return dozes;
}

void due_rise_(struct due *due)
{
    pthread_mutex_lock(&due->mutex);
    due->dozing--;
    pthread_mutex_unlock(&due->mutex);
}

static struct timespec from_now(int64_t ns)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    ns += at.tv_nsec;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

void due_await_(struct due *due, uint32_t pokes, int64_t ns)
{
    const struct timespec until = from_now(ns == INT64_MAX ? 0 : ns);

    pthread_mutex_lock(&due->mutex);
    if (due->count > 0 || due->pokes != pokes)
        ns = 0;
    if (ns == INT64_MAX)
        pthread_cond_wait(&due->changed, &due->mutex);
    else if (ns > 0)
        pthread_cond_timedwait(&due->changed, &due->mutex, &until);
    pthread_mutex_unlock(&due->mutex);
}

void due_poke_(struct due *due)
{
    pthread_mutex_lock(&due->mutex);
    __atomic_store_n(&due->pokes, due->pokes + 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&due->changed);
    pthread_mutex_unlock(&due->mutex);
}

uint32_t due_pokes_(const struct due *due)
{
    return __atomic_load_n(&due->pokes, __ATOMIC_ACQUIRE);
}
