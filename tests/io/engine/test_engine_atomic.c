/* SPDX-License-Identifier: MIT */
/* Many threads on one file: reads see all or nothing of a write, in any mix of modes. */
#include "common.h"

#include "io/range.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define DIRECT TWOSTATE_IO_DIRECT

/* A range that is written as a whole by some threads and read as a whole by others. */
struct mix {
    int64_t offset;
    size_t length;
    unsigned writers[3]; /* flags; */
    unsigned readers[3];
    int writer_count;
    int reader_count;
    uint32_t rounds;
};

struct worker {
    struct task task;
    struct twostate_file *file;
    const struct mix *mix;
    unsigned flags;
    uint32_t *writing; /* writers that have not finished */
    unsigned char tag;
    bool halves; /* the file is cut in half now and then */
};

/* Waits for it in one way or the other. */
static ssize_t transfer(struct worker *w, char *buffer, bool write, bool async)
{
    const struct iovec iov = {buffer, w->mix->length};
    const int64_t offset = w->mix->offset;
    struct pending pending = {0};

    if (!async)
        return write ? twostate_pwritev(w->file, &iov, 1, offset, w->flags)
                     : twostate_preadv(w->file, &iov, 1, offset, w->flags);
    CHECK((write ? twostate_pwritev_async : twostate_preadv_async)(
              w->file, &iov, 1, offset, w->flags, pending_done, &pending) == 0);
    return (ssize_t)pending_wait(&pending);
}

/* One value per write, in every byte; so a torn read has two of them. */
static void write_range(void *arg)
{
    struct worker *w = arg;
    char *buffer = memory_new(w->mix->length);

    for (uint32_t i = 0; i < w->mix->rounds; i++) {
        memset(buffer, (int)(w->tag + 5 * (i % 50)), w->mix->length);
        CHECK(transfer(w, buffer, true, i % 4 == 0) == (ssize_t)w->mix->length);
    }
    add(w->writing, UINT32_MAX);
    free(buffer);
}

static bool uniform(const char *buffer, size_t length)
{
    return length == 0 || memcmp(buffer, buffer + 1, length - 1) == 0;
}

static void read_range(void *arg)
{
    struct worker *w = arg;
    const size_t length = w->mix->length;
    const size_t part = w->halves ? length / 2 : length;
    char *buffer = memory_new(length);

    for (uint32_t i = 0; load(w->writing); i++) {
        const ssize_t got = transfer(w, buffer, false, i % 4 == 0);

        CHECK(got >= 0 && (size_t)got % part == 0);
        for (size_t at = 0; at < (size_t)got; at += part)
            CHECK(uniform(buffer + at, part));
    }
    free(buffer);
}

static void start(struct worker *w, void (*run)(void *), struct fixture *f, const struct mix *mix,
                  unsigned flags, uint32_t *writing)
{
    w->file = f->file;
    w->mix = mix;
    w->flags = flags;
    w->writing = writing;
    task_start(&w->task, run, w);
}

static void run_mix(struct fixture *f, const struct mix *mix)
{
    struct worker workers[6] = {0};
    uint32_t writing = (uint32_t)mix->writer_count;
    char *buffer = memory_new(mix->length);
    int n = 0;

    memset(buffer, 1, mix->length);
    assert_int_equal(twostate_pwrite(f->file, buffer, mix->length, mix->offset, 0), mix->length);
    free(buffer);
    for (int i = 0; i < mix->writer_count; i++, n++) {
        workers[n].tag = (unsigned char)(n + 1);
        start(&workers[n], write_range, f, mix, mix->writers[i], &writing);
    }
    for (int i = 0; i < mix->reader_count; i++, n++)
        start(&workers[n], read_range, f, mix, mix->readers[i], &writing);
    while (n > 0)
        task_join(&workers[--n].task);
    AWAIT(file_is_free(f->file));
}

/* pitfall E01: ext4 and btrfs tear these, without a lock of the range. */
static void buffered_beside_buffered(void **state)
{
    const struct mix mix = {.length = 64 * KIB,
                            .writers = {0, 0},
                            .readers = {0, 0, TWOSTATE_IO_DONTCACHE},
                            .writer_count = 2,
                            .reader_count = 3,
                            .rounds = 1500};

    run_mix(*state, &mix);
}

static void buffered_across_stripes(void **state)
{
    const struct mix mix = {/* the slots of its stripes wrap round */
                            .offset = (RANGE_SLOTS - 1) * RANGE_STRIPE + 100,
                            .length = 250 * KIB,
                            .writers = {0, TWOSTATE_IO_DONTCACHE},
                            .readers = {0, 0},
                            .writer_count = 2,
                            .reader_count = 2,
                            .rounds = 300};

    run_mix(*state, &mix);
}

static void largest_atomic(void **state)
{
    const struct mix mix = {.offset = 777,
                            .length = TWOSTATE_IO_ATOMIC_MAX,
                            .writers = {0, DIRECT},
                            .readers = {0, DIRECT},
                            .writer_count = 2,
                            .reader_count = 2,
                            .rounds = 25};

    run_mix(*state, &mix);
}

/* pitfalls E01, E03: one direct writer, as two that overlap are not ordered. */
static void direct_write_beside_buffered(void **state)
{
    const struct mix mix = {.length = 64 * KIB,
                            .writers = {DIRECT, 0},
                            .readers = {0, 0, TWOSTATE_IO_DONTCACHE},
                            .writer_count = 2,
                            .reader_count = 3,
                            .rounds = 300};

    run_mix(*state, &mix);
}

