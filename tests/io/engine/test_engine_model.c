/* SPDX-License-Identifier: MIT */
/*
 * Random calls, one after the other, against a model: two files in plain memory. Whatever the mode
 * of a call, its alignment and its pieces, both have the same bytes at every step.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (3 * MIB)
#define MOST      (MIB + 300 * KIB)
#define STEPS     1500
#define PIECES    1024

struct model {
    struct twostate_file *file;
    struct scratch scratch;
    char *bytes;
    int64_t size;
};

struct world {
    struct twostate_engine *engine;
    struct random random;
    struct model models[2];
    struct model *m; /* whose turn it is */
    char *buffer;    /* MOST and a page */
    char *shadow;
    char *pattern; /* what is written, from some place on */
    struct iovec iov[PIECES];
    int step;
};

/* A number below `end`, most often near a boundary of something. */
static int64_t choose(struct world *w, int64_t end)
{
    const int64_t grains[] = {1, 512, 4096, 65536, (int64_t)MIB};
    const int64_t grain = grains[random_below(&w->random, 5)];
    int64_t value = (int64_t)random_below(&w->random, (size_t)end);

    switch (random_below(&w->random, 4)) {
    case 0:
        value = w->m->size;
        break;
    case 1:
        value = value / grain * grain + (int64_t)random_below(&w->random, 3) - 1;
        break;
    default:
        value = value / grain * grain;
    }
    return value < 0 ? 0 : value < end ? value : end - 1;
}

static size_t choose_length(struct world *w)
{
    const size_t ends[] = {2, 700, 9000, 9000, 70000, 70000, MIB + 2, MOST};

    return (size_t)choose(w, (int64_t)ends[random_below(&w->random, 8)]);
}

/* Cuts the buffer into pieces, some of them empty. Returns how many. */
static int choose_pieces(struct world *w, size_t length)
{
    const size_t grain = random_below(&w->random, 2) ? 512 : 1;
    const int counts[] = {1, 1, 2, 7, 8, 9, 100, PIECES};
    const int count = counts[random_below(&w->random, 8)];
    char *next = w->buffer + (random_below(&w->random, 2) ? 0 : random_below(&w->random, 4096));
    size_t left = length;

    for (int i = 0; i < count; i++) {
        size_t n = left;

        if (i + 1 < count)
            n = random_below(&w->random, 4) ? left / (size_t)(count - i) / grain * grain : 0;
        w->iov[i] = (struct iovec){.iov_base = n ? next : NULL, .iov_len = n};
        next += n;
        left -= n;
    }
    return count;
}

static unsigned choose_flags(struct world *w, bool write)
{
    unsigned flags = 0;

    flags |= random_below(&w->random, 2) ? TWOSTATE_IO_DIRECT : 0U;
    flags |= random_below(&w->random, 6) ? 0U : (unsigned)TWOSTATE_IO_NOWAIT;
    flags |= random_below(&w->random, 4) ? 0U : (unsigned)TWOSTATE_IO_DONTCACHE;
    if (write) {
        flags |= random_below(&w->random, 30) ? 0U : (unsigned)TWOSTATE_IO_DSYNC;
        flags |= random_below(&w->random, 5) ? 0U : (unsigned)TWOSTATE_IO_APPEND;
    }
    return flags;
}

/* Between the pieces and plain memory. */
static void copy_pieces(const struct world *w, int count, char *plain, bool out)
{
    for (int i = 0; i < count; i++) {
        if (w->iov[i].iov_len == 0)
            continue;
        if (out)
            memcpy(plain, w->iov[i].iov_base, w->iov[i].iov_len);
        else
            memcpy(w->iov[i].iov_base, plain, w->iov[i].iov_len);
        plain += w->iov[i].iov_len;
    }
}

static int64_t transfer(struct world *w, bool write, int count, int64_t offset, unsigned flags)
{
    struct pending pending = {0};
    int result = 0;

    if (random_below(&w->random, 3))
        return write ? twostate_pwritev(w->m->file, w->iov, count, offset, flags)
                     : twostate_preadv(w->m->file, w->iov, count, offset, flags);
    result = write ? twostate_pwritev_async(w->m->file, w->iov, count, offset, flags, pending_done,
                                            &pending)
                   : twostate_preadv_async(w->m->file, w->iov, count, offset, flags, pending_done,
                                           &pending);
    return result ? result : pending_wait(&pending);
}

/* With NOWAIT a call may have done nothing, or a part. */
static void expect(const struct world *w, int64_t result, int64_t full, unsigned flags)
{
    if (result == full ||
        ((flags & TWOSTATE_IO_NOWAIT) && (result == -EAGAIN || (result > 0 && result < full))))
        return;
    printf("step %d, flags %u: %lld, not %lld\n", w->step, flags, (long long)result,
           (long long)full);
    fail();
}

