/* SPDX-License-Identifier: MIT */
/* Opening, sharing and closing the engine's files: see file.h. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_SECONDS 5
#define IDLE_MOST    1024 /* beyond it, who adds one closes one */

TAILQ_HEAD(opened_list, opened);

static struct twostate_engine *engine;
static enum twostate_cache preferred;

/* Idle files, the one that was used last at the end. The lock is taken after a node's. */
static struct opened_list idle = TAILQ_HEAD_INITIALIZER(idle);
static unsigned idle_count;
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;

static pthread_t closer;
static pthread_cond_t closer_wake;
static bool stopping; /* with idle_lock */

static int64_t now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void file_changed(struct opened *opened)
{
    if (opened->user_cache)
        __atomic_store_n(&opened->mtime, now(CLOCK_REALTIME_COARSE), __ATOMIC_RELAXED);
}

static void become_idle(struct opened *opened)
{
    pthread_mutex_lock(&idle_lock);
    opened->idle = true;
    opened->idle_since = now(CLOCK_MONOTONIC);
    TAILQ_INSERT_TAIL(&idle, opened, others);
    idle_count++;
    pthread_mutex_unlock(&idle_lock);
}

static void become_busy(struct opened *opened)
{
    pthread_mutex_lock(&idle_lock);
    if (opened->idle) {
        TAILQ_REMOVE(&idle, opened, others);
        idle_count--;
        opened->idle = false;
    }
    pthread_mutex_unlock(&idle_lock);
}

static bool unlinked(const struct node *node)
{
    struct stat st;

    return fstat(node->fd, &st) == 0 && st.st_nlink == 0;
}

static void keep_mtime(const struct opened *opened)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(opened->mtime / 1000000000),
         .tv_nsec = (long)(opened->mtime % 1000000000)},
    };
    char path[NODE_PATH_SIZE];

    if (opened->mtime != 0)
        (void)utimensat(AT_FDCWD, node_path(opened->node, path), times, 0);
}

/* With the node's lock. The node may be gone once the caller lets go of its own reference. */
static void close_opened(struct opened *opened)
{
    struct node *node = opened->node;
    int result = 0;

    if (node->opened == opened)
        node->opened = NULL;
    /* What was cached here need not be made durable. But others may have open what they wrote. */
    if (opened->mtime != 0 && unlinked(node))
        (void)twostate_truncate(opened->file, 0);
    result = twostate_file_close(opened->file);
    if (result)
        fuse_log(FUSE_LOG_ERR, "inode %llu: data was lost: %s\n", (unsigned long long)node->ino,
                 strerror(-result));
    keep_mtime(opened);
    free(opened);
}

/* One user less. Returns whether that closed it; the reference to the node is then the caller's. */
static bool leave(struct opened *opened, bool may_idle)
{
    opened->users--;
    if (opened->users > 0)
        return false;
    if (may_idle && opened->node->opened == opened && !unlinked(opened->node)) {
        become_idle(opened);
        return false;
    }
    close_opened(opened);
    return true;
}

/*
 * Syncs and closes the file that has been idle longest. Its data is made durable while it can still
 * be used, so that nobody who opens it has to wait. What can't be written stays, and is tried again.
 */
static void close_oldest(int64_t idle_before)
{
    struct node *node = NULL;
    struct opened *opened = NULL;
    bool closed = false;
    int result = 0;

    pthread_mutex_lock(&idle_lock);
    opened = TAILQ_FIRST(&idle);
    if (opened && opened->idle_since <= idle_before) {
        node = opened->node;
        node_hold(node);
    }
    pthread_mutex_unlock(&idle_lock);
    if (node == NULL)
        return;

    pthread_mutex_lock(&node->lock);
    opened = node->opened;
    if (opened == NULL || opened->users > 0) {
        pthread_mutex_unlock(&node->lock);
        node_drop(node, 1);
        return;
    }
    become_busy(opened);
    opened->users = 1;
    pthread_mutex_unlock(&node->lock);

    if (opened->access != O_RDONLY)
        result = twostate_fdatasync(opened->file);

    pthread_mutex_lock(&node->lock);
    closed = leave(opened, result != 0);
    pthread_mutex_unlock(&node->lock);
    node_drop(node, closed ? 2 : 1);
}

static bool has_expired(int64_t idle_before)
{
    const struct opened *oldest = TAILQ_FIRST(&idle);

    return oldest && oldest->idle_since <= idle_before;
}

