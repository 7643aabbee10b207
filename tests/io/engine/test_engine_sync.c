/* SPDX-License-Identifier: MIT */
/* Durability when syncs meet, and when they fail: nobody hears success for data that is lost. */
#include "common.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A cache whose syncs wait to be let go, and fail as told. */
static const struct cache_ops *real_ops;
static struct cache_ops ops;
static uint32_t syncs;
static uint32_t full_syncs;
static uint32_t gate;
static int sync_result;
static int64_t write_result;

static int fake_sync(struct cache *cache, bool data_only, bool *lost)
{
    const uint32_t mine = add(&syncs, 1);

    (void)cache;
    *lost = sync_result != 0;
    if (!data_only)
        add(&full_syncs, 1);
    AWAIT(load(&gate) >= mine);
    return mine == 1 ? sync_result : 0;
}

static int64_t fake_write(struct cache *cache, struct cursor *cursor, int64_t offset,
                          unsigned flags)
{
    return write_result ? write_result : real_ops->write(cache, cursor, offset, flags);
}

static int enter(void **state)
{
    struct fixture *f = NULL;

    (void)fixture_enter(state);
    f = *state;
    real_ops = f->file->cache->ops;
    ops = *real_ops;
    ops.sync = fake_sync;
    ops.write = fake_write;
    f->file->cache->ops = &ops;
    store(&syncs, 0);
    store(&full_syncs, 0);
    store(&gate, 0);
    sync_result = 0;
    write_result = 0;
    return 0;
}

static int leave(void **state)
{
    struct fixture *f = *state;

    f->file->cache->ops = real_ops;
    return fixture_leave(state);
}

struct syncer {
    struct task task;
    struct twostate_file *file;
    bool data_only;
    int result;
};

static void sync_file(void *arg)
{
    struct syncer *syncer = arg;

    syncer->result =
        syncer->data_only ? twostate_fdatasync(syncer->file) : twostate_fsync(syncer->file);
}

static void start(struct syncer *syncer, struct twostate_file *file, bool data_only)
{
    *syncer = (struct syncer){.file = file, .data_only = data_only};
    task_start(&syncer->task, sync_file, syncer);
}

static bool metadata_wanted(struct twostate_file *file)
{
    bool wanted = false;

    pthread_mutex_lock(&file->syncs.mutex);
    wanted = file->syncs.metadata;
    pthread_mutex_unlock(&file->syncs.mutex);
    return wanted;
}

static unsigned users(struct twostate_file *file)
{
    return twostate_iolock_query(&file->users).holders;
}

/* pitfall E13: the kernel tells one of several syncs of a failure; all of them must hear it. */
static void all_hear_of_a_failure(void **state)
{
    struct fixture *f = *state;
    struct syncer syncer[4];

    sync_result = -EIO;
    start(&syncer[0], f->file, true);
    AWAIT(load(&syncs) == 1);
    for (int i = 1; i < 4; i++)
        start(&syncer[i], f->file, true);
    AWAIT(users(f->file) == 4);
    store(&gate, 9);
    for (int i = 0; i < 4; i++) {
        task_join(&syncer[i].task);
        assert_int_equal(syncer[i].result, -EIO);
    }
}

/* Who comes while a sync runs is not covered by it, but shares the next one with others. */
static void one_sync_for_all_who_wait(void **state)
{
    struct fixture *f = *state;
    struct syncer syncer[4];

    start(&syncer[0], f->file, true);
    AWAIT(load(&syncs) == 1);
    for (int i = 1; i < 4; i++)
        start(&syncer[i], f->file, i != 2);
    AWAIT(metadata_wanted(f->file));
    AWAIT(users(f->file) == 4);
    assert_int_equal(load(&syncs), 1);
    store(&gate, 1);
    task_join(&syncer[0].task);
    AWAIT(load(&syncs) == 2);
    store(&gate, 9);
    for (int i = 1; i < 4; i++) {
        task_join(&syncer[i].task);
        assert_int_equal(syncer[i].result, 0);
    }
    /* The last may have come when the second sync ran already; full is what one of them asked. */
    assert_true(load(&syncs) <= 3);
    assert_int_equal(load(&full_syncs), 1);
}

/* pitfall E13: a DSYNC write fails; was it a write-back of older data that failed? Then all is. */
static void failed_dsync_write(void **state)
{
    struct fixture *f = *state;
    char byte = 'x';

    store(&gate, 9);
    write_result = -ENOSPC;
    sync_result = -EIO;
    assert_int_equal(twostate_pwrite(f->file, &byte, 1, 0, TWOSTATE_IO_DSYNC), -ENOSPC);
    write_result = 0;
    assert_int_equal(twostate_pwrite(f->file, &byte, 1, 0, TWOSTATE_IO_DSYNC), -EIO);
    assert_int_equal(twostate_fsync(f->file), -EIO);
    assert_int_equal(twostate_pwrite(f->file, &byte, 1, 0, 0), 1);
    f->file->unsynced = 0; /* so that close has nothing to say */
}

static void failed_dsync_write_of_its_own(void **state)
{
    struct fixture *f = *state;
    char byte = 'x';

    store(&gate, 9);
    write_result = -ENOSPC;
    assert_int_equal(twostate_pwrite(f->file, &byte, 1, 0, TWOSTATE_IO_DSYNC), -ENOSPC);
    write_result = 0;
    assert_int_equal(twostate_pwrite(f->file, &byte, 1, 0, TWOSTATE_IO_DSYNC), 1);
}

static bool takes_signal(const char *thread, int number)
{
    char path[64];
    char line[128];
    unsigned long long blocked = 0;
    FILE *status = NULL;

    CHECK(snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", thread) > 0);
    status = fopen(path, "r");
    if (status == NULL)
        return false; /* it has ended */
    while (fgets(line, sizeof(line), status))
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16);
    (void)fclose(status);
    return (blocked >> (number - 1) & 1) == 0;
}

static unsigned threads_that_take(int number)
{
    DIR *threads = opendir("/proc/self/task");
    unsigned count = 0;

    CHECK(threads);
    for (struct dirent *entry = readdir(threads); entry; entry = readdir(threads))
        count += entry->d_name[0] != '.' && takes_signal(entry->d_name, number);
    (void)closedir(threads);
    return count;
}

/* Signals are the program's: a thread of the engine must not be picked for one. */
static void engine_takes_no_signals(void **state)
{
    struct twostate_engine *engine = NULL;
    const unsigned before = threads_that_take(SIGUSR1);

    (void)state;
    engine = engine_new(0, 0);
    assert_int_equal(threads_that_take(SIGUSR1), before);
    assert_int_equal(twostate_engine_destroy(engine), 0);
}

#define SYNC_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYNC_TEST(all_hear_of_a_failure),   SYNC_TEST(one_sync_for_all_who_wait),
        SYNC_TEST(failed_dsync_write),      SYNC_TEST(failed_dsync_write_of_its_own),
        SYNC_TEST(engine_takes_no_signals),
    };

    return RUN_WITH_BACKENDS(tests);
}
