/* SPDX-License-Identifier: MIT */
/* What an engine that is served says of its files. */
#include "visit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <twostate/stats.h>

/* What the file is, and where. */
static void identity(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    struct stat st;

    assert_int_equal(twostate_pwrite(f->file, "hello", 5, 0, 0), 5);
    assert_int_equal(fstat(f->scratch.fd, &st), 0);
    json_t *state = state_of(fd);

    assert_int_equal(json_integer_value(json_object_get(state, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(state, "backend")),
                        twostate_engine_backend(f->engine) == TWOSTATE_BACKEND_URING ? "io_uring"
                                                                                     : "threads");
    assert_int_equal(json_integer_value(json_object_get(state, "files_open")), 1);
    assert_int_equal(json_array_size(json_object_get(state, "files")), 1);
    assert_int_equal(json_integer_value(at(state, 0, "inode")), st.st_ino);
    assert_int_equal(json_integer_value(at(state, 0, "major")), major(st.st_dev));
    assert_int_equal(json_integer_value(at(state, 0, "minor")), minor(st.st_dev));
    assert_int_equal(json_integer_value(at(state, 0, "size")), 5);
    assert_string_equal(json_string_value(at(state, 0, "cache")), "kernel");
    assert_int_equal(json_array_size(json_object_get(json_object_get(state, "stats"), "classes")),
                     0);
    json_decref(state);
    close(fd);
}

static void check_mode(struct fixture *f, int fd, enum twostate_iopath path, const char *mode,
                       const char *iolock)
{
    struct twostate_hold hold;

    twostate_iopair_begin(&f->file->pair, path, &hold);
    check_text(fd, "mode", mode);
    check_text(fd, "iolock.mode", iolock);
    assert_int_equal(number_now(fd, "iotype.holders"), 1);
    assert_int_equal(number_now(fd, "iolock.holders"), 1);
    twostate_iopair_end(&hold);
}

static void modes(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    check_text(fd, "mode", "unlocked");
    check_text(fd, "iolock.mode", "unlocked");
    check_mode(f, fd, TWOSTATE_BUFFERED_READ, "BUFFERED", "shared");
    check_mode(f, fd, TWOSTATE_DIRECT, "DIRECT", "shared");
    check_mode(f, fd, TWOSTATE_UNALIGNED, "BUFFERED", "exclusive");
    twostate_lock_freeze(&f->file->pair.iotype_);
    check_text(fd, "mode", "frozen");
    twostate_lock_thaw(&f->file->pair.iotype_);
    close(fd);
}

/* A request that waits is seen waiting, and then counted. */
struct waiting_call {
    struct fixture *f;
    int (*call)(struct fixture *f);
};

static int read_direct(struct fixture *f)
{
    char *block = memory_new(4096);
    const int result = (int)twostate_pread(f->file, block, 4096, 0, TWOSTATE_IO_DIRECT);

    free(block);
    return result;
}

static int read_buffered(struct fixture *f)
{
    char byte;

    return (int)twostate_pread(f->file, &byte, 1, 0, 0);
}

static int truncate_it(struct fixture *f)
{
    return twostate_truncate(f->file, 0);
}

static void *make_call(void *arg)
{
    struct waiting_call *waiting = arg;

    CHECK(waiting->call(waiting->f) == 0);
    return NULL;
}

static void check_wait(struct fixture *f, int fd, enum twostate_iopath held,
                       int (*call)(struct fixture *f), const char *waiting, const char *kind)
{
    struct waiting_call waiter = {.f = f, .call = call};
    struct twostate_hold hold;
    char path[64];
    pthread_t thread;

    (void)snprintf(path, sizeof(path), "waits.%s.count", kind);
    const int64_t before = number_now(fd, path);

    twostate_iopair_begin(&f->file->pair, held, &hold);
    CHECK(pthread_create(&thread, NULL, make_call, &waiter) == 0);
    while (number_now(fd, waiting) != 1)
        ;
    assert_int_equal(number_now(fd, "requests"), 1);
    assert_int_equal(number_now(fd, path), before);
    twostate_iopair_end(&hold);
    CHECK(pthread_join(thread, NULL) == 0);
    assert_int_equal(number_now(fd, path), before + 1);
    assert_int_equal(number_now(fd, waiting), 0);
    assert_int_equal(number_now(fd, "requests"), 0);
    (void)snprintf(path, sizeof(path), "waits.%s.max_ns", kind);
    const int64_t max = number_now(fd, path);

    assert_true(max > 0);
    (void)snprintf(path, sizeof(path), "waits.%s.p99_ns", kind);
    assert_in_range(number_now(fd, path), 1, max);
    (void)snprintf(path, sizeof(path), "waits.%s.total_ns", kind);
    assert_true(number_now(fd, path) >= max);
}

static void waits(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    if (f->file->direct_fd >= 0)
        check_wait(f, fd, TWOSTATE_BUFFERED_READ, read_direct, "iotype.waiting.direct", "direct");
    check_wait(f, fd, TWOSTATE_DIRECT, read_buffered, "iotype.waiting.buffered", "buffered");
    check_wait(f, fd, TWOSTATE_BUFFERED_READ, truncate_it, "iolock.waiting.exclusive", "exclusive");
    check_wait(f, fd, TWOSTATE_EXCLUSIVE_IO, read_buffered, "iolock.waiting.shared", "buffered");
    close(fd);
}

/* An asynchronous request waits without a thread, and is seen all the same. */
static void async_waits(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    char *block = memory_new(4096);
    const struct iovec iov = {block, 4096};
    struct pending pending = {0};
    struct twostate_hold hold;

    if (f->file->direct_fd < 0)
        skip();
    twostate_iopair_begin(&f->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    assert_int_equal(
        twostate_preadv_async(f->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, &pending), 0);
    while (number_now(fd, "iotype.waiting.direct") != 1)
        ;
    json_t *state = state_of(fd);

    assert_int_equal(json_integer_value(json_object_get(state, "requests")), 1);
    json_decref(state);
    twostate_iopair_end(&hold);
    assert_int_equal(pending_wait(&pending), 0);
    assert_int_equal(number_now(fd, "waits.direct.count"), 1);
    close(fd);
    free(block);
}

/* The engine's own hold is no holder: those are the requests that are in by it. */
static void lease(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    char byte;

    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(twostate_pread(f->file, &byte, 1, 0, 0), 0);
    json_t *state = state_of(fd);

    if (json_is_true(at(state, 0, "lease"))) {
        assert_string_equal(json_string_value(at(state, 0, "mode")), "BUFFERED");
        assert_int_equal(json_integer_value(at(state, 0, "iotype.holders")), 0);
        assert_int_equal(json_integer_value(at(state, 0, "requests")), 0);
        assert_true(file_enter_leased_(f->file));
        assert_int_equal(number_now(fd, "leased"), 1);
        assert_int_equal(number_now(fd, "requests"), 1);
        assert_int_equal(number_now(fd, "iotype.holders"), 1);
        assert_int_equal(number_now(fd, "iolock.holders"), 1);
        lease_exit_(&f->file->lease);
        assert_int_equal(number_now(fd, "leased"), 0);
    } else {
        print_message("NOT TESTED: no lease here (no membarrier)\n");
    }
    json_decref(state);
    close(fd);
}

/* A path may have any byte but zero. */
static void odd_path(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    struct twostate_file *file = NULL;
    static const char odd[] = "odd \"\\\n\x1b\xc3\xa9\xc3(\xed\xa0\x80\xf5";
    static const char told[] = "odd \"\\\n\x1b\xc3\xa9\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
                               "\xbd\xef\xbf\xbd";
    const int made = open(odd, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (made < 0) { /* not on this file system */
        close(fd);
        skip();
    }
    CHECK(twostate_file_open(f->engine, odd, O_RDWR, 0, &file) == 0);
    json_t *state = state_of(fd);
    const char *path = json_string_value(at(state, 1, "path"));

    assert_string_equal(strrchr(path, '/') + 1, told);
    json_decref(state);
    assert_int_equal(unlink(odd), 0);
    assert_int_equal(twostate_file_close(file), 0);
    close(made);
    close(fd);
}

static void user_cache(void **context)
{
    struct fixture *f = *context;
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER};
    const int fd = visit(usual_name(1));
    struct twostate_file *file = NULL;
    struct scratch scratch;

    scratch_open(&scratch);
    const int error = twostate_file_open_with(f->engine, scratch.path, O_RDWR, 0, &options, &file);

    if (error == 0) {
        assert_int_equal(twostate_pwrite(file, "hello", 5, 0, 0), 5);
        json_t *state = state_of(fd);

        assert_string_equal(json_string_value(at(state, 1, "cache")), "user");
        assert_int_equal(json_integer_value(at(state, 1, "size")), 5);
        assert_true(json_integer_value(json_object_get(state, "cache_limit")) > 0);
        assert_true(json_integer_value(json_object_get(state, "cache_dirty")) > 0);
        json_decref(state);
        assert_int_equal(twostate_file_close(file), 0);
    } else {
        assert_int_equal(error, -EOPNOTSUPP);
    }
    scratch_close(&scratch);
    close(fd);
}

static bool has_class(json_t *state, const char *name)
{
    json_t *classes = json_object_get(json_object_get(state, "stats"), "classes");
    json_t *cls = NULL;
    size_t i = 0;

    json_array_foreach(classes, i, cls) if (strcmp(json_string_value(json_object_get(cls, "name")),
                                                   name) == 0) return true;
    return false;
}

/* The last test, as they stay on. The engine's locks are told apart by their classes. */
static void statistics(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    twostate_stats_enable();
    struct twostate_file *file = file_new(f->engine, &f->scratch, O_RDWR);

    assert_int_equal(twostate_pwrite(file, "x", 1, 0, 0), 1);
    json_t *state = state_of(fd);

    assert_true(has_class(state, "users"));
    assert_true(has_class(state, "range"));
    assert_true(has_class(state, "IOLOCK"));
    assert_true(has_class(state, "IOTYPE"));
    assert_false(has_class(state, "iolock"));
    json_decref(state);
    assert_int_equal(twostate_file_close(file), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED_TEST(identity),    SERVED_TEST(modes), SERVED_TEST(waits),
        SERVED_TEST(async_waits), SERVED_TEST(lease), SERVED_TEST(odd_path),
        SERVED_TEST(user_cache),
    };
    const struct CMUnitTest last[] = {SERVED_TEST(statistics)};
    const int failed = RUN_WITH_BACKENDS(tests);

    return failed + cmocka_run_group_tests_name("statistics", last, NULL, NULL);
}
