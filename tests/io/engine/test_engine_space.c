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

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(file_size_limit),
        ENGINE_TEST(full_file_system),
    };

    (void)signal(SIGXFSZ, SIG_IGN);
    return RUN_WITH_BACKENDS(tests);
}
