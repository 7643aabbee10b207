/* SPDX-License-Identifier: MIT */
/* The user cache: what is its own affair, and what the kernel's does not have. */
#include "common.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu/compiler.h>

#define BUDGET  (4 * MIB)
#define DIRECT  TWOSTATE_IO_DIRECT
#define NOWAIT  TWOSTATE_IO_NOWAIT
#define AN_HOUR 3600000

static const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER};
static const struct twostate_file_options kernel = {.cache = TWOSTATE_CACHE_KERNEL};

static struct twostate_engine *small_engine(unsigned dirty_percent)
{
    const struct twostate_engine_options options = {
        .cache_bytes = BUDGET, .dirty_percent = dirty_percent, .writeback_ms = AN_HOUR};
    struct twostate_engine *engine = NULL;

    CHECK(twostate_engine_create(&options, &engine) == 0);
    return engine;
}

static struct twostate_file *open_user(struct fixture *f, unsigned folio)
{
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER, .folio = folio};
    struct twostate_file *file = NULL;

    CHECK(twostate_file_open_with(f->engine, f->scratch.path, O_RDWR, 0, &options, &file) == 0);
    return file;
}

static int enter(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    CHECK(f);
    inject_nothing();
    scratch_open(&f->scratch);
    f->engine = small_engine(90);
    f->file = open_user(f, 0);
    *state = f;
    return 0;
}

static struct twostate_engine_info info_of(struct fixture *f)
{
    struct twostate_engine_info info;

    CHECK(twostate_engine_query(f->engine, &info) == 0);
    return info;
}

static int64_t disk_size(const struct fixture *f)
{
    struct stat st;

    CHECK(fstat(f->scratch.fd, &st) == 0);
    return st.st_size;
}

static int open_again(struct fixture *f, int flags, const struct twostate_file_options *options)
{
    struct twostate_file *file = NULL;
    const int result =
        twostate_file_open_with(f->engine, f->scratch.path, flags, 0, options, &file);

    if (result == 0)
        CHECK(twostate_file_close(file) == 0);
    return result;
}

static void close_own(struct fixture *f)
{
    CHECK(twostate_file_close(f->file) == 0);
    f->file = NULL;
}