/* pitfall E02: what is written back is never older than what a direct write put there. */
static void direct_reads_beside_buffered_writes(void **state)
{
    const struct mix mix = {.length = 64 * KIB,
                            .writers = {0, 0},
                            .readers = {DIRECT, DIRECT, 0},
                            .writer_count = 2,
                            .reader_count = 3,
                            .rounds = 300};

    run_mix(*state, &mix);
}

/* pitfall E06: any number of unaligned direct writers. */
static void unaligned_direct(void **state)
{
    const struct mix mix = {.offset = 100,
                            .length = 20001,
                            .writers = {DIRECT, DIRECT, 0},
                            .readers = {DIRECT, 0},
                            .writer_count = 3,
                            .reader_count = 2,
                            .rounds = 150};

    run_mix(*state, &mix);
}

/* Neighbours in one block: each writer has its bytes, none loses any to another. pitfall E06 */
#define STRIP 100

static void write_strip(void *arg)
{
    struct worker *w = arg;
    char buffer[STRIP];
    char back[STRIP];

    for (uint32_t i = 0; i < w->mix->rounds; i++) {
        memset(buffer, (int)(i % 100 + 1), STRIP);
        CHECK(twostate_pwrite(w->file, buffer, STRIP, (int64_t)w->tag * STRIP, w->flags) == STRIP);
        CHECK(twostate_pread(w->file, back, STRIP, (int64_t)w->tag * STRIP, w->flags) == STRIP);
        CHECK(memcmp(buffer, back, STRIP) == 0);
    }
    add(w->writing, UINT32_MAX);
}

static void neighbours_in_a_block(void **state)
{
    const struct mix mix = {.rounds = 60};
    struct worker workers[6] = {0};
    uint32_t writing = 6;

    for (int i = 0; i < 6; i++) {
        workers[i].tag = (unsigned char)i;
        start(&workers[i], write_strip, *state, &mix, i % 3 ? DIRECT : 0U, &writing);
    }
    for (int i = 0; i < 6; i++)
        task_join(&workers[i].task);
}

/* Truncate against all: what is read are whole halves, and no lengths but those that were set. */
static void truncate_range(void *arg)
{
    struct worker *w = arg;
    const int64_t length = (int64_t)w->mix->length;

    for (uint32_t i = 0; load(w->writing); i++) {
        const int64_t sizes[] = {0, length / 2, length, length / 2};

        CHECK(twostate_truncate(w->file, sizes[i % 4]) == 0);
    }
}

static void truncate_beside_everything(void **state)
{
    const struct mix mix = {.length = 64 * KIB, .rounds = 150};
    const unsigned flags[] = {0, 0, DIRECT, 0, 0, DIRECT};
    struct worker workers[6] = {0};
    struct fixture *f = *state;
    uint32_t writing = 2;

    for (int i = 0; i < 6; i++) {
        void (*const run)(void *) = i == 0 ? truncate_range : i < 3 ? write_range : read_range;

        workers[i].tag = (unsigned char)(i + 1);
        workers[i].halves = true;
        /* Direct reads are not atomic against direct writes. */
        start(&workers[i], run, f, &mix, i == 5 ? 0 : flags[i], &writing);
    }
    for (int i = 0; i < 6; i++)
        task_join(&workers[i].task);
    assert_true(file_known_size_(f->file) <= file_size_(f->file));
}

/* Two files, each remapped to the other at the same time, while both are written and read. */
struct remapper {
    struct task task;
    struct twostate_file *from;
    struct twostate_file *to;
    uint32_t *writing;
    int64_t length;
};

static void remap_range(void *arg)
{
    struct remapper *r = arg;

    while (load(r->writing))
        CHECK(twostate_remap(r->from, 0, r->to, 0, r->length) == r->length);
}

static void remap_both_ways(void **state)
{
    const struct mix mix = {.length = 64 * KIB, .rounds = 40};
    struct fixture *f = *state;
    struct fixture other = {.engine = f->engine};
    struct worker workers[6] = {0};
    struct remapper remappers[2] = {0};
    char *buffer = memory_new(mix.length);
    uint32_t writing = 2;

    scratch_open(&other.scratch);
    other.file = file_new(f->engine, &other.scratch, O_RDWR);
    assert_int_equal(twostate_pwrite(f->file, buffer, mix.length, 0, 0), mix.length);
    assert_int_equal(twostate_pwrite(other.file, buffer, mix.length, 0, 0), mix.length);
    for (int i = 0; i < 6; i++) {
        workers[i].tag = (unsigned char)(i + 1);
        start(&workers[i], i < 2 ? write_range : read_range, i % 2 ? f : &other, &mix,
              i == 1 || i == 2 ? DIRECT : 0U, &writing);
    }
    for (int i = 0; i < 2; i++) {
        remappers[i] = (struct remapper){.from = i ? f->file : other.file,
                                         .to = i ? other.file : f->file,
                                         .writing = &writing,
                                         .length = (int64_t)mix.length};
        task_start(&remappers[i].task, remap_range, &remappers[i]);
    }
    for (int i = 0; i < 6; i++)
        task_join(&workers[i].task);
    for (int i = 0; i < 2; i++)
        task_join(&remappers[i].task);
    AWAIT(file_is_free(other.file));
    assert_int_equal(twostate_file_close(other.file), 0);
    scratch_close(&other.scratch);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(buffered_beside_buffered),
        ENGINE_TEST(buffered_across_stripes),
        ENGINE_TEST(largest_atomic),
        ENGINE_TEST(direct_write_beside_buffered),
        ENGINE_TEST(direct_reads_beside_buffered_writes),
        ENGINE_TEST(unaligned_direct),
        ENGINE_TEST(neighbours_in_a_block),
        ENGINE_TEST(truncate_beside_everything),
        ENGINE_TEST(remap_both_ways),
    };

    return RUN_WITH_BACKENDS(tests);
}
