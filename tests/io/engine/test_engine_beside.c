/* SPDX-License-Identifier: MIT */
/* One file that can't be written back, and what goes on beside it in the same engine. */
#include "common.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/compiler.h>

#define BUDGET  (4 * MIB)
#define PIECE   (64 * KIB)
#define AN_HOUR 3600000

/* Two files; nothing can be written to the first. */
struct pair {
    struct twostate_engine *engine;
    struct twostate_file *bad;
    struct twostate_file *good;
    struct scratch scratch[2];
    char *data;
};

static struct twostate_file *open_user(struct pair *p, unsigned which)
{
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER};
    struct twostate_file *file = NULL;

    scratch_open(&p->scratch[which]);
    CHECK(twostate_file_open_with(p->engine, p->scratch[which].path, O_RDWR, 0, &options, &file) ==
          0);
    return file;
}

static void enter(struct pair *p, unsigned dirty_percent)
{
    /* With threads, all that is written back goes through calls that can be made to fail. */
    const struct twostate_engine_options options = {.backend = TWOSTATE_BACKEND_THREADS,
                                                    .cache_bytes = BUDGET,
                                                    .dirty_percent = dirty_percent,
                                                    .writeback_ms = AN_HOUR};

    inject_nothing();
    CHECK(twostate_engine_create(&options, &p->engine) == 0);
    p->bad = open_user(p, 0);
    p->good = open_user(p, 1);
    p->data = memory_new(2 * BUDGET);
    CHECK(twostate_truncate(p->good, 2 * (int64_t)BUDGET) == 0);
    inject_only_file(p->scratch[0].fd);
    inject_error(CALL_WRITE, 1, UINT32_MAX, EIO);
}

static void leave(struct pair *p)
{
    inject_nothing();
    CHECK(twostate_fsync(p->bad) == 0);
    CHECK(twostate_file_close(p->bad) == 0);
    CHECK(twostate_file_close(p->good) == 0);
    CHECK(twostate_engine_destroy(p->engine) == 0);
    for (unsigned i = 0; i < 2; i++)
        scratch_close(&p->scratch[i]);
    free(p->data);
}

static struct user_engine *user_of(const struct pair *p)
{
    return caa_container_of(p->good->cache, struct user_cache, cache)->user;
}

/* As much as may be dirty of the bad file is. Returns how much. */
static int64_t fill_bad(const struct pair *p)
{
    int64_t at = 0;
    ssize_t moved = 0;

    memset(p->data, 'a', PIECE);
    while ((moved = twostate_pwrite(p->bad, p->data, PIECE, at, 0)) > 0)
        at += moved;
    assert_int_equal(moved, -EIO);
    assert_true(at > 0);
    return at;
}

static uint64_t dirty(const struct pair *p)
{
    struct twostate_engine_info info;

    CHECK(twostate_engine_query(p->engine, &info) == 0);
    return info.cache_dirty;
}

/* The good file is written as if there were no other; and what the bad one holds is not lost. */
static void others_go_on(void **state)
{
    struct pair p;
    int64_t bad = 0;

    (void)state;
    enter(&p, 40);
    bad = fill_bad(&p);
    memset(p.data, 'b', 2 * BUDGET);
    for (int64_t at = 0; at < (int64_t)(2 * BUDGET); at += (int64_t)PIECE)
        assert_int_equal(twostate_pwrite(p.good, p.data, PIECE, at, 0), PIECE);
    assert_int_equal(twostate_pread(p.good, p.data, 2 * BUDGET, 0, 0), 2 * BUDGET);
    assert_true(p.data[0] == 'b' && memcmp(p.data, p.data + 1, 2 * BUDGET - 1) == 0);
    assert_int_equal(twostate_fsync(p.good), 0);
    assert_int_equal(twostate_pwrite(p.bad, p.data, PIECE, bad, 0), -EIO);
    assert_int_equal(twostate_fsync(p.bad), -EIO);
    assert_int_equal(dirty(&p), bad);

    inject_nothing();
    assert_int_equal(twostate_fsync(p.bad), 0);
    assert_int_equal(dirty(&p), 0);
    disk_read(&p.scratch[0], p.data, (size_t)bad, 0);
    assert_true(p.data[0] == 'a' && memcmp(p.data, p.data + 1, (size_t)bad - 1) == 0);
    assert_int_equal(twostate_pwrite(p.bad, p.data, PIECE, bad, 0), PIECE);
    leave(&p);
}

/* What the good file wants can't be had: it hears that there is no memory, and not of the disk's error. */
static void no_memory_left(void **state)
{
    struct pair p;
    int64_t bad = 0;

    (void)state;
    enter(&p, 90);
    bad = fill_bad(&p);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(twostate_pread(p.good, p.data, MIB, 0, 0), -ENOMEM);
        assert_int_equal(twostate_pwrite(p.good, p.data, MIB, 0, 0), -ENOMEM);
        assert_int_equal(twostate_pwrite(p.good, p.data, PIECE, i * (int64_t)PIECE, 0), PIECE);
        assert_int_equal(twostate_pread(p.good, p.data, PIECE, (int64_t)MIB, 0), PIECE);
    }
    assert_int_equal(twostate_fsync(p.good), 0);
    assert_int_equal(twostate_truncate(p.bad, bad + (int64_t)MIB), 0);
    assert_int_equal(twostate_pread(p.bad, p.data, MIB, bad, 0), -EIO);
    inject_nothing();
    assert_int_equal(twostate_pread(p.good, p.data, MIB, 0, 0), MIB);
    leave(&p);
}

