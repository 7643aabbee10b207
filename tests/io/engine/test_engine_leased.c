/* SPDX-License-Identifier: MIT */
/*
 * Requests that are in by the lease: nobody else is in beside them, and all who come, in whatever
 * order, get their turn.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <twostate/validate.h>

#define QUIET 64 /* so many requests through the pair, and the next one takes the lease */

/* The cache stops a buffered request of one byte, until it may go on. */

static struct cache_ops stopping;
static const struct cache_ops *cache_below;
static uint32_t stopped;
static uint32_t may_go_on;

static int64_t stop_and_write(struct cache *cache, struct cursor *cursor, int64_t offset,
                              unsigned flags)
{
    if (cursor->window == 1) {
        add(&stopped, 1);
        AWAIT(load(&may_go_on));
    }
    return cache_below->write(cache, cursor, offset, flags);
}

static int64_t stop_and_read(struct cache *cache, struct cursor *cursor, int64_t offset,
                             unsigned flags)
{
    if (cursor->window == 1) {
        add(&stopped, 1);
        AWAIT(load(&may_go_on));
    }
    return cache_below->read(cache, cursor, offset, flags);
}

static void put_between(struct twostate_file *file)
{
    cache_below = file->cache->ops;
    stopping = *cache_below;
    stopping.write = stop_and_write;
    stopping.read = stop_and_read;
    file->cache->ops = &stopping;
    store(&stopped, 0);
    store(&may_go_on, 0);
}

/* Two bytes at a time: they are not stopped. */
static void be_quiet(struct twostate_file *file)
{
    for (int i = 0; i <= QUIET; i++)
        CHECK(twostate_pwrite(file, "ab", 2, 0, 0) == 2);
    CHECK(load(&file->lease.state) == LEASE_ON);
}

struct caller {
    struct task task;
    struct twostate_file *file;
    struct twostate_file *other;
    int call;
};

static void write_one(void *arg)
{
    struct caller *c = arg;

    CHECK(twostate_pwrite(c->file, "x", 1, 0, 0) == 1);
}

static void read_one(void *arg)
{
    struct caller *c = arg;
    char byte = 0;

    CHECK(twostate_pread(c->file, &byte, 1, 0, 0) == 1);
}

static void call_another(void *arg)
{
    struct caller *c = arg;
    char *memory = memory_new(4096);

    switch (c->call) {
    case 0:
        CHECK(twostate_pread(c->file, memory, 4096, 0, TWOSTATE_IO_DIRECT) > 0);
        break;
    case 1:
        CHECK(twostate_pwrite(c->file, memory, 5, 1, TWOSTATE_IO_DIRECT) == 5);
        break;
    case 2:
        CHECK(twostate_pwrite(c->file, memory, 4096, 8192, TWOSTATE_IO_DIRECT) == 4096);
        break;
    case 3:
        CHECK(twostate_truncate(c->file, 8192) == 0);
        break;
    case 4:
        CHECK(twostate_remap(c->file, 0, c->other, 0, 4096) >= 0);
        break;
    case 5:
        CHECK(twostate_remap(c->other, 0, c->file, 0, 4096) >= 0);
        break;
    default:
        CHECK(twostate_file_close(c->file) == 0);
        break;
    }
    free(memory);
}

#define CLOSE 6

/* Waits for a place in the pair, or, to close, in the list of users. */
static bool waits(const struct twostate_file *file)
{
    const struct twostate_iopair_info info = twostate_iopair_query(&file->pair);

    return info.iolock.waiting_exclusive + info.iotype.waiting_b > 0 ||
           twostate_iolock_query(&file->users).waiting_exclusive > 0;
}

