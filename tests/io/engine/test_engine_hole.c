/* SPDX-License-Identifier: MIT */
/* Holes in a file with a user cache: they take no space, and nothing that is dirty comes back in them. */
#include "common.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu/compiler.h>

#define SIZE    200000
#define AN_HOUR 3600000
#define HOLE    (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int enter(void **state)
{
    /* With threads, all that is written back goes through calls that can be made to fail. */
    const struct twostate_engine_options options = {
        .backend = TWOSTATE_BACKEND_THREADS, .dirty_percent = 90, .writeback_ms = AN_HOUR};
    const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER};
    struct fixture *f = calloc(1, sizeof(*f));

    CHECK(f);
    inject_nothing();
    scratch_open(&f->scratch);
    CHECK(twostate_engine_create(&options, &f->engine) == 0);
    CHECK(twostate_file_open_with(f->engine, f->scratch.path, O_RDWR, 0, &user, &f->file) == 0);
    *state = f;
    return 0;
}

static void write_all(struct fixture *f, char byte)
{
    char *data = memory_new(SIZE);

    memset(data, byte, SIZE);
    assert_int_equal(twostate_pwrite(f->file, data, SIZE, 0, 0), SIZE);
    free(data);
}

static bool is_all(const char *data, size_t from, size_t to, char byte)
{
    for (size_t i = from; i < to; i++)
        if (data[i] != byte)
            return false;
    return true;
}

/* All of the file holds the byte, but for a hole. */
static void check_data(const char *data, size_t from, size_t to, char byte)
{
    assert_true(is_all(data, 0, from, byte));
    assert_true(is_all(data, from, to, 0));
    assert_true(is_all(data, to, SIZE, byte));
}

static void check_file(struct fixture *f, size_t from, size_t to, char byte)
{
    char *data = memory_new(SIZE + 1);

    assert_int_equal(twostate_pread(f->file, data, SIZE + 1, 0, 0), SIZE);
    check_data(data, from, to, byte);
    free(data);
}

/* The same of what is on disk. */
static void check_disk(struct fixture *f, size_t from, size_t to, char byte)
{
    const size_t rounded = ((size_t)SIZE + 4095) / 4096 * 4096;
    char *data = memory_new(rounded);
    struct stat st;

    assert_int_equal(twostate_fsync(f->file), 0);
    CHECK(fstat(f->scratch.fd, &st) == 0);
    assert_int_equal(st.st_size, SIZE);
    CHECK(pread(f->scratch.fd, data, rounded, 0) == SIZE);
    check_data(data, from, to, byte);
    free(data);
}

static const struct {
    size_t from;
    size_t to;
} holes[] = {
    {5000, 100000}, {4096, 8192},   {4096, 8191}, {100, 200},     {16384, 32768},
    {12288, 40960}, {190000, SIZE}, {0, SIZE},    {196608, SIZE}, {0, 1},
};

#define HOLES (sizeof(holes) / sizeof(holes[0]))

/* Whatever is dirty: all, nothing, or what can't be written for want of space. */
static void without_space(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3 * HOLES; i++) {
        const size_t from = holes[i / 3].from;
        const size_t to = holes[i / 3].to;
        /* It may reach beyond the end. */
        const int64_t beyond = to == SIZE ? (int64_t)(i % 2) * 100000 : 0;

        inject_nothing();
        assert_int_equal(twostate_truncate(f->file, 0), 0);
        write_all(f, (char)(i + 1));
        if (i % 3 == 1)
            assert_int_equal(twostate_fsync(f->file), 0);
        else if (i % 3 == 2)
            inject_error(CALL_WRITE, 1, UINT32_MAX, ENOSPC);
        assert_int_equal(
            twostate_fallocate(f->file, HOLE, (int64_t)from, (int64_t)(to - from) + beyond), 0);
        check_file(f, from, to, (char)(i + 1));
        if (i % 3 == 2 && to - from < SIZE)
            assert_int_equal(twostate_fsync(f->file), -ENOSPC);
        inject_nothing();
        check_disk(f, from, to, (char)(i + 1));
        check_file(f, from, to, (char)(i + 1));
    }
}

/*
 * Nothing has been written back: the file on disk was empty. It is as long as the hole needs it now, and no
 * longer: after a power cut it would end with zeroes that nobody wrote.
 */
static void read_from_the_disk(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    for (size_t i = 0; i < HOLES; i++) {
        const int64_t from = (int64_t)holes[i].from;
        const int64_t to = (int64_t)holes[i].to;
        const size_t rest = (size_t)(SIZE - from);
        char *data = memory_new(SIZE);

        assert_int_equal(twostate_truncate(f->file, 0), 0);
        write_all(f, 1);
        assert_int_equal(twostate_fallocate(f->file, HOLE, from, to - from), 0);
        CHECK(fstat(f->scratch.fd, &st) == 0);
        assert_int_equal(st.st_size, to);
        assert_int_equal(twostate_pread(f->file, data, SIZE, from, TWOSTATE_IO_DIRECT), rest);
        assert_true(is_all(data, 0, (size_t)(to - from), 0));
        assert_true(is_all(data, (size_t)(to - from), rest, 1));
        free(data);
        check_disk(f, holes[i].from, holes[i].to, 1);
    }
}

static void read_where_only_the_hole_is(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(4096);

    write_all(f, 1);
    assert_int_equal(twostate_fallocate(f->file, HOLE, 0, 131072), 0);
    memset(data, 1, 4096);
    assert_int_equal(twostate_pread(f->file, data, 4096, 8192, TWOSTATE_IO_DIRECT), 4096);
    assert_true(is_all(data, 0, 4096, 0));
    free(data);
}

