/* SPDX-License-Identifier: MIT */
/*
 * When to write back: a thread that writes what has been dirty for long; all of it, when more than half
 * of what may be dirty is, or when somebody waits for memory. Who finds all of it dirty waits.
 *
 * What can't be written stays dirty, and is tried again in the next round. That is the affair of the file
 * whose data it is, as far as can be: others may have as much dirty as if it weren't there, and wait for
 * memory as long as anything else is dirty.
 */
#include "user.h"

#include <errno.h>
#include <time.h>
#include <urcu/compiler.h>

#include "workers.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)
#define LEAST_NS  NS_PER_MS         /* after a round in vain; nobody may end it */
#define MOST_NS   (100 * NS_PER_MS) /* between rounds */

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

/* That there is hope for. */
static uint64_t writable_now(const struct user_engine *user)
{
    const uint64_t dirty = dirty_now(user);
    const uint64_t unwritable = __atomic_load_n(&user->unwritable, __ATOMIC_RELAXED);

    return dirty > unwritable ? dirty - unwritable : 0;
}

static uint64_t most_dirty(const struct user_engine *user)
{
    return user->options.bytes / 100 * user->options.dirty_percent;
}

void flusher_dirtied_(struct user_engine *user, uint32_t bytes)
{
    const uint64_t now = __atomic_add_fetch(&user->dirty, bytes, __ATOMIC_RELAXED);
    const uint64_t half =
        most_dirty(user) / 2 + __atomic_load_n(&user->unwritable, __ATOMIC_RELAXED);

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

static int error_of(const struct user_cache *cache)
{
    return __atomic_load_n(&cache->error, __ATOMIC_RELAXED);
}

/* Until it has ended, a wait is not in vain: the round that is under way may have begun before it. The
   mutex is held. */
static uint64_t enough_rounds(const struct user_engine *user)
{
    return user->rounds + 2;
}

int flusher_stuck_(void *context)
{
    struct flusher_wait *wait = context;
    struct user_engine *user = wait->cache->user;
    int error = 0;

    pthread_mutex_lock(&user->mutex);
    if (wait->enough == 0)
        wait->enough = enough_rounds(user);
    else if (user->rounds >= wait->enough && user->error)
        error = error_of(wait->cache) ? error_of(wait->cache) : -ENOMEM;
    pthread_mutex_unlock(&user->mutex);
    return error;
}

static bool too_much_dirty(const struct user_cache *cache)
{
    const struct user_engine *user = cache->user;

    return (error_of(cache) ? dirty_now(user) : writable_now(user)) > most_dirty(user);
}

/* The mutex is held. */
static int wait_for_less(const struct user_cache *cache)
{
    struct user_engine *user = cache->user;
    const uint64_t enough = enough_rounds(user);

    while (too_much_dirty(cache)) {
        if (user->rounds >= enough && error_of(cache) &&
            (user->error || user->unwritable > most_dirty(user)))
            return error_of(cache);
        user->pressed = true;
        pthread_cond_signal(&user->wake);
        pthread_cond_wait(&user->progress, &user->mutex);
    }
    return 0;
}

int flusher_throttle_(const struct user_cache *cache, bool nowait)
{
    struct user_engine *user = cache->user;
    int result = 0;

    if (dirty_now(user) <= most_dirty(user) || !too_much_dirty(cache))
        return 0;
    if (nowait)
        return -EAGAIN;
    pthread_mutex_lock(&user->mutex);
    result = wait_for_less(cache);
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

/* What came of a file's share. Nothing: it has nothing that is old enough, or others are writing it. */
static void note_result(struct user_cache *cache, int64_t result)
{
    if (result || __atomic_load_n(&cache->dirty, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&cache->error, result < 0 ? (int)result : 0, __ATOMIC_RELAXED);
}

/* What can't be written, and why; that is the round's error if there is nothing else. The mutex is held. */
static void sum_up(struct user_engine *user, bool wrote)
{
    const struct user_cache *cache = NULL;
    uint64_t unwritable = 0;
    int error = 0;

    cds_list_for_each_entry(cache, &user->caches, node)
    {
        if (error_of(cache) == 0)
            continue;
        error = error_of(cache);
        unwritable += __atomic_load_n(&cache->dirty, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&user->unwritable, unwritable, __ATOMIC_RELAXED);
    user->error = wrote || writable_now(user) > 0 ? 0 : error;
}

/* Returns whether it wrote something. */
static bool round_of_all(struct user_engine *user, bool pressed)
{
    const bool much = pressed || writable_now(user) > most_dirty(user) / 2;
    const int64_t age = (int64_t)user->options.writeback_ms * NS_PER_MS;
    const int64_t since = much ? INT64_MAX : user_now_() - age;
    struct user_cache *cache = NULL;
    bool wrote = false;

    cds_list_for_each_entry(cache, &user->caches, node)
    {
        const int64_t result = flush(user, cache, since);

        note_result(cache, result);
        wrote = wrote || result > 0;
    }
    sum_up(user, wrote);
    user->rounds++;
    pthread_cond_broadcast(&user->progress);
    if (user->error) /* they ask what is the matter */
        arena_cleaned_(user->arena);
    return wrote;
}

static struct timespec time_in(int64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ns;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    return until;
}

/* The mutex is held. */
static void sleep_between(struct user_engine *user, bool in_vain)
{
    const int64_t age = (int64_t)user->options.writeback_ms * NS_PER_MS / 4;
    const struct timespec most = time_in(age < MOST_NS ? age : MOST_NS);
    const struct timespec least = time_in(LEAST_NS);

    /* Those who wait press again after each round: it must not be theirs, how many rounds there are. */
    while (in_vain && !user->stop && pthread_cond_timedwait(&user->wake, &user->mutex, &least) == 0)
        ;
    if (!user->stop && !user->pressed)
        pthread_cond_timedwait(&user->wake, &user->mutex, &most);
}

static void *run(void *arg)
{
    struct user_engine *user = arg;

    pthread_mutex_lock(&user->mutex);
    while (!user->stop) {
        const bool pressed = user->pressed;
        const bool wanted = pressed || dirty_now(user) > 0 || user->error;
        bool wrote = false;

        user->pressed = false;
        if (wanted)
            wrote = round_of_all(user, pressed);
        pthread_mutex_unlock(&user->mutex);
        index_reclaim_();
        pthread_mutex_lock(&user->mutex);
        /* While much is dirty, without a pause. */
        if (!user->stop && !(wrote && (user->pressed || writable_now(user) > most_dirty(user) / 2)))
            sleep_between(user, wanted && !wrote);
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