static void alone_with_its_file(void **state)
{
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC};
    struct fixture *f = *state;
    struct twostate_file *shared = NULL;

    assert_int_equal(twostate_pwrite(f->file, "abc", 3, 0, 0), 3);
    assert_int_equal(twostate_fsync(f->file), 0);
    for (size_t i = 0; i < sizeof(access) / sizeof(access[0]); i++)
        assert_int_equal(open_again(f, access[i], &kernel), -EBUSY);
    assert_int_equal(open_again(f, O_RDWR, &user), -EBUSY);
    assert_int_equal(disk_size(f), 3);

    close_own(f);
    CHECK(twostate_file_open(f->engine, f->scratch.path, O_RDONLY, 0, &shared) == 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(open_again(f, access[i], &kernel), 0);
    assert_int_equal(open_again(f, O_RDWR, &user), -EBUSY);
    assert_int_equal(twostate_file_close(shared), 0);
    CHECK(twostate_file_open(f->engine, f->scratch.path, O_WRONLY, 0, &shared) == 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(open_again(f, access[i], &kernel), 0);
    assert_int_equal(open_again(f, O_RDWR, &user), -EBUSY);
    assert_int_equal(twostate_file_close(shared), 0);
    assert_int_equal(open_again(f, O_RDWR | O_TRUNC, &user), 0);
    assert_int_equal(disk_size(f), 0);
}

static void options_are_checked(void **state)
{
    static const unsigned bad[] = {1, 2048, 4097, 12288, 131072};
    struct twostate_file_options options = user;
    struct fixture *f = *state;

    close_own(f);
    assert_int_equal(open_again(f, O_RDONLY, &user), -EINVAL);
    assert_int_equal(open_again(f, O_WRONLY, &user), -EINVAL);
    assert_int_equal(open_again(f, O_RDWR, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.folio = bad[i];
        assert_int_equal(open_again(f, O_RDWR, &options), -EINVAL);
    }
    for (options.folio = 4096; options.folio <= 65536; options.folio *= 2)
        assert_int_equal(open_again(f, O_RDWR, &options), 0);
    options.cache = (enum twostate_cache)2;
    assert_int_equal(open_again(f, O_RDWR, &options), -EINVAL);
}

/* The file on disk is as long as what was written to it, to the byte. */
static void size_on_disk(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(3 * MIB / 2);

    memset(data, 7, 3 * MIB / 2);
    assert_int_equal(twostate_pwrite(f->file, data, 5000, 0, 0), 5000);
    assert_int_equal(disk_size(f), 0);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(disk_size(f), 5000);
    assert_int_equal(twostate_pwrite(f->file, data, 1, 100000, 0), 1);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(disk_size(f), 100001);
    assert_int_equal(twostate_pwrite(f->file, data, 3 * MIB / 2, 100001, 0), 3 * MIB / 2);
    assert_int_equal(twostate_truncate(f->file, 3333), 0);
    assert_int_equal(disk_size(f), 3333);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(disk_size(f), 3333);
    assert_int_equal(info_of(f).cache_dirty, 0);
    free(data);
}

/* pitfall E12: a buffer that was written is the caller's again, whatever is still in flight of it. */
static void buffer_changes_after_the_write(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(MIB);
    char *disk = memory_new(MIB);

    for (int i = 1; i < 20; i++) {
        memset(data, i, MIB);
        assert_int_equal(twostate_pwrite(f->file, data, MIB, 0, 0), MIB);
        memset(data, 255, MIB);
        assert_int_equal(twostate_fsync(f->file), 0);
        disk_read(&f->scratch, disk, MIB, 0);
        assert_true(disk[0] == i && memcmp(disk, disk + 1, MIB - 1) == 0);
    }
    free(disk);
    free(data);
}

/* pitfall E02: what is written back for some dirty bytes does not go over newer direct data. */
static void dirty_bytes_beside_direct_data(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(16384);
    char *disk = memory_new(1024);

    memset(data, 1, 16384);
    assert_int_equal(twostate_pwrite(f->file, data, 16384, 0, 0), 16384);
    for (int i = 2; i < 30; i++) {
        memset(data, i, 8192);
        assert_int_equal(twostate_pwrite(f->file, data, 64, 0, 0), 64);
        assert_int_equal(twostate_pwrite(f->file, data, 512, 512, DIRECT), 512);
        assert_int_equal(twostate_pwrite(f->file, data, 64, 4096, 0), 64);
        assert_int_equal(twostate_pwrite(f->file, data, 4096, 8192, DIRECT), 4096);
        if (i % 2)
            assert_int_equal(twostate_fsync(f->file), 0);
        assert_int_equal(twostate_pwrite(f->file, data, 64, 64, 0), 64);
        assert_int_equal(twostate_fsync(f->file), 0);
        disk_read(&f->scratch, disk, 1024, 0);
        assert_true(disk[0] == i && disk[64] == i && disk[128] == 1);
        assert_true(disk[512] == i && disk[1023] == i);
        disk_read(&f->scratch, disk, 1024, 8192);
        assert_true(disk[0] == i && disk[1023] == i);
    }
    free(disk);
    free(data);
}

/* What a direct write covers is not written back first; what it covers in part is. */
static void direct_write_over_dirty_blocks(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(32768);
    char *disk = memory_new(32768);

    memset(data, 1, 32768);
    assert_int_equal(twostate_pwrite(f->file, data, 32768, 0, 0), 32768);
    assert_int_equal(twostate_fsync(f->file), 0);
    for (int i = 2; i < 20; i++) {
        struct pending pending = {0};
        const uint64_t before = info_of(f).written_back;

        memset(data, i, 32768);
        assert_int_equal(twostate_pwrite(f->file, data, 32768, 0, 0), 32768);
        memset(data, i + 100, 20480);
        if (i % 2)
            assert_int_equal(twostate_pwrite(f->file, data, 20480, 4096, DIRECT), 20480);
        else
            CHECK(twostate_pwritev_async(f->file, &(struct iovec){data, 20480}, 1, 4096, DIRECT,
                                         pending_done, &pending) == 0 &&
                  pending_wait(&pending) == 20480);
        assert_int_equal(info_of(f).written_back, before);
        assert_int_equal(twostate_pread(f->file, disk, 32768, 0, 0), 32768);
        assert_true(disk[4095] == i && disk[24576] == i && disk[32767] == i);
        assert_true(disk[4096] == (char)(i + 100) && disk[24575] == (char)(i + 100));
        memset(data, i + 50, 512);
        assert_int_equal(twostate_pwrite(f->file, data, 512, 512, DIRECT), 512);
        assert_int_equal(info_of(f).written_back, before + 4096);
        assert_int_equal(twostate_fsync(f->file), 0);
        disk_read(&f->scratch, disk, 32768, 0);
        assert_true(disk[0] == i && disk[512] == (char)(i + 50) && disk[1024] == i);
        assert_true(disk[4096] == (char)(i + 100) && disk[24575] == (char)(i + 100));
        assert_true(disk[24576] == i && disk[32767] == i);
    }
    free(disk);
    free(data);
}

#define MUCH 327680 /* several batches, and less than the flusher waits for */

struct syncing {
    struct twostate_file *file;
    int result;
};

static void sync_it(void *arg)
{
    struct syncing *syncing = arg;

    syncing->result = twostate_fsync(syncing->file);
}

/* Nothing is written behind the last block on disk before that block is whole there. */
static void end_goes_first(void **state)
{
    struct fixture *f = *state;
    struct syncing syncing = {.file = f->file};
    struct task task;
    char *data = memory_new(MUCH);

    assert_int_equal(twostate_pwrite(f->file, data, 100, 0, 0), 100);
    assert_int_equal(twostate_fsync(f->file), 0);
    assert_int_equal(disk_size(f), 100);
    for (int64_t at = 100; at < (int64_t)MUCH; at += 65536)
        assert_int_equal(twostate_pwrite(f->file, data, 65536, at, 0), 65536);
    inject_pause(CALL_WRITE);
    task_start(&task, sync_it, &syncing);
    AWAIT(inject_paused(CALL_WRITE));
    const int64_t size = disk_size(f);
    const uint64_t written = info_of(f).written_back;

    inject_resume(CALL_WRITE);
    assert_int_equal(size, 100);
    assert_int_equal(written, 0);
    task_join(&task);
    assert_int_equal(syncing.result, 0);
    assert_int_equal(disk_size(f), 100 + (int64_t)MUCH);
    free(data);
}

/* What lies before the place that is asked about is nobody's business. */
static void seek_writes_what_follows(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(4096);

    assert_int_equal(twostate_truncate(f->file, (int64_t)(4 * MIB)), 0);
    assert_int_equal(twostate_pwrite(f->file, data, 4096, 0, 0), 4096);
    assert_int_equal(twostate_pwrite(f->file, data, 4096, (int64_t)MIB, 0), 4096);
    assert_int_equal(twostate_pwrite(f->file, data, 4096, (int64_t)(3 * MIB), 0), 4096);
    assert_int_equal(twostate_seek(f->file, (int64_t)(2 * MIB), SEEK_DATA), 3 * MIB);
    assert_int_equal(info_of(f).written_back, 4096);
    assert_int_equal(twostate_seek(f->file, (int64_t)MIB + 5, SEEK_DATA), MIB + 5);
    assert_int_equal(info_of(f).written_back, 8192);
    assert_int_equal(twostate_seek(f->file, 0, SEEK_HOLE), 4096);
    assert_int_equal(info_of(f).written_back, 12288);
    free(data);
}

/* A direct write that ends inside a block, whose rest is newer in the cache. */
static void direct_write_cut_short(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(8192);
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit some = {4608, RLIM_INFINITY};

    if (f->file->direct_offset > 512) {
        free(data);
        skip();
    }
    signal(SIGXFSZ, SIG_IGN);
    for (int readable = 0; readable < 2; readable++) {
        memset(data, 1, 8192);
        assert_int_equal(twostate_pwrite(f->file, data, 8192, 0, 0), 8192);
        memset(data, 2, 8192);
        if (!readable)
            inject_error(CALL_READ, 1, 1, EIO);
        CHECK(setrlimit(RLIMIT_FSIZE, &some) == 0);
        assert_int_equal(twostate_pwrite(f->file, data, 8192, 0, DIRECT), readable ? 4608 : 4096);
        CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0);
        inject_nothing();
        assert_int_equal(twostate_fsync(f->file), 0);
        disk_read(&f->scratch, data, 8192, 0);
        assert_true(data[0] == 2 && data[4095] == 2 && data[4608] == 1 && data[8191] == 1);
        assert_int_equal(data[4096], readable ? 2 : 1);
    }
    signal(SIGXFSZ, SIG_DFL);
    free(data);
}

/* A direct read of what is dirty takes it from the cache; what is not all there, from the disk. */
static void direct_read_of_dirty_blocks(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(32768);
    uint64_t before = 0;

    memset(data, 1, 32768);
    assert_int_equal(twostate_pwrite(f->file, data, 20000, 0, 0), 20000);
    memset(data, 0, 32768);
    assert_int_equal(twostate_pread(f->file, data, 16384, 0, DIRECT), 16384);
    assert_true(data[0] == 1 && memcmp(data, data + 1, 16383) == 0);
    assert_int_equal(twostate_pread(f->file, data, 16384, 8192, DIRECT), 20000 - 8192);
    assert_int_equal(twostate_pread(f->file, data, 300, 19900, DIRECT), 100);
    assert_true(data[0] == 1 && data[99] == 1);
    assert_int_equal(info_of(f).written_back, 0);
    assert_int_equal(disk_size(f), 0);

    assert_int_equal(twostate_truncate(f->file, 65536), 0);
    before = info_of(f).written_back;
    assert_int_equal(twostate_pread(f->file, data, 32768, 12288, DIRECT), 32768);
    assert_true(info_of(f).written_back > before);
    assert_true(data[0] == 1 && data[20000 - 12288 - 1] == 1 && data[20000 - 12288] == 0);
    free(data);
}

/* pitfall E03: nothing is read ahead into the cache while a direct request has the file. */
static void no_readahead_beside_direct(void **state)
{
    struct fixture *f = *state;
    struct twostate_hold hold;

    assert_int_equal(twostate_truncate(f->file, MIB), 0);
    lease_call_in_(&f->file->lease);
    twostate_iopair_begin(&f->file->pair, TWOSTATE_DIRECT, &hold);
    assert_true(readahead_start_(f->file, 0, MIB));
    AWAIT(__atomic_load_n(&f->file->ahead.busy, __ATOMIC_ACQUIRE) == 0);
    assert_int_equal(info_of(f).cache_used, 0);
    twostate_iopair_end(&hold);
    lease_allow_(&f->file->lease);
    assert_true(readahead_start_(f->file, 0, MIB));
    AWAIT(__atomic_load_n(&f->file->ahead.busy, __ATOMIC_ACQUIRE) == 0);
    assert_int_equal(info_of(f).cache_used, MIB);
}

/* pitfall E11: a durable write that needed metadata is flushed with it: a sync, not only FUA. */
static void durable_write_syncs(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(MIB);
    char *disk = memory_new(512);

    memset(data, 3, MIB);
    for (int i = 0; i < 4; i++) {
        const uint32_t before = inject_count(CALL_SYNC);

        assert_int_equal(twostate_pwrite(f->file, data, 5000, (int64_t)i * 5000, TWOSTATE_IO_DSYNC),
                         5000);
        assert_true(inject_count(CALL_SYNC) > before);
        assert_int_equal(disk_size(f), (i + 1) * 5000);
        disk_read(&f->scratch, disk, 512, 0);
        assert_int_equal(disk[511], 3);
    }
    free(disk);
    free(data);
}

struct crowd {
    struct task task;
    struct fixture *f;
    int number;
};

static void write_and_read_much(void *arg)
{
    const struct crowd *c = arg;
    char *data = memory_new(MIB);

    for (int i = 0; i < 24; i++) {
        const int64_t at = (int64_t)((i * 7 + c->number * 3) % 12) * (int64_t)MIB / 2 + i;

        memset(data, c->number + 1, MIB);
        CHECK(twostate_pwrite(c->f->file, data, MIB, at, 0) == (ssize_t)MIB);
        CHECK(twostate_pread(c->f->file, data, MIB, at, 0) == (ssize_t)MIB);
    }
    free(data);
}

/* pitfall E15: more requests than there is memory for, each of which needs a quarter of it. */
static void more_requests_than_memory(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd[6];

    for (unsigned folio = 4096; folio <= 65536; folio *= 4) {
        close_own(f);
        f->file = open_user(f, folio);
        for (int i = 0; i < 6; i++) {
            crowd[i] = (struct crowd){.f = f, .number = i};
            task_start(&crowd[i].task, write_and_read_much, &crowd[i]);
        }
        for (int i = 0; i < 6; i++)
            task_join(&crowd[i].task);
        assert_true(info_of(f).cache_used <= BUDGET);
    }
}

static void no_more_dirty_than_may_be(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(MIB / 4);

    close_own(f);
    assert_int_equal(twostate_engine_destroy(f->engine), 0);
    f->engine = small_engine(10);
    f->file = open_user(f, 4096);
    memset(data, 1, MIB / 4);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(twostate_pwrite(f->file, data, MIB / 4, (int64_t)i * (int64_t)MIB / 4, 0),
                         MIB / 4);
        assert_true(info_of(f).cache_dirty <= BUDGET / 10 + MIB / 4);
    }
    free(data);
}

