/* SPDX-License-Identifier: MIT */
/* What the user caches of an engine share: made when the first file is opened that has one. */
#include "user.h"
#include "batch.h"
#include "dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <twostate/io.h>

/* The arena holds the folio's lock, and the folio is clean. */
static void evict(struct folio *folio)
{
    index_remove_(&folio->owner->index, folio->index, folio);
}

static void init_locks(struct user_engine *user)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&user->mutex, NULL);
    pthread_cond_init(&user->wake, &monotonic);
    pthread_cond_init(&user->progress, NULL);
    pthread_cond_init(&user->batch_free, NULL);
    pthread_condattr_destroy(&monotonic);
}

static void free_user(struct user_engine *user)
{
    batches_destroy_(user);
    if (user->arena)
        arena_destroy_(user->arena);
    pthread_cond_destroy(&user->batch_free);
    pthread_cond_destroy(&user->progress);
    pthread_cond_destroy(&user->wake);
    pthread_mutex_destroy(&user->mutex);
    free(user);
}

int user_create_(const struct user_options *options, struct backend *backend,
                 struct user_engine **created)
{
    struct user_engine *user = calloc(1, sizeof(*user));
    int result = 0;

    if (user == NULL)
        return -ENOMEM;
    user->options = *options;
    user->backend = backend;
    CDS_INIT_LIST_HEAD(&user->caches);
    CDS_INIT_LIST_HEAD(&user->batches);
    init_locks(user);
    result = arena_create_(options->bytes, evict, flusher_press_, user, &user->arena);
    if (result == 0)
        result = batches_create_(user);
    if (result == 0)
        result = flusher_start_(user);
    if (result)
        free_user(user);
    else
        *created = user;
    return result;
}

void user_destroy_(struct user_engine *user)
{
    flusher_stop_(user);
    free_user(user);
}

int64_t user_disk_size_(const struct user_cache *cache)
{
    const int saved = errno;
    struct stat st;
    int64_t size = 0;

    if (cache->block_device)
        return user_size_(cache);
    size = fstat(cache->fd, &st) < 0 ? -errno : st.st_size;
    errno = saved;
    return size;
}

/*
 * XFS looks at the old size, waits for the direct writes that are on their way, and then zeroes what
 * lies between the old size and the new one: with it what such a write has put there. So none may be.
 */
int user_set_disk_size_(struct user_cache *cache, int64_t size)
{
    const int saved = errno;
    int result = 0;

    dirty_hold_(cache);
    do {
        result = ftruncate(cache->fd, size) < 0 ? -errno : 0;
    } while (result == -EINTR);
    dirty_go_on_(cache);
    errno = saved;
    return result;
}

void user_query_(struct user_engine *user, struct twostate_engine_info *info)
{
    const struct arena_info arena = arena_query_(user->arena);

    info->cache_limit = arena.limit;
    info->cache_used = arena.used;
    info->cache_evicted = arena.evicted;
    info->cache_dirty = __atomic_load_n(&user->dirty, __ATOMIC_RELAXED);
    info->cache_misses = __atomic_load_n(&user->misses, __ATOMIC_RELAXED);
    info->written_back = __atomic_load_n(&user->written_back, __ATOMIC_RELAXED);
}
