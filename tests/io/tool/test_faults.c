/* SPDX-License-Identifier: MIT */
/*
 * A load finds what a driver does wrong: each test breaks one thing in a driver that is sound, and
 * names the kind and the finding that must come of it. The sound one itself is clean. With the argument
 * `user` it is the engine with its own cache: so no cache hides from the checks what is wrong.
 */
#include "load.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIPPED 77

enum fault {
    NO_FAULT,
    DROP_DIRECT_WRITE,
    HALF_BUFFERED_WRITE,
    OLD_BUFFERED_READ,
    DROP_APPEND,
    REPEAT_APPEND,
    DROP_TRUNCATE,
    DROP_PUNCH,
    STRAY_REMAP,
    REFUSE_WRITE,
    CUT_WRITE,
    FAIL_FSYNC,
};

static const struct driver *base = &driver_rwlock; /* the sound one */
static enum fault fault;
static atomic_uint calls;
static const char template[] = "tool-faults-XXXXXX";
static char path[sizeof(template)], hidden[sizeof(path) + 1];

/* One call in eight goes wrong. */
static bool now(enum fault this)
{
    return fault == this && atomic_fetch_add(&calls, 1) % 8 == 7;
}

/* What the first read of each of the first blocks returned. */
static char old_reads[64][4096];
static atomic_bool old_known[64];

static void read_old(struct request *request)
{
    size_t block = (size_t)request->offset / 4096;

    if (request->length != 4096 || block >= 64 || request->offset % 4096 != 0)
        return;
    if (!atomic_exchange(&old_known[block], true))
        memcpy(old_reads[block], request->buffer, 4096);
    else if (now(OLD_BUFFERED_READ))
        memcpy(request->buffer, old_reads[block], 4096);
}

static void faulty_one(struct driver_file *file, struct request *request)
{
    void (*done)(struct request *) = request->done;
    size_t length = request->length;

    request->done = NULL;
    if (request->write && request->direct && now(DROP_DIRECT_WRITE)) {
        request_end(request, (int64_t)length, 0);
    } else if (request->write && !request->direct && now(HALF_BUFFERED_WRITE)) {
        request->length = length / 2;
        base->transfer(file, request, 1);
        request->result = (int64_t)length;
    } else if (request->write && now(REFUSE_WRITE)) {
        request_end(request, -ENOSPC, 0);
    } else if (request->write && now(CUT_WRITE)) {
        request->length = length / 2;
        base->transfer(file, request, 1);
    } else {
        base->transfer(file, request, 1);
        if (!request->write && !request->direct)
            read_old(request);
    }
    request->length = length;
    request->done = done;
    if (done)
        done(request);
}

static void faulty_transfer(struct driver_file *file, struct request *requests, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        faulty_one(file, &requests[i]);
}

static int64_t faulty_append(struct driver_file *file, const void *buffer, size_t length,
                             bool direct, int64_t *offset)
{
    *offset = -1;
    if (now(DROP_APPEND))
        return (int64_t)length;
    if (now(REPEAT_APPEND))
        base->append(file, buffer, length, direct, offset);
    return base->append(file, buffer, length, direct, offset);
}

static int faulty_truncate(struct driver_file *file, int64_t length)
{
    return fault == DROP_TRUNCATE ? 0 : base->truncate(file, length);
}

static int faulty_punch(struct driver_file *file, int64_t offset, int64_t length)
{
    return fault == DROP_PUNCH ? 0 : base->punch(file, offset, length);
}

static int64_t faulty_remap(struct driver_file *file, int64_t from, int64_t to, int64_t length)
{
    return base->remap(file, now(STRAY_REMAP) ? from + length : from, to, length);
}

static int faulty_fsync(struct driver_file *file)
{
    return fault == FAIL_FSYNC ? -EIO : base->fsync(file);
}

static struct driver faulty;

/* Paced, so that no kind has done all the operations before another has begun. */
static const struct load_options options = {
    .threads = {2, 2, 1, 1, 2, 1, 1, 1, 1},
    .rate = {4000, 4000, 4000, 4000, 4000, 100, 1000, 1000, 100},
    .layout = {.block_sizes = {4096},
               .block_size_count = 1,
               .size = 1 << 20,
               .unaligned_pct = 20,
               .private_slots = 1},
    .depth = 1,
    .ops = 1000,
    .seconds = 20,
    .seed = 1,
};

