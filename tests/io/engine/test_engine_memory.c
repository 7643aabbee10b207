/* SPDX-License-Identifier: MIT */
/* Out of memory: every call that allocates says so, has done nothing, and works the next time. */
#include "common.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MANY_PIECES 20

struct memory_rig {
    struct fixture f;
    char *buffer;
    struct iovec iov[MANY_PIECES];
    struct pending pending;
};

/* Calls that are to be made with each of their allocations failing in turn. */
static int64_t create_engine(struct memory_rig *r)
{
    const struct twostate_engine_options options = {
        .backend = (enum twostate_backend)twostate_engine_backend(r->f.engine)};
    struct twostate_engine *engine = NULL;
    const int result = twostate_engine_create(&options, &engine);

    return result ? result : twostate_engine_destroy(engine);
}

static int64_t open_file(struct memory_rig *r)
{
    struct twostate_file *file = NULL;
    const int result = twostate_file_open(r->f.engine, r->f.scratch.path, O_RDWR, 0, &file);

    return result ? result : twostate_file_close(file);
}

static int64_t write_pieces(struct memory_rig *r)
{
    return twostate_pwritev(r->f.file, r->iov, MANY_PIECES, 0, 0);
}

static int64_t read_unaligned(struct memory_rig *r)
{
    return twostate_pread(r->f.file, r->buffer + 1, 999, 7, TWOSTATE_IO_DIRECT);
}

static int64_t write_from_unaligned_memory(struct memory_rig *r)
{
    return twostate_pwrite(r->f.file, r->buffer + 1, 4096, 0, TWOSTATE_IO_DIRECT);
}

static int64_t append_pieces(struct memory_rig *r)
{
    const int64_t size = file_ask_size_(r->f.file);
    const int64_t result = twostate_append(r->f.file, r->iov, MANY_PIECES, 0, NULL);

    CHECK(file_ask_size_(r->f.file) == (result < 0 ? size : size + result));
    return result;
}

static int64_t write_async(struct memory_rig *r)
{
    const int result = twostate_pwritev_async(r->f.file, r->iov, MANY_PIECES, 0, TWOSTATE_IO_DIRECT,
                                              pending_done, &r->pending);

    return result ? result : pending_wait(&r->pending);
}

static int64_t sync_async(struct memory_rig *r)
{
    const int result = twostate_fsync_async(r->f.file, pending_done, &r->pending);

    return result ? result : pending_wait(&r->pending);
}

static int64_t remap(struct memory_rig *r)
{
    inject_error(CALL_CLONE, 1, 1, EOPNOTSUPP);
    inject_error(CALL_COPY, 1, 1, EXDEV);
    return twostate_remap(r->f.file, 0, r->f.file, 8192, 4096);
}

static void each_allocation_fails_once(void **state)
{
    int64_t (*const calls[])(struct memory_rig *) = {
        create_engine, open_file,   write_pieces, read_unaligned, write_from_unaligned_memory,
        append_pieces, write_async, sync_async,   remap};
    /* At least so many allocations: the call is one that this test is about. */
    const uint32_t least[] = {3, 2, 1, 1, 1, 1, 2, 1, 1};
    struct memory_rig *r = *state;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        int64_t result = -ENOMEM;
        uint32_t nth = 0;

        while (result == -ENOMEM) {
            r->pending = (struct pending){0};
            inject_error(CALL_ALLOCATE, ++nth, 1, ENOMEM);
            result = calls[i](r);
            AWAIT(file_is_free(r->f.file));
            assert_true(result >= 0 || result == -ENOMEM);
            assert_int_equal(load(&r->pending.done), result != -ENOMEM && r->pending.done);
        }
        inject_nothing();
        if (nth <= least[i])
            print_error("call %zu succeeded with allocation %u failing\n", i, nth);
        assert_true(nth > least[i]);
        r->pending = (struct pending){0};
        assert_true(calls[i](r) >= 0);
    }
}

static int enter(void **state)
{
    struct memory_rig *r = calloc(1, sizeof(*r));

    CHECK(r);
    scratch_open(&r->f.scratch);
    r->f.engine = engine_new(0, 0);
    r->f.file = file_new(r->f.engine, &r->f.scratch, O_RDWR);
    r->buffer = memory_new((size_t)4096 * (MANY_PIECES + 1));
    for (size_t i = 0; i < MANY_PIECES; i++)
        r->iov[i] = (struct iovec){r->buffer + i * 4096, 4096};
    CHECK(write_pieces(r) == (int64_t)4096 * MANY_PIECES);
    *state = r;
    return 0;
}

static int leave(void **state)
{
    struct memory_rig *r = *state;

    inject_nothing();
    CHECK(twostate_file_close(r->f.file) == 0);
    CHECK(twostate_engine_destroy(r->f.engine) == 0);
    scratch_close(&r->f.scratch);
    free(r->buffer);
    free(r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, enter, leave)};

    return RUN_WITH_BACKENDS(tests);
}
