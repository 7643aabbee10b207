/* SPDX-License-Identifier: MIT */
/*
 * A disk that fails at random, through the kernel: see on_nbd.sh. Random requests, some at once, while
 * it fails now and then; whatever was acknowledged is there, and what fsync said to be on disk is
 * on disk, which is looked at behind the kernel's back.
 */
#include "model.h"

#include "engine/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <twostate/validate.h>

#define SIZE   MIB
#define SLOTS  16 /* requests at once are in different ones */
#define SLOT   (SIZE / SLOTS)
#define ROUNDS 8
#define STEPS  12

struct one {
    struct pending pending;
    bool write;
    unsigned flags;
    int64_t offset;
    size_t length;
    unsigned number;
    char *memory;
};

struct rig {
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct model model;
    struct random random;
    struct one ones[SLOTS];
    char *seen;
    int image;
    bool broken;
    unsigned failures; /* of requests and syncs */
    bool lost;         /* the kernel may have lost something, and says so for ever */
};

static enum twostate_cache cache;

static const char *given(const char *name)
{
    const char *value = getenv(name);

    CHECK(value);
    return value;
}

static bool odds(struct rig *r, size_t of)
{
    return random_below(&r->random, of) == 0;
}

static void set_broken(struct rig *r, bool broken)
{
    const char *const path = given("TWOSTATE_TEST_BROKEN");

    if (broken && !r->broken)
        CHECK(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
    else if (!broken && r->broken)
        CHECK(unlink(path) == 0);
    r->broken = broken;
}

static void open_file(struct rig *r)
{
    const struct twostate_file_options options = {.cache = cache};

    CHECK(twostate_file_open_with(r->engine, given("TWOSTATE_TEST_NBD"), O_RDWR, 0, &options,
                                  &r->file) == 0);
    r->lost = false;
}

static void see(struct rig *r, const char *data, size_t length, int64_t offset, const char *who)
{
    const int64_t wrong = model_see(&r->model, data, length, offset);

    if (wrong < 0)
        return;
    print_error("%s is wrong at %lld: %02x, of the writes %x\n", who, (long long)wrong,
                data[wrong - offset] & 0xff, r->model.may[wrong]);
    fail();
}

/* A write that nothing in its range may be of. */
static unsigned new_number(const struct rig *r, const struct one *one)
{
    uint32_t there = 1;
    unsigned number = 1;

    for (size_t i = 0; i < one->length; i++)
        there |= r->model.may[(size_t)one->offset + i];
    while (number < MODEL_WRITES - 1 && (there >> number & 1))
        number++;
    return number;
}

static void choose(struct rig *r, struct one *one, size_t slot)
{
    const bool aligned = odds(r, 2);
    const size_t unit = aligned ? 4096 : 1;
    const size_t at = random_below(&r->random, SLOT / unit) * unit;

    one->write = odds(r, 2);
    one->flags = odds(r, 2) ? TWOSTATE_IO_DIRECT : 0;
    if (one->write && odds(r, 8))
        one->flags |= TWOSTATE_IO_DSYNC;
    one->offset = (int64_t)(slot * SLOT + at);
    one->length = (random_below(&r->random, (SLOT - at) / unit) + 1) * unit;
    one->pending = (struct pending){0};
    if (one->write) {
        one->number = new_number(r, one);
        model_fill(one->memory, one->length, one->offset, one->number);
    }
}

static void start(struct rig *r, struct one *one)
{
    const struct iovec iov = {one->memory, one->length};

    assert_int_equal((one->write ? twostate_pwritev_async : twostate_preadv_async)(
                         r->file, &iov, 1, one->offset, one->flags, pending_done, &one->pending),
                     0);
}

static void run(struct rig *r, struct one *one)
{
    const struct iovec iov = {one->memory, one->length};

    one->pending.result = one->write ? twostate_pwritev(r->file, &iov, 1, one->offset, one->flags)
                                     : twostate_preadv(r->file, &iov, 1, one->offset, one->flags);
}

/* On disk, so much is certain. */
static void look_at_image(struct rig *r, int64_t offset, size_t length)
{
    assert_int_equal(pread(r->image, r->seen, length, offset), length);
    see(r, r->seen, length, offset, "the image");
}

static void judge(struct rig *r, const struct one *one)
{
    const int64_t result = one->pending.result;
    const size_t moved = result > 0 ? (size_t)result : 0;

    if (moved != one->length && !r->broken && !r->lost) {
        print_error("%s of %zu with %x: %lld\n", one->write ? "write" : "read", one->length,
                    one->flags, (long long)result);
        fail();
    }
    assert_true(result > 0 || result == -EIO);
    r->failures += moved != one->length;
    if (!one->write) {
        see(r, one->memory, moved, one->offset, "a read");
        return;
    }
    model_write(&r->model, one->offset, moved, one->number, false);
    model_write(&r->model, one->offset + (int64_t)moved, one->length - moved, one->number, true);
    if ((one->flags & TWOSTATE_IO_DSYNC) && moved == one->length)
        look_at_image(r, one->offset, moved);
}

static void some_requests(struct rig *r)
{
    const size_t count = odds(r, 2) ? 1 : random_below(&r->random, SLOTS) + 1;
    const size_t first = random_below(&r->random, SLOTS);

    for (size_t i = 0; i < count; i++)
        choose(r, &r->ones[i], (first + i) % SLOTS);
    if (count == 1) {
        run(r, &r->ones[0]);
    } else {
        for (size_t i = 0; i < count; i++)
            start(r, &r->ones[i]);
        for (size_t i = 0; i < count; i++)
            (void)pending_wait(&r->ones[i].pending);
    }
    for (size_t i = 0; i < count; i++)
        judge(r, &r->ones[i]);
    AWAIT(file_is_free(r->file));
}

/* pitfall E13: what failed is told; what is said to be on disk is there. */
static void sync_file(struct rig *r)
{
    const int result = odds(r, 2) ? twostate_fsync(r->file) : twostate_fdatasync(r->file);

    if (result == 0) {
        assert_false(r->lost);
        look_at_image(r, 0, SIZE);
        return;
    }
    assert_int_equal(result, -EIO);
    assert_true(r->broken || r->lost);
    r->failures++;
    /* The kernel forgets, the user cache does not. */
    r->lost = cache == TWOSTATE_CACHE_KERNEL;
}

static void look_at_all(struct rig *r)
{
    for (unsigned flags = 0; flags < 2; flags++) {
        assert_int_equal(twostate_pread(r->file, r->seen, SIZE, 0, flags), SIZE);
        see(r, r->seen, SIZE, 0, flags ? "a direct read" : "a buffered read");
    }
}

static void one_round(struct rig *r)
{
    int result = 0;

    for (int i = 0; i < STEPS; i++) {
        set_broken(r, odds(r, 2));
        some_requests(r);
        if (odds(r, 4))
            sync_file(r);
    }
    set_broken(r, false);
    sync_file(r);
    look_at_all(r);
    if (!odds(r, 4) && !r->lost)
        return;
    result = twostate_file_close(r->file);
    assert_true(result == 0 || result == -EIO); /* of a write-back that was made good since */
    look_at_image(r, 0, SIZE);
    open_file(r);
}

static void random_failures(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < ROUNDS; i++)
        one_round(r);
    printf("%u requests and syncs failed\n", r->failures);
    assert_true(r->failures > 0);
}

