/* SPDX-License-Identifier: MIT */
/* A backend that fails, shortens, delays and reorders: requests end once, and so do their locks. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK ((size_t)4096)
#define SIZE  (16 * BLOCK)
#define MOST  64

/* What is done with the next ops: one step for each, then as the kernel does it. */
struct step {
    int64_t error;  /* not 0: the result, and nothing is done */
    size_t shorten; /* not 0: this many bytes are moved */
};

struct test_backend {
    struct backend backend;
    struct backend *real;
    pthread_mutex_t mutex;
    struct step steps[MOST];
    unsigned step_count;
    unsigned next;
    bool hold; /* keep ops until release */
    struct backend_op *held[MOST];
    uint32_t held_count;
    int rw_flags;  /* of the last op */
    size_t length; /* of the last op's first piece */
    bool close;    /* once the op is carried out, before submit returns, somebody closes: */
    struct twostate_file *file;
    struct task closer;
};

static void close_file(void *arg)
{
    CHECK(twostate_file_close(arg) == 0);
}

static struct step take_step(struct test_backend *b)
{
    struct step step = {0};

    if (b->next < b->step_count)
        step = b->steps[b->next++];
    return step;
}

static void carry_out(struct backend_op *op, struct step step)
{
    struct backend_op part = *op;
    struct iovec iov = op->iov[0];

    if (step.error) {
        op->result = step.error;
    } else {
        if (step.shorten) {
            iov.iov_len = iov.iov_len < step.shorten ? iov.iov_len : step.shorten;
            part.iov = &iov;
            part.count = 1;
        }
        op->result = backend_run_(&part);
    }
    op->done(op);
}

static void submit(struct backend *base, struct backend_op *op)
{
    struct test_backend *b = caa_container_of(base, struct test_backend, backend);
    struct step step;
    bool held = false;

    pthread_mutex_lock(&b->mutex);
    step = take_step(b);
    held = b->hold;
    b->rw_flags = op->rw_flags;
    b->length = op->iov[0].iov_len;
    if (held) {
        CHECK(b->held_count < MOST);
        b->held[b->held_count] = op;
        add(&b->held_count, 1);
    }
    pthread_mutex_unlock(&b->mutex);
    if (held)
        return;
    carry_out(op, step); /* before submit returns, in the caller's thread */
    if (b->close) {
        task_start(&b->closer, close_file, b->file);
        AWAIT(twostate_iolock_query(&b->file->users).waiting_exclusive == 1);
    }
}

static void never(struct backend *backend)
{
    CHECK(backend == NULL); /* the engine's own is put back before */
}

static const struct backend_ops test_ops = {.submit = submit, .destroy = never};

/* Lets the held ops go, the last one first. */
static void release(struct test_backend *b, struct step step)
{
    b->hold = false;
    while (b->held_count > 0)
        carry_out(b->held[--b->held_count], step);
}

struct rig {
    struct fixture *f;
    struct test_backend backend;
    char *buffer;
};

static int enter(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    CHECK(rig);
    (void)fixture_enter((void **)&rig->f);
    rig->backend.backend.ops = &test_ops;
    rig->backend.real = rig->f->engine->backend;
    pthread_mutex_init(&rig->backend.mutex, NULL);
    rig->f->engine->backend = &rig->backend.backend;
    rig->buffer = memory_new(SIZE);
    CHECK(twostate_pwrite(rig->f->file, rig->buffer, SIZE, 0, 0) == (ssize_t)SIZE);
    *state = rig;
    return 0;
}

static int leave(void **state)
{
    struct rig *rig = *state;

    rig->f->engine->backend = rig->backend.real;
    (void)fixture_leave((void **)&rig->f);
    pthread_mutex_destroy(&rig->backend.mutex);
    free(rig->buffer);
    free(rig);
    return 0;
}

static void start(struct rig *rig, bool write, struct pending *pending)
{
    const struct iovec iov = {rig->buffer, SIZE};

    *pending = (struct pending){0};
    assert_int_equal((write ? twostate_pwritev_async : twostate_preadv_async)(
                         rig->f->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, pending),
                     0);
}

