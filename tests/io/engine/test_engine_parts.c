/* SPDX-License-Identifier: MIT */
/* The engine's parts alone: cursor, range locks, workers, and both backends. */
#include "common.h"

#include "io/cursor.h"
#include "io/range.h"
#include "io/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096

static void cursor_windows(void **state)
{
    char memory[100];
    const struct iovec iov[] = {{memory, 10}, {NULL, 0}, {memory + 10, 20}, {memory + 30, 70}};
    struct cursor c;

    (void)state;
    assert_int_equal(cursor_init_(&c, iov, 4), 0);
    assert_int_equal(c.count, 3); /* empty pieces are left out */
    assert_int_equal(c.left, 100);
    cursor_show_(&c, 15);
    assert_int_equal(c.window, 15);
    assert_int_equal(c.window_count, 2);
    assert_int_equal(c.iov[1].iov_len, 5);
    cursor_show_(&c, 30);
    assert_int_equal(c.window_count, 2);
    assert_int_equal(c.iov[1].iov_len, 20);
    cursor_show_(&c, 15);
    cursor_advance_(&c, 12);
    assert_int_equal(c.left, 88);
    assert_int_equal(c.window, 3);
    assert_ptr_equal(c.iov[0].iov_base, memory + 12);
    assert_int_equal(c.iov[0].iov_len, 3);
    cursor_advance_(&c, 3);
    assert_int_equal(c.window, 0);
    cursor_show_(&c, 1000);
    assert_int_equal(c.window, 85);
    assert_int_equal(c.iov[0].iov_len, 15);
    cursor_show_(&c, 20);
    cursor_truncate_(&c);
    assert_int_equal(c.left, 20);
    cursor_advance_(&c, 20);
    assert_int_equal(c.left, 0);
    cursor_show_(&c, 10);
    assert_int_equal(c.window, 0);
    cursor_destroy_(&c);
}

static void cursor_limits(void **state)
{
    struct iovec *iov = calloc(IOV_MAX + 1, sizeof(*iov));
    char byte = 0;
    struct cursor c;

    (void)state;
    for (int i = 0; i <= IOV_MAX; i++)
        iov[i] = (struct iovec){&byte, 1};
    assert_int_equal(cursor_init_(&c, iov, IOV_MAX), 0);
    assert_int_equal(c.left, IOV_MAX);
    cursor_show_(&c, 100);
    assert_int_equal(c.window_count, 100);
    cursor_destroy_(&c);
    assert_int_equal(cursor_init_(&c, iov, IOV_MAX + 1), -EINVAL);
    assert_int_equal(cursor_init_(&c, NULL, 1), -EINVAL);
    assert_int_equal(cursor_init_(&c, NULL, 0), 0);
    cursor_destroy_(&c);
    iov[0].iov_len = SSIZE_MAX;
    assert_int_equal(cursor_init_(&c, iov, 2), -EINVAL);
    assert_int_equal(cursor_init_(&c, iov, 1), 0);
    assert_true(c.left == SSIZE_MAX);
    cursor_destroy_(&c);
    free(iov);
}

static void cursor_copies(void **state)
{
    char memory[30];
    char plain[30];
    const struct iovec iov[] = {{memory, 10}, {memory + 10, 20}};
    struct cursor c;

    (void)state;
    for (int i = 0; i < 30; i++)
        memory[i] = (char)i;
    assert_int_equal(cursor_init_(&c, iov, 2), 0);
    cursor_show_(&c, 25);
    cursor_advance_(&c, 3);
    cursor_copy_out_(&c, plain, 22);
    assert_memory_equal(plain, memory + 3, 22);
    memset(plain, 77, sizeof(plain));
    cursor_copy_in_(&c, plain, 9);
    assert_int_equal(memory[2], 2);
    assert_memory_equal(memory + 3, plain, 9);
    assert_int_equal(memory[12], 12);
    cursor_destroy_(&c);
}