static void waits_for_those_who_are_in(void **state)
{
    struct fixture *f = *state;
    char *memory = memory_new(4096);
    const struct iovec iov = {memory, 4096};
    const unsigned nowait = TWOSTATE_IO_DIRECT | TWOSTATE_IO_NOWAIT;

    for (int call = 0; call <= CLOSE; call++) {
        struct twostate_file *file = file_new(f->engine, &f->scratch, O_RDWR);
        struct caller in = {.file = file};
        struct caller reader = {.file = file};
        struct caller another = {.file = file, .other = f->file, .call = call};
        struct pending direct = {0};

        put_between(file);
        assert_int_equal(twostate_truncate(file, 8192), 0);
        be_quiet(file);
        task_start(&in.task, write_one, &in);
        task_start(&reader.task, read_one, &reader);
        AWAIT(load(&stopped) == 2);
        assert_int_equal(twostate_iopair_query(&file->pair).iotype.holders, 1); /* the lease */
        task_start(&another.task, call_another, &another);
        AWAIT(task_done(&another.task) || waits(file));
        assert_int_equal(load(&file->lease.state), LEASE_ENDING);
        if (call < CLOSE)
            assert_int_equal(twostate_pread(file, memory, 4096, 0, nowait), -EAGAIN);
        if (call < CLOSE)
            assert_int_equal(
                twostate_preadv_async(file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, &direct),
                0);
        assert_false(task_done(&another.task));
        assert_int_equal(load(&direct.done), 0);
        store(&may_go_on, 1);
        task_join(&in.task);
        task_join(&reader.task);
        task_join(&another.task);
        if (call < CLOSE) {
            assert_int_equal(pending_wait(&direct), 4096);
            be_quiet(file); /* and again */
            assert_int_equal(twostate_file_close(file), 0);
        }
    }
    free(memory);
}

static int64_t read_async(struct twostate_file *file, char *memory, unsigned flags)
{
    const struct iovec iov = {memory, 4096};
    struct pending pending = {0};
    const int result = twostate_preadv_async(file, &iov, 1, 4096, flags, pending_done, &pending);

    return result ? result : pending_wait(&pending);
}

/* A lease that nobody is in is in nobody's way: what the file system can do at once is done. */
static void nowait_finds_it_free(void **state)
{
    struct fixture *f = *state;
    char *memory = memory_new(8192);
    const unsigned nowait = TWOSTATE_IO_DIRECT | TWOSTATE_IO_NOWAIT;
    struct twostate_hold hold;
    int64_t without = -EAGAIN;
    int64_t beside = -EAGAIN;

    assert_int_equal(twostate_pwrite(f->file, memory, 8192, 0, 0), 8192);
    assert_int_equal(twostate_fsync(f->file), 0);
    be_quiet(f->file);
    assert_int_equal(file_begin_(f->file, TWOSTATE_DIRECT, &hold, true), 0);
    twostate_iopair_end(&hold);
    for (int i = 0; i < 100 && without == -EAGAIN; i++) { /* which a busy disk answers, too */
        AWAIT(file_is_free(f->file));
        without = read_async(f->file, memory, nowait);
    }
    for (int i = 0; i < 100 && beside != without; i++) {
        be_quiet(f->file);
        beside = read_async(f->file, memory, nowait);
    }
    assert_int_equal(beside, without);
    be_quiet(f->file);
    assert_int_equal(read_async(f->file, memory, TWOSTATE_IO_DIRECT), 4096);
    free(memory);
}

/*
 * A buffered writer whom a remap keeps out wants the IOLOCK alone; those who read meanwhile, and when
 * the remap is over, must not take the lease before he has got it.
 */
static void remap_keeps_a_writer_out(void **state)
{
    struct fixture *f = *state;
    struct caller writer = {.file = f->file};
    struct caller reader = {.file = f->file};
    struct twostate_hold remap;
    char bytes[2];

    put_between(f->file);
    be_quiet(f->file);
    file_begin_(f->file, TWOSTATE_REMAP, &remap, false);
    for (int i = 0; i < 2 * QUIET; i++)
        assert_int_equal(twostate_pread(f->file, bytes, 2, 0, 0), 2);
    assert_int_equal(load(&f->file->lease.state), LEASE_OFF);
    task_start(&reader.task, read_one, &reader);
    AWAIT(load(&stopped) == 1);
    task_start(&writer.task, write_one, &writer);
    AWAIT(twostate_iopair_query(&f->file->pair).iolock.waiting_exclusive == 1);
    store(&f->file->lease.quiet, QUIET);
    twostate_iopair_end(&remap);
    store(&may_go_on, 1);
    task_join(&reader.task);
    task_join(&writer.task);
    be_quiet(f->file);
}

static void read_two(void *arg)
{
    struct caller *c = arg;
    char bytes[2];

    CHECK(twostate_pread(c->file, bytes, 2, 0, 0) == 2);
}

