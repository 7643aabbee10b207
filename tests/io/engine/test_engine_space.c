/* SPDX-License-Identifier: MIT */
/* No more space, or none that the process may have: what fits is written, and the rest is said. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LIMIT ((int64_t)(64 * KIB))

static void set_limit(rlim_t limit)
{
    struct rlimit rlimit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &rlimit), 0);
    rlimit.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &rlimit), 0);
}

static void file_size_limit(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(3 * MIB);
    const struct iovec block = {buffer, 4096};
    int64_t at = -1;

    set_limit((rlim_t)LIMIT);
    for (unsigned flags = 0; flags < 2; flags++) {
        struct pending pending = {0};

        assert_int_equal(twostate_truncate(f->file, 0), 0);
        assert_int_equal(twostate_pwrite(f->file, buffer, 2 * LIMIT, 0, flags), LIMIT);
        assert_int_equal(file_known_size_(f->file), LIMIT);
        assert_int_equal(twostate_pwrite(f->file, buffer, 4096, LIMIT, flags), -EFBIG);
        assert_int_equal(twostate_append(f->file, &block, 1, flags, &at), -EFBIG);
        assert_int_equal(
            twostate_pwritev_async(f->file, &block, 1, LIMIT, flags, pending_done, &pending), 0);
        assert_int_equal(pending_wait(&pending), -EFBIG);
        assert_int_equal(twostate_truncate(f->file, LIMIT - 8192), 0);
        assert_int_equal(twostate_append(f->file, &(struct iovec){buffer, 3 * MIB}, 1, flags, &at),
                         8192);
        assert_int_equal(at, LIMIT - 8192);
        assert_int_equal(twostate_pread(f->file, buffer, 2 * LIMIT, 0, flags), LIMIT);
        AWAIT(file_is_free(f->file));
    }
    assert_int_equal(twostate_truncate(f->file, LIMIT + 1), -EFBIG);
    assert_int_equal(twostate_fallocate(f->file, 0, 0, LIMIT + 1), -EFBIG);
    assert_int_equal(file_known_size_(f->file), LIMIT);
    set_limit(RLIM_INFINITY);
    free(buffer);
}

/* Only on a file system that is small: see on_loop.sh. */
static void full_file_system(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(MIB);
    struct statvfs space;
    int64_t size = 0;
    int64_t moved = 0;

    assert_int_equal(statvfs(test_directory(), &space), 0);
    if ((uint64_t)space.f_bavail * space.f_frsize > 600 * MIB) {
        printf("NOT TESTED: the file system here is too large to be filled\n");
        free(buffer);
        return;
    }
    for (unsigned flags = 0; flags < 2; flags++) {
        memset(buffer, 'a' + (int)flags, MIB);
        do {
            size += moved;
            moved = twostate_append(f->file, &(struct iovec){buffer, MIB}, 1, flags, NULL);
        } while (moved > 0);
        assert_int_equal(moved, -ENOSPC);
        assert_int_equal(file_ask_size_(f->file), size);
        assert_int_equal(twostate_pread(f->file, buffer, 1, size - 1, flags), 1);
        (void)twostate_fsync(f->file); /* delayed allocation may have promised too much */
        assert_int_equal(twostate_file_close(f->file), 0);
        f->file = file_new(f->engine, &f->scratch, O_RDWR);
        size = 0;
        moved = 0;
        assert_int_equal(twostate_truncate(f->file, 0), 0);
        assert_int_equal(twostate_fsync(f->file), 0);
    }
    free(buffer);
}

static int64_t fill(int fd, const char *data)
{
    int64_t size = 0;

    for (size_t piece = MIB; piece >= 4096; piece /= 2) {
        ssize_t moved = pwrite(fd, data, piece, size);

        while (moved > 0) {
            size += moved;
            moved = pwrite(fd, data, piece, size);
        }
    }
    (void)fsync(fd);
    return size;
}

/* A hole over what is dirty, and has no space on disk, gives space, rather than that it takes some. */
static void hole_on_full_file_system(void **state)
{
    const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER};
    struct fixture *f = *state;
    struct twostate_file *file = NULL;
    char *data = memory_new(MIB);
    struct scratch scratch;
    struct statvfs space;

    assert_int_equal(statvfs(test_directory(), &space), 0);
    if ((uint64_t)space.f_bavail * space.f_frsize > 600 * MIB) {
        free(data);
        return;
    }
    scratch_open(&scratch);
    CHECK(twostate_file_open_with(f->engine, scratch.path, O_RDWR, 0, &user, &file) == 0);
    memset(data, 'a', MIB);
    assert_int_equal(twostate_pwrite(file, data, MIB, 0, 0), MIB);
    assert_int_equal(twostate_fsync(file), 0);
    (void)fill(f->scratch.fd, data);
    memset(data, 'b', MIB);
    for (int64_t at = (int64_t)MIB; at < 9 * (int64_t)MIB; at += (int64_t)MIB)
        assert_int_equal(twostate_pwrite(file, data, MIB, at, 0), MIB);
    assert_int_equal(twostate_fsync(file), -ENOSPC);
    /* Half of what is on disk, and all but half a MiB of what is not. */
    assert_int_equal(twostate_fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                        (int64_t)MIB / 4, 35 * (int64_t)MIB / 4 - (int64_t)MIB / 2),
                     0);
    assert_int_equal(twostate_fsync(file), 0);
    disk_read(&scratch, data, MIB, 0);
    assert_true(data[0] == 'a' && data[MIB / 4 - 1] == 'a' && data[MIB / 4] == 0);
    disk_read(&scratch, data, MIB, 8 * (int64_t)MIB);
    assert_true(data[0] == 0 && data[MIB / 2 - 1] == 0);
    assert_true(data[MIB / 2] == 'b' && data[MIB - 1] == 'b');
    assert_int_equal(twostate_file_close(file), 0);
    scratch_close(&scratch);
    CHECK(ftruncate(f->scratch.fd, 0) == 0);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(file_size_limit),
        ENGINE_TEST(full_file_system),
        ENGINE_TEST(hole_on_full_file_system),
    };

    (void)signal(SIGXFSZ, SIG_IGN);
    return RUN_WITH_BACKENDS(tests);
}
