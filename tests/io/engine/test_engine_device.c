/* SPDX-License-Identifier: MIT */
/* A block device: requests that are smaller than its sectors, and those that reach past its end. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTION ((size_t)64 * KIB)

static const char *device;

struct device_rig {
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct twostate_file_stat stat;
    char *buffer;
};

static int enter_with(void **state, enum twostate_cache cache)
{
    const struct twostate_file_options options = {.cache = cache};
    struct device_rig *r = calloc(1, sizeof(*r));

    CHECK(r);
    r->engine = engine_new(0, 0);
    CHECK(twostate_file_open_with(r->engine, device, O_RDWR, 0, &options, &r->file) == 0);
    CHECK(twostate_stat(r->file, &r->stat) == 0);
    r->buffer = memory_new(SECTION);
    *state = r;
    return 0;
}

static int enter(void **state)
{
    return enter_with(state, TWOSTATE_CACHE_KERNEL);
}

static int enter_user(void **state)
{
    return enter_with(state, TWOSTATE_CACHE_USER);
}

static int leave(void **state)
{
    struct device_rig *r = *state;

    AWAIT(file_is_free(r->file));
    CHECK(twostate_file_close(r->file) == 0);
    CHECK(twostate_engine_destroy(r->engine) == 0);
    free(r->buffer);
    free(r);
    return 0;
}

/* pitfall E14 */
static void smaller_than_a_sector(void **state)
{
    struct device_rig *r = *state;
    char *model = memory_new(SECTION);
    unsigned flags = TWOSTATE_IO_DIRECT;

    assert_true(r->stat.direct_offset >= 512);
    assert_int_equal(twostate_pwrite(r->file, model, SECTION, 0, 0), SECTION);
    for (size_t i = 0; i < 100; i++, flags ^= i % 3 ? (unsigned)TWOSTATE_IO_DIRECT : 0U) {
        const size_t offset = i * 512 % (SECTION - 4096);
        const size_t length = i % 4 ? 512 * (1 + i % 8) : 1 + i;
        struct pending pending = {0};

        memset(r->buffer, (int)i + 1, length);
        memset(model + offset, (int)i + 1, length);
        assert_int_equal(twostate_pwritev_async(r->file, &(struct iovec){r->buffer, length}, 1,
                                                (int64_t)offset, flags, pending_done, &pending),
                         0);
        assert_int_equal(pending_wait(&pending), length);
        assert_int_equal(
            twostate_pread(r->file, r->buffer, length, (int64_t)offset, TWOSTATE_IO_DIRECT),
            length);
        assert_memory_equal(r->buffer, model + offset, length);
    }
    assert_int_equal(twostate_pread(r->file, r->buffer, SECTION, 0, 0), SECTION);
    assert_memory_equal(r->buffer, model, SECTION);
    AWAIT(file_is_free(r->file));
    free(model);
}

static void past_the_end(void **state)
{
    struct device_rig *r = *state;
    const int64_t size = r->stat.size;
    const struct iovec iov = {r->buffer, 4096};

    assert_int_equal(size, 16 * MIB);
    for (unsigned flags = 0; flags < 2; flags++) {
        assert_int_equal(twostate_pread(r->file, r->buffer, 4096, size, flags), 0);
        assert_int_equal(twostate_pread(r->file, r->buffer, 4096, size - 100, flags), 100);
        assert_int_equal(twostate_pwrite(r->file, r->buffer, 8192, size - 4096, flags), 4096);
        assert_int_equal(twostate_pwrite(r->file, r->buffer, 4096, size, flags), -ENOSPC);
        assert_int_equal(twostate_append(r->file, &iov, 1, flags, NULL), -ENOSPC);
    }
    assert_true(twostate_truncate(r->file, 0) < 0);
    assert_int_equal(file_known_size_(r->file), size);
    assert_int_equal(twostate_fsync(r->file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(smaller_than_a_sector, enter, leave),
        cmocka_unit_test_setup_teardown(past_the_end, enter, leave),
        cmocka_unit_test_setup_teardown(smaller_than_a_sector, enter_user, leave),
        cmocka_unit_test_setup_teardown(past_the_end, enter_user, leave),
    };

    device = getenv("TWOSTATE_TEST_DEVICE");
    if (device == NULL) {
        printf("NOT TESTED: $TWOSTATE_TEST_DEVICE names no block device\n");
        return 77;
    }
    return RUN_WITH_BACKENDS(tests);
}