static struct load_result result;

static void run(enum fault with, const struct load_options *with_options)
{
    fault = with;
    atomic_store(&calls, 0);
    for (unsigned i = 0; i < 64; i++)
        atomic_store(&old_known[i], false);
    memset(&result, 0, sizeof(result));
    assert_int_equal(load_run(path, &faulty, with_options, &result), 0);
}

/* Only these kinds. */
static void run_only(enum fault with, enum kind one, enum kind other)
{
    struct load_options few = options;

    memset(few.threads, 0, sizeof(few.threads));
    few.threads[one] = few.threads[other] = 1;
    run(with, &few);
}

static uint64_t of(enum finding finding)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < KIND_COUNT; i++)
        sum += result.kinds[i].found[finding];
    return sum;
}

static void a_sound_driver_is_clean(void **state)
{
    (void)state;
    run(NO_FAULT, &options);
    assert_int_equal(load_found(&result), 0);
    assert_int_equal(load_errors(&result), 0);
    assert_int_equal(result.fsync_eio, 0);
    assert_int_equal(report_status(&result), 0);
    for (unsigned i = 0; i < KIND_COUNT; i++)
        assert_true(result.kinds[i].ops > 0);
}

static void a_dropped_write_is_stale(void **state)
{
    (void)state;
    run_only(DROP_DIRECT_WRITE, KIND_DIRECT_WRITE, KIND_DIRECT_READ);
    assert_true(result.kinds[KIND_DIRECT_READ].found[FOUND_STALE] > 0);
    assert_int_equal(of(FOUND_TORN), 0);
    assert_int_equal(report_status(&result), 1);
}

/* Nobody reads until the end. */
static void a_dropped_write_is_lost_at_the_end(void **state)
{
    (void)state;
    run_only(DROP_DIRECT_WRITE, KIND_DIRECT_WRITE, KIND_DIRECT_WRITE);
    assert_true(result.kinds[KIND_DIRECT_WRITE].found[FOUND_LOST] > 0);
    assert_int_equal(load_found(&result), of(FOUND_LOST));
    assert_int_equal(report_status(&result), 1);
}

static void half_a_write_is_torn(void **state)
{
    (void)state;
    run_only(HALF_BUFFERED_WRITE, KIND_BUFFERED_WRITE, KIND_BUFFERED_READ);
    assert_true(of(FOUND_TORN) > 0);
    assert_true(of(FOUND_LOST) > 0);
}

static void an_old_read_is_stale(void **state)
{
    (void)state;
    run_only(OLD_BUFFERED_READ, KIND_BUFFERED_WRITE, KIND_BUFFERED_READ);
    assert_true(result.kinds[KIND_BUFFERED_READ].found[FOUND_STALE] > 0);
    assert_int_equal(load_found(&result), result.kinds[KIND_BUFFERED_READ].found[FOUND_STALE]);
}

static void a_dropped_append_is_lost(void **state)
{
    (void)state;
    run_only(DROP_APPEND, KIND_APPEND, KIND_TRUNCATE);
    assert_true(result.kinds[KIND_APPEND].found[FOUND_LOST] > 0);
    assert_int_equal(load_found(&result), result.kinds[KIND_APPEND].found[FOUND_LOST]);
}

static void a_repeated_append_is_stale(void **state)
{
    (void)state;
    run_only(REPEAT_APPEND, KIND_APPEND, KIND_TRUNCATE);
    assert_true(result.kinds[KIND_APPEND].found[FOUND_STALE] > 0);
}

static void a_dropped_truncate_is_stale(void **state)
{
    (void)state;
    run_only(DROP_TRUNCATE, KIND_APPEND, KIND_TRUNCATE);
    assert_true(result.kinds[KIND_APPEND].found[FOUND_STALE] > 0);
}

