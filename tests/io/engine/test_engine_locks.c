/* SPDX-License-Identifier: MIT */
/*
 * Which locks each call takes: with a path of the file's pair held, calls run or wait as the table
 * of iopair.h says. With NOWAIT, what would wait is refused and leaves no trace.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE   8192
#define NOWAIT TWOSTATE_IO_NOWAIT
#define PATHS  (TWOSTATE_EXCLUSIVE_IO + 1)

struct call {
    const char *name;
    bool write;
    unsigned flags;
    int64_t offset;
    size_t length;
    bool beside[PATHS]; /* runs while that path is held */
};

#define READ  TWOSTATE_BUFFERED_READ
#define WRITE TWOSTATE_BUFFERED_WRITE

static const struct call calls[] = {
    {"buffered read", false, 0, 10, 100, {[READ] = 1, [WRITE] = 1, [TWOSTATE_REMAP] = 1}},
    {"buffered write", true, 0, 10, 100, {[READ] = 1, [WRITE] = 1}},
    {"buffered append", true, TWOSTATE_IO_APPEND, 0, 100, {[READ] = 1, [WRITE] = 1}},
    {"direct read", false, TWOSTATE_IO_DIRECT, 4096, 4096, {[TWOSTATE_DIRECT] = 1}},
    {"unaligned direct read", false, TWOSTATE_IO_DIRECT, 5, 100, {[TWOSTATE_DIRECT] = 1}},
    {"direct write", true, TWOSTATE_IO_DIRECT, 4096, 4096, {[TWOSTATE_DIRECT] = 1}},
    {"unaligned direct write", true, TWOSTATE_IO_DIRECT, 5, 100, {0}},
    {"direct write past the end", true, TWOSTATE_IO_DIRECT, SIZE, 4096, {0}},
    {"direct append", true, TWOSTATE_IO_DIRECT | TWOSTATE_IO_APPEND, 0, 4096, {0}},
    {"large append", true, TWOSTATE_IO_APPEND, 0, TWOSTATE_IO_ATOMIC_MAX + 1, {0}},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static int64_t run(struct twostate_file *file, const struct call *c, char *buffer, unsigned more)
{
    return c->write ? twostate_pwrite(file, buffer, c->length, c->offset, c->flags | more)
                    : twostate_pread(file, buffer, c->length, c->offset, c->flags | more);
}

static void refuse_callback(void *arg, ssize_t result)
{
    const bool called_though_not_accepted = true;

    (void)arg, (void)result;
    CHECK(!called_though_not_accepted);
}

static int run_async(struct twostate_file *file, const struct call *c, char *buffer,
                     twostate_done *done, void *arg)
{
    const struct iovec iov = {buffer, c->length};

    return c->write ? twostate_pwritev_async(file, &iov, 1, c->offset, c->flags | NOWAIT, done, arg)
                    : twostate_preadv_async(file, &iov, 1, c->offset, c->flags | NOWAIT, done, arg);
}

/* What the file holds; its locks are held, so past the engine. */
static void expect_untouched(const struct fixture *f, const struct call *c,
                             enum twostate_iopath path)
{
    static char bytes[SIZE + 1];
    const int fd = f->file->fd;

    if (pread(fd, bytes, sizeof(bytes), 0) == SIZE && bytes[0] == 7 &&
        memcmp(bytes, bytes + 1, SIZE - 1) == 0)
        return;
    print_error("%s beside path %u left a trace\n", c->name, (unsigned)path);
    fail();
}

static void refused_without_a_trace(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(TWOSTATE_IO_ATOMIC_MAX + 4096);

    memset(buffer, 7, SIZE);
    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (size_t i = 0; i < CALLS; i++)
        for (enum twostate_iopath path = 0; path < PATHS; path++) {
            const struct call *c = &calls[i];
            struct twostate_hold hold;

            if (c->beside[path])
                continue;
            memset(buffer, 99, TWOSTATE_IO_ATOMIC_MAX + 4096);
            assert_true(twostate_iopair_try_begin(&f->file->pair, path, &hold));
            assert_int_equal(run(f->file, c, buffer, NOWAIT), -EAGAIN);
            assert_int_equal(run_async(f->file, c, buffer, refuse_callback, NULL), -EAGAIN);
            expect_untouched(f, c, path);
            assert_int_equal(buffer[0], 99);
            twostate_iopair_end(&hold);
            assert_true(file_is_free(f->file));
        }
    free(buffer);
}

/* What does not exclude the call neither refuses it, with NOWAIT, for a lock, nor makes it wait. */
static void runs_beside(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(TWOSTATE_IO_ATOMIC_MAX + 4096);

    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (size_t i = 0; i < CALLS; i++)
        for (enum twostate_iopath path = 0; path < PATHS; path++) {
            struct twostate_hold hold;

            if (!calls[i].beside[path])
                continue;
            assert_true(twostate_iopair_try_begin(&f->file->pair, path, &hold));
            assert_int_equal(run(f->file, &calls[i], buffer, 0), calls[i].length);
            assert_int_equal(twostate_waited_ns(), 0);
            twostate_iopair_end(&hold);
            assert_int_equal(twostate_truncate(f->file, SIZE), 0);
        }
    free(buffer);
}

struct waiting_call {
    struct task task;
    struct fixture *f;
    const struct call *call;
    char *buffer;
};

static void run_waiting(void *arg)
{
    struct waiting_call *w = arg;

    CHECK(run(w->f->file, w->call, w->buffer, 0) == (int64_t)w->call->length);
    CHECK(twostate_waited_ns() > 0);
}

static bool somebody_waits(const struct twostate_file *file)
{
    const struct twostate_iopair_info info = twostate_iopair_query(&file->pair);

    return info.iolock.waiting_shared || info.iolock.waiting_exclusive || info.iotype.waiting_a ||
           info.iotype.waiting_b || info.iotype.draining;
}

static void waits_for_the_others(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(TWOSTATE_IO_ATOMIC_MAX + 4096);

    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (size_t i = 0; i < CALLS; i++)
        for (enum twostate_iopath path = 0; path < PATHS; path++) {
            struct waiting_call w = {.f = f, .call = &calls[i], .buffer = buffer};
            struct twostate_hold hold;

            if (calls[i].beside[path])
                continue;
            assert_true(twostate_iopair_try_begin(&f->file->pair, path, &hold));
            task_start(&w.task, run_waiting, &w);
            AWAIT(somebody_waits(f->file));
            assert_false(task_done(&w.task));
            twostate_iopair_end(&hold);
            task_join(&w.task);
            assert_int_equal(twostate_truncate(f->file, SIZE), 0);
        }
    free(buffer);
}

/* Calls on the whole file wait for all that is in flight, but for a seek. */
static int64_t run_whole(struct twostate_file *file, int call)
{
    switch (call) {
    case 0:
        return twostate_truncate(file, SIZE);
    case 1:
        return twostate_fallocate(file, 0, 0, SIZE);
    case 2:
        return twostate_remap(file, 0, file, 4096, 4096) - 4096;
    default:
        return twostate_seek(file, 0, SEEK_DATA);
    }
}

struct whole {
    struct task task;
    struct twostate_file *file;
    int call;
};

static void run_whole_waiting(void *arg)
{
    struct whole *w = arg;

    CHECK(run_whole(w->file, w->call) == 0);
    CHECK(twostate_waited_ns() > 0);
}

static void whole_file(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(SIZE);

    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (int call = 0; call < 4; call++)
        for (enum twostate_iopath path = 0; path < PATHS; path++) {
            struct whole w = {.file = f->file, .call = call};
            struct twostate_hold hold;

            assert_true(twostate_iopair_try_begin(&f->file->pair, path, &hold));
            if (call == 3 && calls[0].beside[path]) {
                assert_int_equal(run_whole(f->file, call), 0);
                twostate_iopair_end(&hold);
                continue;
            }
            task_start(&w.task, run_whole_waiting, &w);
            AWAIT(task_done(&w.task) || somebody_waits(f->file));
            assert_false(task_done(&w.task));
            twostate_iopair_end(&hold);
            task_join(&w.task);
        }
    free(buffer);
}

/* Whoever writes where another reads waits in the cache; NOWAIT is refused there too. */
static void nowait_in_the_cache(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(twostate_pwrite(f->file, "abc", 3, 0, 0), 3);
    pthread_mutex_lock(&f->file->size_lock);
    assert_int_equal(twostate_pwrite(f->file, "x", 1, 3, NOWAIT), -EAGAIN);
    assert_int_equal(twostate_append(f->file, &(struct iovec){(char[]){1}, 1}, 1, NOWAIT, NULL),
                     -EAGAIN);
    pthread_mutex_unlock(&f->file->size_lock);
    assert_int_equal(file_size_(f->file), 3);
}

static uint32_t extended;

/* The linker puts it in place of the library's. */
void __real_twostate_iopair_extend_to_direct(struct twostate_hold *hold);
void __wrap_twostate_iopair_extend_to_direct(struct twostate_hold *hold);
void __wrap_twostate_iopair_extend_to_direct(struct twostate_hold *hold)
{
    add(&extended, 1);
    __real_twostate_iopair_extend_to_direct(hold);
}

/* What the size is must be asked again once the lock is held: the file was cut in between, and the
   write is one past its end. */
static void size_is_asked_again(void **state)
{
    static const struct call write = {"", true, TWOSTATE_IO_DIRECT, 4096, 4096, {0}};
    struct fixture *f = *state;
    struct waiting_call w = {.f = f, .call = &write, .buffer = memory_new(4096)};
    struct twostate_hold hold;

    store(&extended, 0);
    assert_int_equal(twostate_truncate(f->file, SIZE), 0);
    twostate_iopair_begin(&f->file->pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    task_start(&w.task, run_waiting, &w); /* takes it for one within the file */
    AWAIT(twostate_iopair_query(&f->file->pair).iolock.waiting_shared);
    assert_int_equal(f->file->cache->ops->truncate(f->file->cache, 100), 0);
    file_set_size_(f->file, 100);
    twostate_iopair_end(&hold);
    task_join(&w.task);
    assert_int_equal(load(&extended), 1);
    assert_int_equal(file_known_size_(f->file), SIZE);
    assert_int_equal(file_size_(f->file), SIZE);
    free(w.buffer);
}

/* pitfall E07: a request's flags are those of its call; another call's don't change it. */
static void flags_are_read_once(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(4096);
    const struct iovec iov = {buffer, 4096};
    struct pending direct = {0};
    struct pending buffered = {0};
    struct twostate_hold hold;

    assert_int_equal(twostate_truncate(f->file, SIZE), 0);
    twostate_iopair_begin(&f->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    assert_int_equal(
        twostate_preadv_async(f->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, &direct), 0);
    AWAIT(twostate_iopair_query(&f->file->pair).iotype.waiting_b);
    assert_int_equal(twostate_preadv_async(f->file, &iov, 1, 0, 0, pending_done, &buffered), 0);
    assert_int_equal(load(&direct.done), 0);
    twostate_iopair_end(&hold);
    assert_int_equal(pending_wait(&direct), 4096);
    assert_int_equal(pending_wait(&buffered), 4096);
    AWAIT(file_is_free(f->file));
    free(buffer);
}

/* With NOWAIT no direct write makes a file larger, aligned or not, on whatever file system. */
static void nowait_never_extends(void **state)
{
    struct fixture *f = *state;
    char *memory = memory_new(2 * MIB);
    const size_t sizes[] = {100, 4096, 4196, 2 * MIB};
    const unsigned flags = TWOSTATE_IO_DIRECT | NOWAIT;
    struct twostate_file_stat stat;

    assert_int_equal(twostate_pwrite(f->file, memory, 8192, 0, 0), 8192);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const struct iovec iov = {memory, sizes[i]};

        assert_int_equal(twostate_pwrite(f->file, memory, sizes[i], 8192, flags), -EAGAIN);
        assert_int_equal(twostate_pwrite(f->file, memory, sizes[i], 10000, flags), -EAGAIN);
        assert_int_equal(twostate_append(f->file, &iov, 1, flags, NULL), -EAGAIN);
        assert_int_equal(twostate_pwritev_async(f->file, &iov, 1, 8192, flags, pending_done,
                                                &(struct pending){0}),
                         -EAGAIN);
        assert_int_equal(twostate_stat(f->file, &stat), 0);
        assert_int_equal(stat.size, 8192);
    }
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(refused_without_a_trace), ENGINE_TEST(runs_beside),
        ENGINE_TEST(waits_for_the_others),    ENGINE_TEST(whole_file),
        ENGINE_TEST(nowait_in_the_cache),     ENGINE_TEST(size_is_asked_again),
        ENGINE_TEST(flags_are_read_once),     ENGINE_TEST(nowait_never_extends),
    };

    return RUN_WITH_BACKENDS(tests);
}