/* The file on disk is as long as it is to become, by chance: what is dirty beyond that stays, too. */
static void refused_truncate(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(8192);

    memset(data, 1, 8192);
    assert_int_equal(twostate_pwrite(f->file, data, 4096, 0, 0), 4096);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(twostate_pwrite(f->file, data, 4096, 4096, 0), 4096);
    inject_error(CALL_TRUNCATE, 1, 1, EPERM);
    assert_int_equal(twostate_truncate(f->file, 4096), -EPERM);
    inject_nothing();
    memset(data, 0, 8192);
    assert_int_equal(twostate_pread(f->file, data, 8192, 0, 0), 8192);
    assert_true(is_all(data, 0, 8192, 1));
    free(data);
}

/* A file system that makes no holes: nothing has happened to what was written. */
static void refused(void **state)
{
    struct fixture *f = *state;

    write_all(f, 1);
    inject_error(CALL_FALLOCATE, 1, 1, EOPNOTSUPP);
    assert_int_equal(twostate_fallocate(f->file, HOLE, 5000, 100000), -EOPNOTSUPP);
    inject_nothing();
    check_file(f, 0, 0, 1);
    check_disk(f, 0, 0, 1);
}

struct call {
    struct task task;
    struct fixture *f;
    size_t from;
    size_t to;
    int result;
};

static void sync_file(void *argument)
{
    struct call *call = argument;

    call->result = twostate_fsync(call->f->file);
}

static void punch(void *argument)
{
    struct call *call = argument;

    call->result = twostate_fallocate(call->f->file, HOLE, (int64_t)call->from,
                                      (int64_t)(call->to - call->from));
}

/* What was on its way to the disk before is not in the hole afterwards. */
static void beside_write_back(void **state)
{
    struct fixture *f = *state;
    struct call sync = {.f = f};

    write_all(f, 0);
    assert_int_equal(twostate_fsync(f->file), 0); /* the file is as long as it will be */
    for (size_t i = 0; i < 8; i++) {
        struct call hole = {.f = f, .from = holes[i % 4].from, .to = holes[i % 4].to};

        write_all(f, (char)(i + 1));
        inject_pause(CALL_WRITE);
        task_start(&sync.task, sync_file, &sync);
        AWAIT(inject_paused(CALL_WRITE));
        const uint32_t before = inject_count(CALL_FALLOCATE);

        task_start(&hole.task, punch, &hole);
        AWAIT(inject_count(CALL_FALLOCATE) > before);
        inject_resume(CALL_WRITE);
        task_join(&sync.task);
        task_join(&hole.task);
        assert_int_equal(sync.result, 0);
        assert_int_equal(hole.result, 0);
        check_file(f, hole.from, hole.to, (char)(i + 1));
        check_disk(f, hole.from, hole.to, (char)(i + 1));
    }
}

/* What is on its way to the disk has been copied, and leaves as soon as it may. */
static bool is_leaving(struct twostate_file *file)
{
    struct user_cache *cache = caa_container_of(file->cache, struct user_cache, cache);
    const struct folio *folio = index_find_(&cache->index, 0);

    return folio && load(&folio->dirty) >> 16;
}

/* The end of file, which is written by itself, is on its way like all else. */
static void end_on_its_way(void **state)
{
    struct fixture *f = *state;
    struct user_cache *cache = caa_container_of(f->file->cache, struct user_cache, cache);
    struct call sync = {.f = f};
    unsigned on_way = 0;

    assert_int_equal(twostate_pwrite(f->file, "end", 3, 0, 0), 3);
    inject_pause(CALL_WRITE);
    task_start(&sync.task, sync_file, &sync);
    AWAIT(inject_paused(CALL_WRITE));
    pthread_mutex_lock(&cache->unwritten);
    on_way = cache->on_way;
    pthread_mutex_unlock(&cache->unwritten);
    inject_resume(CALL_WRITE);
    task_join(&sync.task);
    assert_int_equal(on_way, 1);
    assert_int_equal(cache->on_way, 0);
}

static void truncate_file(void *argument)
{
    struct call *call = argument;

    call->result = twostate_truncate(call->f->file, (int64_t)call->to);
}

/* A truncate that says that it failed, and has happened: write-back doesn't make the file longer again. */
static void late_error_beside_write_back(void **state)
{
    struct fixture *f = *state;
    struct call truncate = {.f = f, .to = 3050};
    struct call sync = {.f = f};
    struct twostate_file_stat there;
    struct stat st;

    write_all(f, 1);
    inject_fault(CALL_TRUNCATE, FAULT_LATE_ERROR, 1, 1, EIO);
    inject_pause(CALL_TRUNCATE);
    task_start(&truncate.task, truncate_file, &truncate);
    AWAIT(inject_paused(CALL_TRUNCATE));
    task_start(&sync.task, sync_file, &sync);
    AWAIT(is_leaving(f->file));
    inject_resume(CALL_TRUNCATE);
    task_join(&truncate.task);
    task_join(&sync.task);
    assert_int_equal(truncate.result, -EIO);
    assert_int_equal(sync.result, 0);
    CHECK(twostate_stat(f->file, &there) == 0 && fstat(f->scratch.fd, &st) == 0);
    assert_int_equal(there.size, 3050);
    assert_int_equal(st.st_size, 3050);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        TEST(without_space),
        TEST(read_from_the_disk),
        TEST(read_where_only_the_hole_is),
        TEST(refused_truncate),
        TEST(refused),
        TEST(beside_write_back),
        TEST(end_on_its_way),
        TEST(late_error_beside_write_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