static void cursor_alignment(void **state)
{
    char *memory = memory_new((size_t)2 * BLOCK);
    const struct iovec iov[] = {{memory, 512}, {memory + 1024, 1000}};
    struct cursor c;

    (void)state;
    assert_int_equal(cursor_init_(&c, iov, 2), 0);
    cursor_show_(&c, 512);
    assert_true(cursor_memory_aligned_(&c, 512, 512));
    assert_false(cursor_memory_aligned_(&c, 512, 1024));
    cursor_show_(&c, 1024);
    assert_true(cursor_memory_aligned_(&c, 512, 512));
    cursor_show_(&c, 1500);
    assert_false(cursor_memory_aligned_(&c, 512, 512));
    cursor_show_(&c, 100);
    cursor_advance_(&c, 1);
    assert_false(cursor_memory_aligned_(&c, 4, 1));
    cursor_destroy_(&c);
    free(memory);
}

static unsigned held(const struct range_locks *locks)
{
    unsigned slots = 0;

    for (int i = 0; i < RANGE_SLOTS; i++)
        slots += twostate_iolock_query(&locks->slots[i]).holders;
    return slots;
}

static void range_slots(void **state)
{
    const int64_t most = RANGE_MOST;
    const struct {
        int64_t offset, length;
        unsigned slots;
    } ranges[] = {
        {0, 1, 1},
        {RANGE_STRIPE - 1, 1, 1},
        {RANGE_STRIPE - 1, 2, 2},
        {0, most, 16},
        {1, most, 17},
        {RANGE_STRIPE * (RANGE_SLOTS - 1), RANGE_STRIPE, 1},
        {RANGE_STRIPE * (RANGE_SLOTS - 1), RANGE_STRIPE + 1, 2},
        {RANGE_STRIPE * (RANGE_SLOTS - 3) + 5, most, 17},
        {INT64_MAX - most, most, 17},
        {INT64_MAX - 1, 1, 1},
    };
    struct range_locks locks = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        assert_true(
            range_lock_(&locks, ranges[i].offset, ranges[i].length, TWOSTATE_EXCLUSIVE, i % 2));
        assert_int_equal(held(&locks), ranges[i].slots);
        assert_false(range_lock_(&locks, ranges[i].offset, 1, TWOSTATE_SHARED, true));
        assert_false(
            range_lock_(&locks, ranges[i].offset, ranges[i].length, TWOSTATE_EXCLUSIVE, true));
        assert_int_equal(held(&locks), ranges[i].slots);
        range_unlock_(&locks, ranges[i].offset, ranges[i].length, TWOSTATE_EXCLUSIVE);
        assert_int_equal(held(&locks), 0);
    }
}

/* Of what lies within 128 MiB, the longest range keeps out what meets it, and a hundredth of the rest. */
static void range_is_in_the_way_of_few(void **state)
{
    struct range_locks locks = {0};
    unsigned refused = 0;

    (void)state;
    assert_true(range_lock_(&locks, 5, RANGE_MOST, TWOSTATE_EXCLUSIVE, true));
    for (int64_t at = 0; at < (int64_t)(128 * MIB); at += 65536) {
        if (range_lock_(&locks, at, 1, TWOSTATE_SHARED, true))
            range_unlock_(&locks, at, 1, TWOSTATE_SHARED);
        else
            refused++;
    }
    assert_in_range(refused, RANGE_MOST / 65536, RANGE_MOST / 65536 + 20);
    range_unlock_(&locks, 5, RANGE_MOST, TWOSTATE_EXCLUSIVE);
}

/* Each slot in turn is in the way: nothing stays held. */
static void range_nowait_leaves_nothing(void **state)
{
    struct range_locks locks = {0};
    const int64_t offset = RANGE_STRIPE * (RANGE_SLOTS - 4);

    (void)state;
    for (int64_t i = 0; i < 16; i++) {
        assert_true(range_lock_(&locks, offset + i * RANGE_STRIPE, 1, TWOSTATE_SHARED, false));
        assert_false(range_lock_(&locks, offset, RANGE_MOST, TWOSTATE_EXCLUSIVE, true));
        assert_int_equal(held(&locks), 1);
        assert_true(range_lock_(&locks, offset, RANGE_MOST, TWOSTATE_SHARED, true));
        range_unlock_(&locks, offset, RANGE_MOST, TWOSTATE_SHARED);
        range_unlock_(&locks, offset + i * RANGE_STRIPE, 1, TWOSTATE_SHARED);
        assert_int_equal(held(&locks), 0);
    }
}