static void uncached_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char *data = memory_new(MIB);

    memset(data, 5, MIB);
    for (int64_t at = 0; at < 3; at++) {
        assert_int_equal(twostate_pwrite(f->file, data, MIB, at, TWOSTATE_IO_DONTCACHE), MIB);
        assert_int_equal(info_of(f).cache_used, 0);
        assert_int_equal(twostate_pread(f->file, data, MIB, at, TWOSTATE_IO_DONTCACHE), MIB);
        assert_int_equal(info_of(f).cache_used, 0);
    }
    assert_int_equal(data[MIB - 1], 5);
    /* What others had in the cache stays there. */
    assert_int_equal(twostate_pread(f->file, data, 100, 0, 0), 100);
    assert_true(info_of(f).cache_used > 0);
    assert_int_equal(twostate_pread(f->file, data, 100, 0, TWOSTATE_IO_DONTCACHE), 100);
    assert_true(info_of(f).cache_used > 0);
    free(data);
}

static void nowait_takes_what_is_there(void **state)
{
    struct fixture *f = *state;
    char data[100] = {1};

    assert_int_equal(twostate_truncate(f->file, MIB), 0);
    assert_int_equal(twostate_pread(f->file, data, 100, 0, NOWAIT), -EAGAIN);
    assert_int_equal(twostate_pwrite(f->file, data, 100, 0, NOWAIT), -EAGAIN);
    assert_int_equal(info_of(f).cache_used, 0);
    assert_int_equal(twostate_pread(f->file, data, 100, 0, 0), 100);
    assert_int_equal(twostate_pread(f->file, data, 100, 50, NOWAIT), 100);
    data[0] = 9;
    assert_int_equal(twostate_pwrite(f->file, data, 100, 50, NOWAIT), 100);
    assert_int_equal(twostate_pread(f->file, data, 1, 50, NOWAIT), 1);
    assert_int_equal(data[0], 9);
}