static int64_t run(struct rig *rig, bool write)
{
    struct pending pending;

    start(rig, write, &pending);
    return pending_wait(&pending);
}

static void script(struct rig *rig, const struct step *steps, unsigned count)
{
    memcpy(rig->backend.steps, steps, count * sizeof(*steps));
    rig->backend.step_count = count;
    rig->backend.next = 0;
}

/* pitfalls E04, E16: an error ends the request, once, and both of its locks. */
static void errors(void **state)
{
    const int64_t all[] = {-EIO, -ENOSPC, -EAGAIN, -ENOMEM, -EDQUOT};
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (int write = 0; write < 2; write++) {
            script(rig, &(struct step){.error = all[i]}, 1);
            assert_int_equal(run(rig, write), all[i]);
            AWAIT(file_is_free(rig->f->file));
        }
}

static void error_after_a_part(void **state)
{
    const struct step steps[] = {{.shorten = 3 * BLOCK}, {.error = -EIO}};
    struct rig *rig = *state;

    for (int write = 0; write < 2; write++) {
        script(rig, steps, 2);
        assert_int_equal(run(rig, write), 3 * BLOCK);
        assert_int_equal(rig->backend.next, 2);
        AWAIT(file_is_free(rig->f->file));
    }
}

static void interrupted_and_short(void **state)
{
    const struct step steps[] = {{.error = -EINTR},      {.shorten = BLOCK}, {.error = -EINTR},
                                 {.shorten = 4 * BLOCK}, {.error = -EINTR},  {0}};
    struct rig *rig = *state;
    char *back = memory_new(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        rig->buffer[i] = (char)(i / 100 + 1);
    script(rig, steps, 6);
    assert_int_equal(run(rig, true), SIZE);
    assert_int_equal(rig->backend.next, 6);
    memcpy(back, rig->buffer, SIZE);
    memset(rig->buffer, 0, SIZE);
    script(rig, steps, 6);
    assert_int_equal(run(rig, false), SIZE);
    assert_memory_equal(back, rig->buffer, SIZE);
    free(back);
}

/* A part that ends within a block can't be gone on with by direct IO: it is the result. */
static void shorter_than_a_block(void **state)
{
    struct rig *rig = *state;

    script(rig, &(struct step){.shorten = BLOCK}, 1);
    assert_int_equal(run(rig, false), SIZE);
    script(rig, &(struct step){.error = -EIO}, 1);
    assert_int_equal(run(rig, false), -EIO);
    /* The end of file within a block. */
    assert_int_equal(twostate_truncate(rig->f->file, (int64_t)BLOCK + 100), 0);
    assert_int_equal(run(rig, false), BLOCK + 100);
    assert_int_equal(twostate_truncate(rig->f->file, 0), 0);
    assert_int_equal(run(rig, false), 0);
}

/* What O_DIRECT can't do goes through the cache, as it does in a call that waits. */
static void refused(void **state)
{
    const int64_t all[] = {-EINVAL, -EOPNOTSUPP, -ENOTBLK};
    struct rig *rig = *state;

    for (int i = 0; i < 3; i++) {
        memset(rig->buffer, i + 1, SIZE);
        script(rig, &(struct step){.error = all[i]}, 1);
        assert_int_equal(run(rig, true), SIZE);
        memset(rig->buffer, 0, SIZE);
        script(rig, &(struct step){.error = all[i]}, 1);
        assert_int_equal(run(rig, false), SIZE);
        assert_int_equal(rig->buffer[SIZE - 1], i + 1);
        AWAIT(file_is_free(rig->f->file));
    }
}

/* While a request is in flight it holds DIRECT, and nothing else; then it holds nothing. */
static void held_while_in_flight(void **state)
{
    struct rig *rig = *state;
    struct twostate_iopair *pair = &rig->f->file->pair;
    struct pending pending[5];
    struct twostate_hold hold;

    rig->backend.hold = true;
    for (int i = 0; i < 5; i++)
        start(rig, i % 2, &pending[i]);
    assert_int_equal(twostate_iopair_query(pair).iotype.holders, 5);
    assert_int_equal(twostate_iopair_query(pair).iotype.state, TWOSTATE_DIRECT_STATE);
    assert_int_equal(twostate_iopair_query(pair).iolock.holders, 0);
    assert_false(twostate_iopair_try_begin(pair, TWOSTATE_BUFFERED_READ, &hold));
    assert_false(twostate_iopair_try_begin(pair, TWOSTATE_EXCLUSIVE_IO, &hold));
    assert_int_equal(twostate_pread(rig->f->file, rig->buffer, 1, 0, TWOSTATE_IO_NOWAIT), -EAGAIN);
    for (int i = 0; i < 5; i++)
        assert_int_equal(load(&pending[i].done), 0);
    release(&rig->backend, (struct step){0});
    for (int i = 0; i < 5; i++)
        assert_int_equal(pending_wait(&pending[i]), SIZE);
    assert_true(file_is_free(rig->f->file));
}

/* Size and cache come first, then the lock, then the callback: so it finds the file free. */
struct finding {
    struct rig *rig;
    uint32_t done;
    bool free;
};

static void find_free(void *arg, ssize_t result)
{
    struct finding *finding = arg;

    (void)result;
    finding->free = file_is_free(finding->rig->f->file);
    store(&finding->done, 1);
}

static void callback_comes_last(void **state)
{
    struct rig *rig = *state;
    const struct step steps[] = {{0}, {.error = -EIO}};
    const struct iovec iov = {rig->buffer, SIZE};

    for (int i = 0; i < 2; i++) {
        struct finding finding = {.rig = rig};

        rig->backend.hold = true;
        assert_int_equal(twostate_pwritev_async(rig->f->file, &iov, 1, 0, TWOSTATE_IO_DIRECT,
                                                find_free, &finding),
                         0);
        release(&rig->backend, steps[i]);
        AWAIT(load(&finding.done));
        assert_true(finding.free);
    }
}

static void flags_of_a_request(void **state)
{
    const unsigned flags[] = {0, TWOSTATE_IO_DSYNC, TWOSTATE_IO_NOWAIT};
    const int rw_flags[] = {0, RWF_DSYNC, RWF_NOWAIT};
    struct rig *rig = *state;
    const struct iovec iov = {rig->buffer, SIZE};

    for (int i = 0; i < 3; i++) {
        struct pending pending = {0};

        assert_int_equal(twostate_pwritev_async(rig->f->file, &iov, 1, 0,
                                                TWOSTATE_IO_DIRECT | flags[i], pending_done,
                                                &pending),
                         0);
        (void)pending_wait(&pending);
        assert_int_equal(rig->backend.rw_flags, rw_flags[i]);
        AWAIT(file_is_free(rig->f->file));
    }
}

/* A failed write may have put something on the disk: the cache hears of what each write has written. */
static uint32_t writes;
static int64_t written;
static const struct cache_ops *real_cache;

static int64_t note_wrote(struct cache *cache, int64_t offset, int64_t length, int64_t moved,
                          struct cache_kept *kept)
{
    CHECK(offset == 0 && length == (int64_t)SIZE);
    written = moved;
    add(&writes, 1);
    return real_cache->wrote(cache, offset, length, moved, kept);
}

static void cache_hears_of_writes(void **state)
{
    static struct cache_ops ops;
    struct rig *rig = *state;

    ops = *rig->f->file->cache->ops;
    real_cache = rig->f->file->cache->ops;
    ops.wrote = note_wrote;
    rig->f->file->cache->ops = &ops;
    store(&writes, 0);
    script(rig, &(struct step){.error = -EIO}, 1);
    assert_int_equal(run(rig, false), -EIO);
    assert_int_equal(load(&writes), 0);
    script(rig, &(struct step){.error = -EIO}, 1);
    assert_int_equal(run(rig, true), -EIO);
    assert_int_equal(load(&writes), 1);
    assert_int_equal(written, -EIO);
    script(rig, (struct step[]){{.shorten = BLOCK}, {.error = -EIO}}, 2);
    assert_int_equal(run(rig, true), BLOCK);
    assert_int_equal(load(&writes), 2);
    assert_int_equal(written, BLOCK);
    rig->f->file->cache->ops = real_cache;
}

/* Close waits for what the backend still has. */
static void close_drains(void **state)
{
    struct rig *rig = *state;
    struct pending pending[3];
    struct task task;

    rig->backend.hold = true;
    for (int i = 0; i < 3; i++)
        start(rig, true, &pending[i]);
    task_start(&task, close_file, rig->f->file);
    AWAIT(twostate_iolock_query(&rig->f->file->users).waiting_exclusive == 1);
    assert_false(task_done(&task));
    assert_int_equal(twostate_engine_destroy(rig->f->engine), -EBUSY);
    release(&rig->backend, (struct step){0});
    task_join(&task);
    for (int i = 0; i < 3; i++)
        assert_int_equal(load(&pending[i].done), 1);
    rig->f->file = NULL;
}

/* Close waits for a submitter too, whose request has long completed. Pitfall L16. */
static void close_waits_for_the_submitter(void **state)
{
    struct rig *rig = *state;
    struct pending pending;

    rig->backend.close = true;
    rig->backend.file = rig->f->file;
    start(rig, true, &pending);
    task_join(&rig->backend.closer);
    assert_int_equal(load(&pending.done), 1);
    rig->f->file = NULL;
}

/* -EAGAIN says that nothing was done, so the cache must hear of that and not of a failure. */
static void nowait_leaves_the_cache(void **state)
{
    static struct cache_ops ops;
    struct rig *rig = *state;
    const struct iovec iov = {rig->buffer, SIZE};
    struct pending pending = {0};

    ops = *rig->f->file->cache->ops;
    real_cache = rig->f->file->cache->ops;
    ops.wrote = note_wrote;
    rig->f->file->cache->ops = &ops;
    store(&writes, 0);
    script(rig, &(struct step){.error = -EAGAIN}, 1);
    assert_int_equal(twostate_pwritev_async(rig->f->file, &iov, 1, 0,
                                            TWOSTATE_IO_DIRECT | TWOSTATE_IO_NOWAIT, pending_done,
                                            &pending),
                     0);
    assert_int_equal(pending_wait(&pending), -EAGAIN);
    assert_int_equal(load(&writes), 1);
    assert_int_equal(written, -EAGAIN);
    rig->f->file->cache->ops = real_cache;
}

/*
 * A direct read asks for nothing beyond the block that holds the end of file, where there may be space
 * that the file system has allocated ahead; none at all at or past the end. Pitfall E09.
 */
static void reads_end_with_the_file(void **state)
{
    struct rig *rig = *state;
    const size_t unit = rig->f->file->direct_offset;
    const size_t size = 2 * BLOCK + 100;

    if (rig->f->file->direct_fd < 0)
        skip();
    assert_int_equal(twostate_truncate(rig->f->file, (int64_t)size), 0);
    assert_int_equal(run(rig, false), size);
    assert_int_equal(rig->backend.length, (size + unit - 1) / unit * unit);
    assert_int_equal(twostate_truncate(rig->f->file, 0), 0);
    rig->backend.length = 0;
    assert_int_equal(run(rig, false), 0);
    assert_int_equal(rig->backend.length, 0);
}

#define BACKEND_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKEND_TEST(errors),
        BACKEND_TEST(error_after_a_part),
        BACKEND_TEST(interrupted_and_short),
        BACKEND_TEST(shorter_than_a_block),
        BACKEND_TEST(refused),
        BACKEND_TEST(held_while_in_flight),
        BACKEND_TEST(callback_comes_last),
        BACKEND_TEST(flags_of_a_request),
        BACKEND_TEST(cache_hears_of_writes),
        BACKEND_TEST(close_drains),
        BACKEND_TEST(close_waits_for_the_submitter),
        BACKEND_TEST(nowait_leaves_the_cache),
        BACKEND_TEST(reads_end_with_the_file),
    };

    return RUN_WITH_BACKENDS(tests);
}