static void *close_idle(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&idle_lock);
    while (!stopping) {
        const int64_t before = now(CLOCK_MONOTONIC) - INT64_C(1000000000) * IDLE_SECONDS;
        struct timespec second;

        while (has_expired(before)) {
            pthread_mutex_unlock(&idle_lock);
            close_oldest(before);
            pthread_mutex_lock(&idle_lock);
        }
        clock_gettime(CLOCK_MONOTONIC, &second);
        second.tv_sec++;
        if (!stopping)
            pthread_cond_timedwait(&closer_wake, &idle_lock, &second);
    }
    pthread_mutex_unlock(&idle_lock);
    return NULL;
}

static bool refused(int error)
{
    return error == -EACCES || error == -EPERM || error == -EROFS || error == -ETXTBSY;
}

/* With the cache that was asked for, or the kernel's, where the file can't have it. */
static int open_as(struct node *node, int access, struct opened *opened)
{
    const bool user = preferred == TWOSTATE_CACHE_USER && access == O_RDWR;
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER};
    char path[NODE_PATH_SIZE];
    int result = -EOPNOTSUPP;

    node_path(node, path);
    if (user)
        result = twostate_file_open_with(engine, path, access, 0, &options, &opened->file);
    opened->user_cache = result == 0;
    if (result == -EOPNOTSUPP || result == -EBUSY)
        result = twostate_file_open(engine, path, access, 0, &opened->file);
    opened->access = access;
    return result;
}

/* For reading and writing if that is possible, whatever is asked for: others will share it. */
static int open_new(struct node *node, int access)
{
    struct opened *opened = calloc(1, sizeof(*opened));
    int result = -ENOMEM;

    if (opened == NULL)
        return result;
    result = open_as(node, O_RDWR, opened);
    if (refused(result) && access != O_RDWR)
        result = open_as(node, access, opened);
    if (result) {
        free(opened);
        return result;
    }
    opened->node = node;
    node_hold(node);
    node->opened = opened;
    return 0;
}

static bool serves(const struct opened *opened, int access)
{
    return opened && (opened->access == O_RDWR || opened->access == access);
}

/* With the node's lock: true if it was idle and is closed now, with its reference to the node left. */
static bool close_if_idle(struct opened *opened)
{
    if (opened == NULL || opened->users > 0)
        return false;
    become_busy(opened);
    close_opened(opened);
    return true;
}

/*
 * If the file was opened when less was permitted than now, whoever has it open keeps what he has.
 * IO through the one and the other is not ordered by the engine; but one of them only reads.
 */
int file_get(struct node *node, int access, struct opened **opened)
{
    bool closed = false;
    int result = 0;

    pthread_mutex_lock(&node->lock);
    if (!serves(node->opened, access)) {
        closed = close_if_idle(node->opened);
        result = open_new(node, access);
    }
    if (result == 0) {
        *opened = node->opened;
        become_busy(*opened);
        (*opened)->users++;
    }
    pthread_mutex_unlock(&node->lock);
    if (closed)
        node_drop(node, 1);
    return result;
}

void file_put(struct opened *opened)
{
    struct node *node = opened->node;
    bool closed = false;
    unsigned count = 0;

    pthread_mutex_lock(&node->lock);
    closed = leave(opened, true);
    pthread_mutex_unlock(&node->lock);
    if (closed)
        node_drop(node, 1);

    pthread_mutex_lock(&idle_lock);
    count = idle_count;
    pthread_mutex_unlock(&idle_lock);
    if (count > IDLE_MOST)
        close_oldest(INT64_MAX);
}

void file_forget(struct node *node)
{
    bool closed = false;

    pthread_mutex_lock(&node->lock);
    closed = node->opened && unlinked(node) && close_if_idle(node->opened);
    pthread_mutex_unlock(&node->lock);
    if (closed)
        node_drop(node, 1);
}

int files_start(const struct twostate_engine_options *options, enum twostate_cache cache)
{
    pthread_condattr_t monotonic;
    int result = twostate_engine_create(options, &engine);

    if (result)
        return result;
    (void)twostate_engine_serve(engine, NULL); /* for twostate-io top; without, nobody can look */
    preferred = cache;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&closer_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    result = -pthread_create(&closer, NULL, close_idle, NULL);
    if (result)
        twostate_engine_destroy(engine);
    return result;
}

static void close_last(struct node *node)
{
    if (node->opened)
        close_opened(node->opened);
}

void files_stop(void)
{
    pthread_mutex_lock(&idle_lock);
    stopping = true;
    pthread_cond_signal(&closer_wake);
    pthread_mutex_unlock(&idle_lock);
    pthread_join(closer, NULL);
    nodes_visit(close_last);
    twostate_engine_destroy(engine);
}