/* Ranges that wrap round from both sides, by many threads: slots are taken in one order. */
struct ranger {
    struct task task;
    struct range_locks *locks;
    uint32_t *inside;
    int64_t offset;
};

static void lock_ranges(void *arg)
{
    struct ranger *r = arg;

    for (int i = 0; i < 500; i++) {
        CHECK(range_lock_(r->locks, r->offset, RANGE_MOST, TWOSTATE_EXCLUSIVE, false));
        CHECK(add(r->inside, 1) == 1); /* they all meet in one stripe */
        add(r->inside, UINT32_MAX);
        range_unlock_(r->locks, r->offset, RANGE_MOST, TWOSTATE_EXCLUSIVE);
    }
}

static void range_order(void **state)
{
    struct range_locks locks = {0};
    struct ranger rangers[4];
    uint32_t inside = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        rangers[i] = (struct ranger){.locks = &locks, .inside = &inside};
        rangers[i].offset = RANGE_STRIPE * (RANGE_SLOTS - 14 + 4 * i);
        task_start(&rangers[i].task, lock_ranges, &rangers[i]);
    }
    for (int i = 0; i < 4; i++)
        task_join(&rangers[i].task);
    assert_int_equal(held(&locks), 0);
}

struct numbered {
    struct job job;
    uint32_t number;
};

static uint32_t ran;

static void run_in_order(struct job *job)
{
    CHECK(caa_container_of(job, struct numbered, job)->number == ran);
    ran++;
}

static void workers_in_order(void **state)
{
    struct numbered jobs[100];
    struct workers *workers = NULL;

    (void)state;
    ran = 0;
    assert_int_equal(workers_create_(1, &workers), 0);
    for (uint32_t i = 0; i < 100; i++) {
        jobs[i] = (struct numbered){.job.run = run_in_order, .number = i};
        workers_add_(workers, &jobs[i].job);
    }
    workers_destroy_(workers); /* what is queued is still run */
    assert_int_equal(ran, 100);
}

/* More ops than the depth, each done once; reads past the end and errors come back as such. */
static uint32_t ended;

static void op_done(struct backend_op *op)
{
    (void)op;
    add(&ended, 1);
}

static void run_ops(struct backend *backend, const struct scratch *scratch)
{
    static struct backend_op ops[300];
    const struct iovec iov[2] = {{memory_new(BLOCK), BLOCK}, {memory_new(BLOCK), BLOCK}};

    store(&ended, 0);
    for (int i = 0; i < 300; i++) {
        ops[i] = (struct backend_op){.iov = iov,
                                     .count = 2,
                                     .fd = i % 3 == 2 ? -1 : scratch->fd,
                                     .offset = i % 3 == 1 ? 1 << 20 : 0,
                                     .write = false,
                                     .done = op_done};
        backend->ops->submit(backend, &ops[i]);
    }
    AWAIT(load(&ended) == 300);
    backend->ops->destroy(backend);
    for (int i = 0; i < 300; i++)
        assert_int_equal(ops[i].result, i % 3 == 2 ? -EBADF : i % 3 == 1 ? 0 : 2 * BLOCK);
    free(iov[0].iov_base);
    free(iov[1].iov_base);
}

static void backends(void **state)
{
    struct scratch scratch;
    struct backend *backend = NULL;

    (void)state;
    scratch_open(&scratch);
    assert_int_equal(ftruncate(scratch.fd, (off_t)2 * BLOCK), 0);
    for (unsigned depth = 1; depth <= 5; depth += 2) {
        assert_int_equal(backend_pool_create_(depth, &backend), 0);
        run_ops(backend, &scratch);
        if (backend_uring_create_(depth, &backend) == 0)
            run_ops(backend, &scratch);
        else
            print_message("NOT TESTED: io_uring is not to be had here\n");
    }
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursor_windows),
        cmocka_unit_test(cursor_limits),
        cmocka_unit_test(cursor_copies),
        cmocka_unit_test(cursor_alignment),
        cmocka_unit_test(range_slots),
        cmocka_unit_test(range_nowait_leaves_nothing),
        cmocka_unit_test(range_is_in_the_way_of_few),
        cmocka_unit_test(range_order),
        cmocka_unit_test(workers_in_order),
        cmocka_unit_test(backends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
