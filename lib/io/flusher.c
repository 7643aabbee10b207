/* SPDX-License-Identifier: MIT */
/*
 * When to write back: a thread that writes what has been dirty for long; all of it, when more than half
 * of what may be dirty is, or when somebody waits for memory. Who finds all of it dirty waits.
 *
 * What can't be written stays dirty, and is tried again in the next round. Whoever waits meanwhile is
 * told why.
 */
#include "user.h"

#include <errno.h>
#include <time.h>
#include <urcu/compiler.h>

#include "workers.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t user_now_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static uint64_t dirty_now(const struct user_engine *user)
{
    return __atomic_load_n(&user->dirty, __ATOMIC_RELAXED);
}

static uint64_t most_dirty(const struct user_engine *user)
{
    return user->options.bytes / 100 * user->options.dirty_percent;
}

void flusher_dirtied_(struct user_engine *user, uint32_t bytes)
{
    const uint64_t now = __atomic_add_fetch(&user->dirty, bytes, __ATOMIC_RELAXED);
    const uint64_t half = most_dirty(user) / 2;

    if (now > half && now - bytes <= half)
        pthread_cond_signal(&user->wake); /* if it gets lost, the next round comes soon */
}

void flusher_press_(void *context)
{
    struct user_engine *user = context;

    pthread_mutex_lock(&user->mutex);
    user->pressed = true;
    pthread_cond_signal(&user->wake);
    pthread_mutex_unlock(&user->mutex);
}

int flusher_stuck_(void *context)
{
    struct user_engine *user = context;
    int error = 0;

    pthread_mutex_lock(&user->mutex);
    error = user->error;
    pthread_mutex_unlock(&user->mutex);
    return error;
}

/* Two rounds: the one that is under way may have begun before. The mutex is held. */
static int wait_for_less(struct user_engine *user)
{
    const uint64_t enough = user->rounds + 2;

    while (dirty_now(user) > most_dirty(user)) {
        if (user->rounds >= enough && user->error)
            return user->error;
        user->pressed = true;
        pthread_cond_signal(&user->wake);
        pthread_cond_wait(&user->progress, &user->mutex);
    }
    return 0;
}

int flusher_throttle_(struct user_engine *user, bool nowait)
{
    int result = 0;

    if (dirty_now(user) <= most_dirty(user))
        return 0;
    if (nowait)
        return -EAGAIN;
    pthread_mutex_lock(&user->mutex);
    result = wait_for_less(user);
    pthread_mutex_unlock(&user->mutex);
    return result;
}

/* One file's share of a round. The mutex is held, but not while it writes. */
static int64_t flush(struct user_engine *user, struct user_cache *cache, int64_t since)
{
    int64_t total = 0;
    int64_t result = 0;

    cache->held++;
    pthread_mutex_unlock(&user->mutex);
    do {
        result = writeback_some_(cache, since);
        total += result > 0 ? result : 0;
        pthread_mutex_lock(&user->mutex);
        pthread_cond_broadcast(&user->progress);
        pthread_mutex_unlock(&user->mutex);
    } while (result > 0 && since < INT64_MAX);
    pthread_mutex_lock(&user->mutex);
    cache->held--;
    pthread_cond_broadcast(&user->progress);
    return total ? total : result;
}

/* Returns whether it wrote something. */
static bool round_of_all(struct user_engine *user, bool pressed)
{
    const bool much = pressed || dirty_now(user) > most_dirty(user) / 2;
    const int64_t age = (int64_t)user->options.writeback_ms * NS_PER_MS;
    const int64_t since = much ? INT64_MAX : user_now_() - age;
    struct user_cache *cache = NULL;
    int64_t written = 0;
    int error = 0;

    cds_list_for_each_entry(cache, &user->caches, node)
    {
        const int64_t result = flush(user, cache, since);

        if (result < 0)
            error = (int)result;
        else
            written += result;
    }
    user->error = written ? 0 : error;
    user->rounds++;
    pthread_cond_broadcast(&user->progress);
    return written > 0;
}

/* The mutex is held. */
static void sleep_between(struct user_engine *user)
{
    const int64_t most = 100 * NS_PER_MS;
    const int64_t age = (int64_t)user->options.writeback_ms * NS_PER_MS / 4;
    const int64_t length = age < most ? age : most;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)length;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    pthread_cond_timedwait(&user->wake, &user->mutex, &until);
}

static void *run(void *arg)
{
    struct user_engine *user = arg;

    pthread_mutex_lock(&user->mutex);
    while (!user->stop) {
        const bool pressed = user->pressed;
        bool wrote = false;

        user->pressed = false;
        if (pressed || dirty_now(user) > 0 || user->error)
            wrote = round_of_all(user, pressed);
        pthread_mutex_unlock(&user->mutex);
        index_reclaim_();
        pthread_mutex_lock(&user->mutex);
        /* While much is dirty, without a pause. */
        if (!user->stop && !(wrote && (user->pressed || dirty_now(user) > most_dirty(user) / 2)))
            sleep_between(user);
    }
    pthread_mutex_unlock(&user->mutex);
    return NULL;
}

int flusher_start_(struct user_engine *user)
{
    return thread_start_(&user->flusher, run, user);
}

void flusher_stop_(struct user_engine *user)
{
    pthread_mutex_lock(&user->mutex);
    user->stop = true;
    pthread_cond_signal(&user->wake);
    pthread_mutex_unlock(&user->mutex);
    pthread_join(user->flusher, NULL);
}

void flusher_forget_(struct user_cache *cache)
{
    struct user_engine *user = cache->user;

    pthread_mutex_lock(&user->mutex);
    while (cache->held > 0)
        pthread_cond_wait(&user->progress, &user->mutex);
    cds_list_del(&cache->node);
    pthread_mutex_unlock(&user->mutex);
}
