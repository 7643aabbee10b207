/* SPDX-License-Identifier: MIT */
/* Appends of many threads: each is found whole, where its call said, and none over another. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 4
#define RECORDS 60
#define SMALL   (48 * KIB)
#define LARGE   (MIB + 200 * KIB)

struct header {
    uint32_t magic;
    uint32_t thread;
    uint32_t number;
    uint32_t length; /* with the header; then as many bytes of `fill` */
};

#define MAGIC UINT32_C(0x7e57da7a)
#define END   ((int64_t)sizeof(struct header))

struct appender {
    struct task task;
    struct twostate_file *file;
    struct random random;
    uint32_t thread;
    unsigned flags; /* what its appends may have */
    bool large;     /* one of them is larger than what is atomic */
    uint32_t *appending;
    int64_t offsets[RECORDS];
    uint32_t lengths[RECORDS];
};

static unsigned char fill(const struct header *h)
{
    return (unsigned char)(h->thread * 50 + h->number + 1);
}

static uint32_t choose_length(struct appender *a, uint32_t number)
{
    const uint32_t some = (uint32_t)random_below(&a->random, SMALL - sizeof(struct header));

    if (a->large && number == RECORDS / 2)
        return LARGE + some;
    return random_below(&a->random, 3) ? some + (uint32_t)END : some / 4096 * 4096 + 4096;
}

static int64_t append(struct appender *a, char *buffer, uint32_t length, int64_t *at)
{
    const struct iovec iov[2] = {{buffer, 7}, {buffer + 7, length - 7}};
    const bool direct = (a->flags & TWOSTATE_IO_DIRECT) && random_below(&a->random, 2);
    const unsigned flags = a->flags & ~(direct ? 0U : (unsigned)TWOSTATE_IO_DIRECT);

    if (random_below(&a->random, 2))
        return twostate_append(a->file, iov, 2, flags, at);
    return twostate_append(a->file, &(struct iovec){buffer, length}, 1, flags, at);
}

static void append_records(void *arg)
{
    struct appender *a = arg;
    char *buffer = memory_new(LARGE + SMALL);

    for (uint32_t i = 0; i < RECORDS; i++) {
        const struct header h = {MAGIC, a->thread, i, choose_length(a, i)};

        memset(buffer, fill(&h), h.length);
        memcpy(buffer, &h, sizeof(h));
        CHECK(append(a, buffer, h.length, &a->offsets[i]) == (int64_t)h.length);
        a->lengths[i] = h.length;
    }
    add(a->appending, UINT32_MAX);
    free(buffer);
}

/* The record at the front of n bytes is all there; its length. */
static size_t check_record(const char *buffer, size_t n, struct header *h)
{
    CHECK(n >= sizeof(*h));
    memcpy(h, buffer, sizeof(*h));
    CHECK(h->magic == MAGIC && h->thread < THREADS && h->number < RECORDS);
    CHECK(h->length <= n);
    for (size_t i = sizeof(*h); i < h->length; i++)
        CHECK((unsigned char)buffer[i] == fill(h));
    return h->length;
}

struct tail {
    struct task task;
    struct twostate_file *file;
    unsigned flags;
    uint32_t *appending;
};

/* pitfalls E08, E09: a read at the end of file sees all of an append, or nothing. */
static void follow(void *arg)
{
    const size_t most = 4 * SMALL;
    struct tail *t = arg;
    char *buffer = memory_new(most);
    struct header h;
    int64_t at = 0;
    bool more = true;

    while (more) {
        const bool last = load(t->appending) == 0;
        const ssize_t got = twostate_pread(t->file, buffer, most, at, t->flags);
        size_t seen = 0;

        CHECK(got >= 0);
        while ((size_t)got - seen > 0 && ((size_t)got < most || seen + SMALL < most))
            seen += check_record(buffer + seen, (size_t)got - seen, &h);
        at += (int64_t)seen;
        more = got > 0 || !last;
    }
    CHECK(at == file_size_(t->file));
    free(buffer);
}