/* A direct request that lets go, to be alone: who waited for it must not take the lease in between. */
static void retry_gets_its_turn(void **state)
{
    struct fixture *f = *state;
    struct caller reader = {.file = f->file};
    struct twostate_hold hold;

    be_quiet(f->file);
    file_begin_(f->file, TWOSTATE_DIRECT, &hold, false);
    task_start(&reader.task, read_two, &reader);
    AWAIT(twostate_iopair_query(&f->file->pair).iotype.waiting_a == 1);
    store(&f->file->lease.quiet, QUIET);
    assert_true(file_retry_unaligned_(f->file, &hold, false));
    twostate_iopair_end(&hold);
    task_join(&reader.task);
    be_quiet(f->file);
}

/* pitfall L16: who leaves touches nothing that close may have freed. */
static void closed_while_they_leave(void **state)
{
    struct fixture *f = *state;
    enum { IN = 3, CLOSES = 50 };

    for (int round = 0; round < CLOSES; round++) {
        struct caller in[IN];
        struct twostate_file *file = file_new(f->engine, &f->scratch, O_RDWR);

        put_between(file);
        be_quiet(file);
        for (int i = 0; i < IN; i++) {
            in[i] = (struct caller){.file = file};
            task_start(&in[i].task, write_one, &in[i]);
        }
        AWAIT(load(&stopped) == IN);
        store(&may_go_on, 1);
        assert_int_equal(twostate_file_close(file), 0);
        for (int i = 0; i < IN; i++)
            task_join(&in[i].task);
    }
}

/* All of it at once, for so many rounds. The cache, and who takes a path, look who is inside. */

#define ROUNDS 400

static struct {
    const struct cache_ops *below;
    uint32_t readers;
    uint32_t writers;
    uint32_t alone;  /* DIRECT, or the IOLOCK exclusive */
    uint32_t remaps; /* no writers */
    uint32_t leased; /* requests that saw the lease on */
} inside;

static int64_t look_and_read(struct cache *cache, struct cursor *cursor, int64_t offset,
                             unsigned flags)
{
    int64_t moved = 0;

    add(&inside.readers, 1);
    CHECK(load(&inside.alone) == 0);
    moved = inside.below->read(cache, cursor, offset, flags);
    CHECK(load(&inside.alone) == 0);
    add(&inside.readers, (uint32_t)-1);
    return moved;
}

static int64_t look_and_write(struct cache *cache, struct cursor *cursor, int64_t offset,
                              unsigned flags)
{
    int64_t moved = 0;

    add(&inside.writers, 1);
    CHECK(load(&inside.alone) + load(&inside.remaps) == 0);
    moved = inside.below->write(cache, cursor, offset, flags);
    CHECK(load(&inside.alone) + load(&inside.remaps) == 0);
    add(&inside.writers, (uint32_t)-1);
    return moved;
}

static void see_inside(struct twostate_file *file)
{
    inside.below = file->cache->ops;
    stopping = *inside.below;
    stopping.read = look_and_read;
    stopping.write = look_and_write;
    file->cache->ops = &stopping;
}

struct user {
    struct task task;
    struct twostate_file *file;
    struct twostate_file *other;
    struct random random;
};

static void use_buffered(void *arg)
{
    struct user *u = arg;
    char memory[600] = {0};
    const struct iovec iov = {memory, sizeof(memory)};

    for (int i = 0; i < 10 * ROUNDS; i++) {
        const int64_t offset = (int64_t)random_below(&u->random, 8192);
        struct pending pending = {0};

        switch (random_below(&u->random, 16)) {
        case 0:
            CHECK(twostate_append(u->file, &iov, 1, 0, NULL) == 600);
            break;
        case 1:
            CHECK(twostate_preadv_async(u->file, &iov, 1, offset, 0, pending_done, &pending) == 0);
            CHECK(pending_wait(&pending) >= 0);
            break;
        case 2:
        case 3:
        case 4:
            CHECK(twostate_pread(u->file, memory, 600, offset, 0) >= 0);
            break;
        default:
            CHECK(twostate_pwrite(u->file, memory, 600, offset, 0) == 600);
            break;
        }
        if (load(&u->file->lease.state) == LEASE_ON)
            add(&inside.leased, 1);
        CHECK(twostate_waited_ns() >= 0);
    }
}