/* Durable, or far behind the end: that takes the disk's time. */
static void nowait_is_not_for_what_takes_time(void **state)
{
    struct fixture *f = *state;
    char data[100] = {1};

    assert_int_equal(twostate_pwrite(f->file, data, 100, 0, 0), 100);
    assert_int_equal(twostate_pwrite(f->file, data, 100, 0, NOWAIT), 100);
    data[0] = 2;
    assert_int_equal(twostate_pwrite(f->file, data, 100, 0, NOWAIT | TWOSTATE_IO_DSYNC), -EAGAIN);
    assert_int_equal(twostate_pwrite(f->file, data, 100, 200, NOWAIT), -EAGAIN);
    assert_int_equal(disk_size(f), 0);
    assert_int_equal(file_ask_size_(f->file), 100);
    assert_int_equal(twostate_pread(f->file, data, 100, 0, 0), 100);
    assert_int_equal(data[0], 1);
    assert_int_equal(twostate_pwrite(f->file, data, 100, 100, NOWAIT), 100);
}

static void with_threads(struct fixture *f)
{
    const struct twostate_engine_options options = {.backend = TWOSTATE_BACKEND_THREADS,
                                                    .cache_bytes = 4 * BUDGET,
                                                    .dirty_percent = 90,
                                                    .writeback_ms = AN_HOUR};

    close_own(f);
    assert_int_equal(twostate_engine_destroy(f->engine), 0);
    CHECK(twostate_engine_create(&options, &f->engine) == 0);
    f->file = open_user(f, 4096);
}