static void expect_bytes(const struct world *w, const char *real, const char *model, size_t length)
{
    size_t at = 0;

    if (memcmp(real, model, length) == 0)
        return;
    while (real[at] == model[at])
        at++;
    printf("step %d: byte %zu of %zu is %d, not %d\n", w->step, at, length, real[at], model[at]);
    fail();
}

/* pitfall E09: nothing beyond the end of file comes in, nor anything that never was there. */
static void do_read(struct world *w)
{
    const struct model *m = w->m;
    const size_t length = choose_length(w);
    const int64_t offset = choose(w, FILE_MOST + 10000);
    const unsigned flags = choose_flags(w, false);
    const int count = choose_pieces(w, length);
    int64_t full = m->size > offset ? m->size - offset : 0;
    int64_t result = 0;

    full = full < (int64_t)length ? full : (int64_t)length;
    memset(w->shadow, 0x55, length);
    copy_pieces(w, count, w->shadow, false);
    result = transfer(w, false, count, offset, flags);
    expect(w, result, full, flags);
    copy_pieces(w, count, w->shadow, true);
    if (result > 0)
        expect_bytes(w, w->shadow, m->bytes + offset, (size_t)result);
}

static void grow(struct model *m, int64_t size)
{
    m->size = m->size < size ? size : m->size;
}

static void do_write(struct world *w)
{
    struct model *m = w->m;
    const unsigned flags = choose_flags(w, true);
    const bool append = flags & TWOSTATE_IO_APPEND;
    const int64_t offset = append ? m->size : choose(w, FILE_MOST);
    size_t length = choose_length(w);
    int64_t at = -1;
    int64_t result = 0;
    int count = 0;

    if (offset + (int64_t)length > (int64_t)FILE_MOST)
        length = (size_t)((int64_t)FILE_MOST - offset);
    count = choose_pieces(w, length);
    memcpy(w->shadow, w->pattern + w->step % 251, length);
    copy_pieces(w, count, w->shadow, false);
    if (append && random_below(&w->random, 2))
        result = twostate_append(m->file, w->iov, count, flags, &at);
    else
        result = transfer(w, true, count, append ? -5 : offset, flags);
    expect(w, result, (int64_t)length, flags);
    if (result <= 0)
        return;
    assert_true(at == -1 || at == offset);
    memcpy(m->bytes + offset, w->shadow, (size_t)result);
    grow(m, offset + result);
}

static void do_truncate(struct world *w)
{
    struct model *m = w->m;
    const int64_t size = choose(w, FILE_MOST);

    assert_int_equal(twostate_truncate(m->file, size), 0);
    if (size < m->size)
        memset(m->bytes + size, 0, (size_t)(m->size - size));
    m->size = size;
}

static void collapse_or_insert(struct world *w, int mode, int64_t offset, int64_t length)
{
    struct model *m = w->m;
    const bool insert = mode == FALLOC_FL_INSERT_RANGE;
    int result = 0;

    offset = offset / 4096 * 4096;
    length = length / 4096 * 4096 + 4096;
    if (offset + (insert ? 0 : length) >= m->size || m->size + length > (int64_t)FILE_MOST)
        return;
    result = twostate_fallocate(m->file, mode, offset, length);
    if (result == -EOPNOTSUPP)
        return;
    assert_int_equal(result, 0);
    if (insert) {
        memmove(m->bytes + offset + length, m->bytes + offset, (size_t)(m->size - offset));
        memset(m->bytes + offset, 0, (size_t)length);
        m->size += length;
    } else {
        memmove(m->bytes + offset, m->bytes + offset + length, (size_t)(m->size - offset - length));
        m->size -= length;
        memset(m->bytes + m->size, 0, (size_t)length);
    }
}

static void do_fallocate(struct world *w)
{
    const int modes[] = {0,
                         FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_ZERO_RANGE,
                         FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                         FALLOC_FL_COLLAPSE_RANGE,
                         FALLOC_FL_INSERT_RANGE};
    const int mode = modes[random_below(&w->random, 7)];
    struct model *m = w->m;
    const int64_t offset = choose(w, FILE_MOST);
    int64_t length = (int64_t)choose_length(w) + 1;
    int result = 0;

    if (offset + length > (int64_t)FILE_MOST)
        length = (int64_t)FILE_MOST - offset;
    if (mode == FALLOC_FL_COLLAPSE_RANGE || mode == FALLOC_FL_INSERT_RANGE) {
        collapse_or_insert(w, mode, offset, length);
        return;
    }
    result = twostate_fallocate(m->file, mode, offset, length);
    if (result == -EOPNOTSUPP)
        return;
    assert_int_equal(result, 0);
    if (mode & (FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE))
        memset(m->bytes + offset, 0, (size_t)length);
    if (!(mode & FALLOC_FL_KEEP_SIZE))
        grow(m, offset + length);
}