static void look_alone(void)
{
    CHECK(load(&inside.readers) + load(&inside.writers) + load(&inside.remaps) == 0);
    store(&inside.alone, 1);
    CHECK(load(&inside.readers) + load(&inside.writers) + load(&inside.remaps) == 0);
    store(&inside.alone, 0);
}

static void look_remapping(void)
{
    CHECK(load(&inside.writers) == 0);
    store(&inside.remaps, 1);
    CHECK(load(&inside.writers) == 0);
    store(&inside.remaps, 0);
}

/* The paths themselves. DIRECT is this thread's and the kernel's: those who look see buffered ones. */
static void use_paths(void *arg)
{
    static const enum twostate_iopath paths[] = {TWOSTATE_DIRECT, TWOSTATE_UNALIGNED,
                                                 TWOSTATE_DIRECT_EXTEND, TWOSTATE_EXCLUSIVE_IO,
                                                 TWOSTATE_REMAP};
    struct user *u = arg;

    for (int i = 0; i < ROUNDS; i++) {
        const enum twostate_iopath path = paths[random_below(&u->random, 5)];
        struct twostate_hold hold;

        if (file_begin_(u->file, path, &hold, random_below(&u->random, 2)) != 0)
            continue;
        if (path == TWOSTATE_REMAP)
            look_remapping();
        else
            look_alone();
        if (path == TWOSTATE_DIRECT && random_below(&u->random, 2)) {
            file_retry_unaligned_(u->file, &hold, false);
            look_alone();
        }
        twostate_iopair_end(&hold);
    }
}

/* The same by the engine's calls, some of them without a thread of their own. */
static void use_others(void *arg)
{
    struct user *u = arg;
    char *memory = memory_new(4096);
    const struct iovec iov = {memory, 4096};

    for (int i = 0; i < ROUNDS; i++) {
        struct pending pending = {0};

        switch (random_below(&u->random, 6)) {
        case 0:
            CHECK(twostate_truncate(u->file, 16384) == 0);
            break;
        case 1:
            CHECK(twostate_remap(u->file, 0, u->other, 0, 4096) >= 0);
            break;
        case 2:
            CHECK(twostate_pwrite(u->file, memory, 100, 7, TWOSTATE_IO_DIRECT) == 100);
            break;
        default:
            CHECK(twostate_pwritev_async(u->file, &iov, 1, 4096, TWOSTATE_IO_DIRECT, pending_done,
                                         &pending) == 0);
            if (twostate_cancel(u->file, &pending) == 1)
                CHECK(pending_wait(&pending) == -ECANCELED);
            else
                CHECK(pending_wait(&pending) == 4096);
            break;
        }
    }
    free(memory);
}

static void all_at_once(void **state)
{
    static void (*const runs[])(void *) = {use_buffered, use_buffered, use_buffered,
                                           use_paths,    use_others,   use_others};
    enum { USERS = sizeof(runs) / sizeof(runs[0]) };
    struct fixture *f = *state;
    struct random random = {seed_choose()};
    struct scratch scratch;
    struct user users[USERS];

    scratch_open(&scratch);
    inside.leased = 0;
    see_inside(f->file);
    for (int i = 0; i < USERS; i++) {
        users[i] = (struct user){.file = f->file, .random = {random_next(&random)}};
        users[i].other = file_new(f->engine, &scratch, O_RDWR);
    }
    for (int i = 0; i < USERS; i++)
        task_start(&users[i].task, runs[i], &users[i]);
    for (int i = 0; i < USERS; i++) {
        AWAIT(task_done(&users[i].task));
        task_join(&users[i].task);
        assert_int_equal(twostate_file_close(users[i].other), 0);
    }
    print_message("%u requests saw the lease\n", load(&inside.leased));
    AWAIT(file_is_free(f->file));
    be_quiet(f->file);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(waits_for_those_who_are_in), ENGINE_TEST(nowait_finds_it_free),
        ENGINE_TEST(remap_keeps_a_writer_out),   ENGINE_TEST(retry_gets_its_turn),
        ENGINE_TEST(closed_while_they_leave),    ENGINE_TEST(all_at_once),
    };

    twostate_validate_stop(); /* there is no lease where it is on */
    return RUN_WITH_BACKENDS(tests);
}