/* Not adjacent: each is a write of its own. */
static void write_folios(struct fixture *f, int folios)
{
    char *data = memory_new(4096);

    memset(data, 7, 4096);
    for (int64_t i = 0; i < folios; i++)
        assert_int_equal(twostate_pwrite(f->file, data, 4096, i * 8192, 0), 4096);
    free(data);
}

/* What can be written is, though something before it can't. */
static void one_bad_block_is_one(void **state)
{
    enum { FOLIOS = 700 };
    struct fixture *f = *state;
    char last = 0;

    with_threads(f);
    write_folios(f, FOLIOS);
    inject_error(CALL_WRITE, 1, 1, EIO);
    CHECK(twostate_file_close(f->file) == -EIO);
    f->file = NULL;
    inject_nothing();
    CHECK(pread(f->scratch.fd, &last, 1, (off_t)(FOLIOS - 1) * 8192) == 1);
    assert_int_equal(last, 7);
}

/* Whoever waits for less to be dirty hears of no error as long as it becomes less. */
static void nothing_written_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct user_cache *cache = NULL;

    with_threads(f);
    cache = caa_container_of(f->file->cache, struct user_cache, cache);
    write_folios(f, 8);
    inject_error(CALL_WRITE, 1, 1, EIO);
    assert_int_equal(writeback_some_(cache, INT64_MAX), 7 * 4096);
    inject_error(CALL_WRITE, 1, 1, EIO);
    assert_int_equal(writeback_some_(cache, INT64_MAX), -EIO);
    inject_nothing();
    assert_int_equal(writeback_some_(cache, INT64_MAX), 4096);
    assert_int_equal(writeback_some_(cache, INT64_MAX), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, fixture_leave)
    const struct CMUnitTest tests[] = {
        TEST(alone_with_its_file),
        TEST(options_are_checked),
        TEST(size_on_disk),
        TEST(buffer_changes_after_the_write),
        TEST(dirty_bytes_beside_direct_data),
        TEST(direct_write_over_dirty_blocks),
        TEST(end_goes_first),
        TEST(seek_writes_what_follows),
        TEST(direct_write_cut_short),
        TEST(direct_read_of_dirty_blocks),
        TEST(no_readahead_beside_direct),
        TEST(durable_write_syncs),
        TEST(more_requests_than_memory),
        TEST(no_more_dirty_than_may_be),
        TEST(uncached_leaves_nothing),
        TEST(nowait_takes_what_is_there),
        TEST(nowait_is_not_for_what_takes_time),
        TEST(one_bad_block_is_one),
        TEST(nothing_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