static int enter(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));

    CHECK(r);
    r->random.state = seed_choose();
    r->engine = engine_new(4, 2);
    model_init(&r->model, SIZE, 1);
    model_resize(&r->model, SIZE);
    r->image = open(given("TWOSTATE_TEST_IMAGE"), O_RDWR | O_CLOEXEC);
    CHECK(r->image >= 0);
    open_file(r);
    r->seen = memory_new(SIZE);
    CHECK(twostate_pwrite(r->file, r->seen, SIZE, 0, TWOSTATE_IO_DIRECT) == (ssize_t)SIZE);
    for (int i = 0; i < SLOTS; i++)
        r->ones[i].memory = memory_new(SLOT);
    *state = r;
    return 0;
}

static int leave(void **state)
{
    struct rig *r = *state;

    set_broken(r, false);
    CHECK(twostate_file_close(r->file) == 0);
    CHECK(twostate_engine_destroy(r->engine) == 0);
    CHECK(close(r->image) == 0);
    for (int i = 0; i < SLOTS; i++)
        free(r->ones[i].memory);
    free(r->seen);
    model_destroy(&r->model);
    free(r);
    return 0;
}

static int kernel_cache(void **state)
{
    cache = TWOSTATE_CACHE_KERNEL;
    return enter(state);
}

static int user_cache(void **state)
{
    cache = TWOSTATE_CACHE_USER;
    return enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"kernel_cache", random_failures, kernel_cache, leave, NULL},
        {"user_cache", random_failures, user_cache, leave, NULL},
    };

    CHECK(twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL) == 0);
    return RUN_WITH_BACKENDS(tests);
}