static void do_remap(struct world *w)
{
    struct model *to = &w->models[random_below(&w->random, 2)];
    struct model *from = w->m;
    const int64_t source = choose(w, FILE_MOST);
    const int64_t target = choose(w, FILE_MOST);
    const int64_t apart = source < target ? target - source : source - target;
    int64_t length = (int64_t)choose_length(w);
    int64_t full = 0;

    if (target + length > (int64_t)FILE_MOST)
        length = (int64_t)FILE_MOST - target;
    full = from->size > source ? from->size - source : 0;
    full = full < length ? full : length;
    if (from == to && apart < length)
        full = -EINVAL;
    assert_int_equal(twostate_remap(from->file, source, to->file, target, length), full);
    if (full <= 0)
        return;
    memmove(to->bytes + target, from->bytes + source, (size_t)full);
    grow(to, target + full);
}

/* What is between the offset and the next data is zero; a hole is there at the end at last. */
static void do_seek(struct world *w)
{
    const struct model *m = w->m;
    const int64_t offset = choose(w, FILE_MOST);
    const int64_t data = twostate_seek(m->file, offset, SEEK_DATA);
    const int64_t hole = twostate_seek(m->file, offset, SEEK_HOLE);
    const int64_t end = data < 0 ? m->size : data;

    assert_true(data == -ENXIO || (data >= offset && data < m->size));
    assert_true(offset < m->size ? hole >= offset && hole <= m->size : hole == -ENXIO);
    if (offset < end)
        assert_true(m->bytes[offset] == 0 && memcmp(m->bytes + offset, m->bytes + offset + 1,
                                                    (size_t)(end - offset - 1)) == 0);
}

static void do_sync(struct world *w)
{
    struct twostate_file_stat stat;
    struct pending pending = {0};

    assert_int_equal(twostate_stat(w->m->file, &stat), 0);
    assert_int_equal(stat.size, w->m->size);
    assert_true(file_known_size_(w->m->file) <= w->m->size);
    if (random_below(&w->random, 10))
        return;
    assert_int_equal(twostate_fsync_async(w->m->file, pending_done, &pending), 0);
    assert_int_equal(pending_wait(&pending), 0);
    assert_int_equal(twostate_fdatasync(w->m->file), 0);
    assert_int_equal(twostate_file_close(w->m->file), 0);
    w->m->file = file_new(w->engine, &w->m->scratch, O_RDWR);
}

/*
 * Through a descriptor that the engine knows nothing of. Up to the end of the file's last block: a
 * direct read of more can fail on XFS with EIO, where space is reserved beyond that end.
 */
static void compare_whole(struct world *w, int mode)
{
    char *bytes = memory_new(FILE_MOST + 4096);
    const size_t length = ((size_t)w->m->size + 4095) / 4096 * 4096;
    struct stat stat;
    const int fd = open(w->m->scratch.path, O_RDONLY | O_CLOEXEC | mode);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_size, w->m->size);
    assert_int_equal(pread(fd, bytes, length, 0), w->m->size);
    expect_bytes(w, bytes, w->m->bytes, (size_t)w->m->size);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

static void world_enter(struct world *w, uint64_t seed)
{
    *w = (struct world){.random.state = seed, .engine = engine_new(0, 0)};
    for (int i = 0; i < 2; i++) {
        scratch_open(&w->models[i].scratch);
        w->models[i].file = file_new(w->engine, &w->models[i].scratch, O_RDWR);
        w->models[i].bytes = memory_new(FILE_MOST + MOST + 4096);
    }
    w->m = &w->models[0];
    w->buffer = memory_new(MOST + 4096);
    w->shadow = memory_new(MOST);
    w->pattern = memory_new(MOST + 256);
    for (size_t i = 0; i < MOST + 256; i++)
        w->pattern[i] = (char)(i * 7 + i / 256 + 1);
}

static void world_leave(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        w->m = &w->models[i];
        compare_whole(w, 0);
        assert_true(file_is_free(w->m->file));
        assert_int_equal(twostate_file_close(w->m->file), 0);
        compare_whole(w, O_DIRECT);
        scratch_close(&w->m->scratch);
        free(w->m->bytes);
    }
    assert_int_equal(twostate_engine_destroy(w->engine), 0);
    free(w->buffer);
    free(w->shadow);
    free(w->pattern);
}

static void random_calls(void **state)
{
    void (*const calls[])(struct world *) = {
        do_read,  do_read,     do_read,      do_read,  do_write, do_write, do_write,
        do_write, do_truncate, do_fallocate, do_remap, do_seek,  do_sync};
    struct world *w = malloc(sizeof(*w));

    (void)state;
    assert_non_null(w);
    world_enter(w, seed_choose());
    for (w->step = 0; w->step < STEPS; w->step++) {
        w->m = &w->models[random_below(&w->random, 4) == 0];
        calls[random_below(&w->random, sizeof(calls) / sizeof(calls[0]))](w);
        if (w->step % 100 == 0)
            compare_whole(w, 0);
    }
    world_leave(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls)};

    return RUN_WITH_BACKENDS(tests);
}