static void a_dropped_punch_is_found(void **state)
{
    (void)state;
    run_only(DROP_PUNCH, KIND_PUNCH, KIND_BUFFERED_READ);
    assert_true(of(FOUND_STALE) + of(FOUND_LOST) > 0);
}

static void a_stray_remap_is_found(void **state)
{
    (void)state;
    run_only(STRAY_REMAP, KIND_REMAP, KIND_BUFFERED_WRITE);
    assert_true(load_found(&result) > 0);
    assert_int_equal(load_found(&result), result.kinds[KIND_REMAP].found[FOUND_TORN] +
                                              result.kinds[KIND_REMAP].found[FOUND_STALE]);
}

static void a_refused_write_is_an_error_only(void **state)
{
    (void)state;
    run_only(REFUSE_WRITE, KIND_BUFFERED_WRITE, KIND_BUFFERED_READ);
    assert_true(load_errors(&result) > 0);
    assert_int_equal(load_found(&result), 0);
    assert_int_equal(report_status(&result), 1);
}

/* Nobody reads before the write is known to have failed. */
static void a_write_cut_short_is_in_doubt(void **state)
{
    (void)state;
    run_only(CUT_WRITE, KIND_BUFFERED_WRITE, KIND_BUFFERED_WRITE);
    assert_true(result.kinds[KIND_BUFFERED_WRITE].errors > 0);
    assert_int_equal(load_found(&result), 0);
    assert_int_equal(report_status(&result), 1);
}

static void eio_from_fsync_is_counted(void **state)
{
    (void)state;
    run(FAIL_FSYNC, &options);
    assert_true(result.fsync_eio > 0);
    assert_int_equal(report_status(&result), 1);
}

static int faulty_close(struct driver_file *file)
{
    int error = base->close(file);

    return rename(path, hidden) ? -errno : error;
}

/* What was found until then is not lost. */
static void a_file_that_cannot_be_checked_has_results(void **state)
{
    (void)state;
    faulty.close = faulty_close;
    run(NO_FAULT, &options);
    faulty.close = base->close;
    assert_int_equal(rename(hidden, path), 0);
    assert_int_equal(result.unchecked, -ENOENT);
    assert_true(result.kinds[KIND_BUFFERED_WRITE].ops > 0);
    assert_false(report_clean(&result));
    assert_int_equal(report_status(&result), 2);
}

static int make_file(void **state)
{
    memcpy(path, template, sizeof(path));
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    snprintf(hidden, sizeof(hidden), "%s-", path);
    faulty = *base;
    faulty.name = "faulty";
    faulty.transfer = faulty_transfer;
    faulty.append = faulty_append;
    faulty.truncate = faulty_truncate;
    faulty.punch = faulty_punch;
    faulty.remap = faulty_remap;
    faulty.fsync = faulty_fsync;
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* Where there is no O_DIRECT there is no user cache. */
static bool unsupported(void)
{
    struct driver_options defaults = {0};
    struct driver_file *file;

    if (make_file(NULL) != 0)
        return false;
    const int error = base->open(path, &defaults, &file);

    if (error == 0)
        base->close(file);
    unlink(path);
    return error == -EOPNOTSUPP;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_driver_is_clean),
        cmocka_unit_test(a_dropped_write_is_stale),
        cmocka_unit_test(a_dropped_write_is_lost_at_the_end),
        cmocka_unit_test(half_a_write_is_torn),
        cmocka_unit_test(an_old_read_is_stale),
        cmocka_unit_test(a_dropped_append_is_lost),
        cmocka_unit_test(a_repeated_append_is_stale),
        cmocka_unit_test(a_dropped_truncate_is_stale),
        cmocka_unit_test(a_dropped_punch_is_found),
        cmocka_unit_test(a_stray_remap_is_found),
        cmocka_unit_test(a_refused_write_is_an_error_only),
        cmocka_unit_test(a_write_cut_short_is_in_doubt),
        cmocka_unit_test(eio_from_fsync_is_counted),
        cmocka_unit_test(a_file_that_cannot_be_checked_has_results),
    };

    if (argc > 1 && strcmp(argv[1], "user") == 0) {
        base = &driver_user;
        if (unsupported())
            return SKIPPED;
    }
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