/* The file consists of the records, and each is where its call said. */
static void check_file(struct fixture *f, const struct appender *appenders)
{
    const int64_t size = file_size_(f->file);
    char *buffer = memory_new(LARGE + SMALL);
    uint32_t records = 0;
    int64_t at = 0;

    while (at < size) {
        struct header h;
        const ssize_t got = twostate_pread(f->file, buffer, LARGE + SMALL, at, 0);

        assert_true(got > 0);
        (void)check_record(buffer, (size_t)got, &h);
        assert_int_equal(appenders[h.thread].offsets[h.number], at);
        assert_int_equal(appenders[h.thread].lengths[h.number], h.length);
        at += h.length;
        records++;
    }
    assert_int_equal(at, size);
    assert_int_equal(records, THREADS * RECORDS);
    free(buffer);
}

static void run(struct fixture *f, const unsigned *flags, bool large, bool tail)
{
    const uint64_t seed = seed_choose();
    struct appender *appenders = calloc(THREADS, sizeof(*appenders));
    uint32_t appending = THREADS;
    struct tail tails[2] = {{.file = f->file, .appending = &appending},
                            {.file = f->file, .appending = &appending}};

    assert_non_null(appenders);
    for (uint32_t i = 0; i < THREADS; i++) {
        appenders[i].file = f->file;
        appenders[i].random.state = seed + i;
        appenders[i].thread = i;
        appenders[i].flags = flags[i];
        appenders[i].large = large && i % 2 == 0;
        appenders[i].appending = &appending;
        task_start(&appenders[i].task, append_records, &appenders[i]);
    }
    for (int i = 0; tail && i < 2; i++)
        task_start(&tails[i].task, follow, &tails[i]);
    for (int i = 0; i < THREADS; i++)
        task_join(&appenders[i].task);
    for (int i = 0; tail && i < 2; i++)
        task_join(&tails[i].task);
    check_file(f, appenders);
    free(appenders);
}

static void buffered(void **state)
{
    const unsigned flags[THREADS] = {0, 0, TWOSTATE_IO_DONTCACHE, 0};

    run(*state, flags, false, true);
}

static void buffered_and_direct(void **state)
{
    const unsigned flags[THREADS] = {0, TWOSTATE_IO_DIRECT, TWOSTATE_IO_DIRECT, 0};

    run(*state, flags, false, true);
}

/* Those beyond what is atomic are contiguous all the same. */
static void large(void **state)
{
    const unsigned flags[THREADS] = {0, TWOSTATE_IO_DIRECT, TWOSTATE_IO_DIRECT, 0};

    run(*state, flags, true, false);
}

/* Aligned direct appends to an aligned end take the path past the cache. */
#define BLOCK 4096

struct blocks {
    struct task task;
    struct twostate_file *file;
    unsigned char tag;
    int64_t offsets[RECORDS];
};

static void append_blocks(void *arg)
{
    struct blocks *b = arg;
    char *buffer = memory_new(BLOCK);
    const struct iovec iov = {buffer, BLOCK};

    memset(buffer, b->tag, BLOCK);
    for (int i = 0; i < RECORDS; i++)
        CHECK(twostate_append(b->file, &iov, 1, TWOSTATE_IO_DIRECT, &b->offsets[i]) == BLOCK);
    free(buffer);
}

static void aligned_direct(void **state)
{
    struct fixture *f = *state;
    struct blocks blocks[THREADS] = {0};
    char *buffer = memory_new(BLOCK);

    for (int i = 0; i < THREADS; i++) {
        blocks[i].file = f->file;
        blocks[i].tag = (unsigned char)(i + 1);
        task_start(&blocks[i].task, append_blocks, &blocks[i]);
    }
    for (int i = 0; i < THREADS; i++)
        task_join(&blocks[i].task);
    assert_int_equal(file_size_(f->file), THREADS * RECORDS * BLOCK);
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; k < RECORDS; k++) {
            assert_int_equal(twostate_pread(f->file, buffer, BLOCK, blocks[i].offsets[k], 0),
                             BLOCK);
            assert_int_equal((unsigned char)buffer[0], blocks[i].tag);
            assert_memory_equal(buffer, buffer + 1, BLOCK - 1);
        }
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(buffered),
        ENGINE_TEST(buffered_and_direct),
        ENGINE_TEST(large),
        ENGINE_TEST(aligned_direct),
    };

    return RUN_WITH_BACKENDS(tests);
}