struct reading {
    struct task task;
    const struct pair *p;
    size_t length;
    ssize_t result;
};

static void read_much(void *argument)
{
    struct reading *reading = argument;

    reading->result =
        twostate_pread(reading->p->good, reading->p->data, reading->length, (int64_t)(2 * MIB), 0);
}

/* Pauses of the flusher that ended by themselves. */
static uint32_t pauses;
static pthread_cond_t *flusher; /* atomic */

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    const int result = __real_pthread_cond_timedwait(cond, mutex, until);

    if (result == ETIMEDOUT && cond == __atomic_load_n(&flusher, __ATOMIC_ACQUIRE))
        add(&pauses, 1);
    return result;
}

static uint64_t rounds(struct user_engine *user)
{
    uint64_t result = 0;

    pthread_mutex_lock(&user->mutex);
    result = user->rounds;
    pthread_mutex_unlock(&user->mutex);
    return result;
}

/*
 * All that is not dirty is locked: who wants memory waits, and is told nothing, whatever becomes of the bad
 * file meanwhile. Each round that writes nothing is followed by a pause.
 */
static void waits_without_spinning(void **state)
{
    struct pair p;
    struct reading reading = {.p = &p, .length = PIECE};
    struct user_engine *user = NULL;
    struct folio *locked[256];
    unsigned count = 0;
    uint64_t before = 0;
    uint64_t after = 0;
    uint32_t slept = 0;

    (void)state;
    enter(&p, 90);
    user = user_of(&p);
    (void)fill_bad(&p);
    for (int64_t at = 0; arena_query_(user->arena).used + PIECE <= BUDGET; at += (int64_t)PIECE)
        assert_int_equal(twostate_pread(p.good, p.data, PIECE, at, 0), PIECE);
    AWAIT(__atomic_load_n(&p.good->ahead.busy, __ATOMIC_ACQUIRE) == 0);
    for (uint64_t number = 0; count < 256; number++) {
        struct user_cache *cache = caa_container_of(p.good->cache, struct user_cache, cache);
        struct folio *folio = index_next_(&cache->index, number, UINT64_MAX >> 16, &number);

        if (folio == NULL)
            break;
        twostate_iolock_acquire(&folio->lock, TWOSTATE_SHARED);
        locked[count++] = folio;
    }
    assert_true(count > 0);
    task_start(&reading.task, read_much, &reading);
    __atomic_store_n(&flusher, &user->wake, __ATOMIC_RELEASE);
    slept = load(&pauses);
    before = rounds(user);
    AWAIT((flusher_press_(user), rounds(user) > before + 30));
    after = rounds(user); /* first: the flusher goes on */
    assert_true(after - before <= load(&pauses) - slept + 2);
    for (unsigned i = 0; i < count; i++)
        twostate_iolock_release(&locked[i]->lock, TWOSTATE_SHARED);
    task_join(&reading.task);
    assert_int_equal(reading.result, PIECE);
    leave(&p);
}

static void sync_good(void *argument)
{
    struct reading *syncing = argument;

    syncing->result = twostate_fsync(syncing->p->good);
}

static bool pressed(struct user_engine *user)
{
    bool result = false;

    pthread_mutex_lock(&user->mutex);
    result = user->pressed;
    pthread_mutex_unlock(&user->mutex);
    return result;
}

/* The flusher leaves alone what is not old. */
static void calm_down(struct user_engine *user)
{
    uint64_t before = 0;

    AWAIT(!pressed(user));
    before = rounds(user);
    AWAIT(rounds(user) > before + 1);
}

/* The last that is missing is on its way to the disk: that it gets there is waited for. */
static void waits_for_what_is_on_its_way(void **state)
{
    struct pair p;
    struct reading reading = {.p = &p};
    struct reading syncing = {.p = &p};
    struct user_engine *user = NULL;
    uint64_t before = 0;

    (void)state;
    enter(&p, 90);
    user = user_of(&p);
    (void)fill_bad(&p);
    calm_down(user);
    reading.length = BUDGET - arena_query_(user->arena).used;
    assert_int_equal(twostate_pwrite(p.good, p.data, 100, 2 * (int64_t)BUDGET, 0), 100);
    inject_pause(CALL_WRITE);
    task_start(&syncing.task, sync_good, &syncing);
    AWAIT(inject_paused(CALL_WRITE));
    task_start(&reading.task, read_much, &reading);
    before = rounds(user);
    AWAIT(rounds(user) > before + 10);
    inject_resume(CALL_WRITE);
    task_join(&syncing.task);
    task_join(&reading.task);
    assert_int_equal(syncing.result, 0);
    assert_int_equal(reading.result, reading.length);
    leave(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_go_on),
        cmocka_unit_test(no_memory_left),
        cmocka_unit_test(waits_without_spinning),
        cmocka_unit_test(waits_for_what_is_on_its_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
