/* SPDX-License-Identifier: MIT */
/* What is right is not reported, and nothing is left in the validator's books of it. */
#include "collect.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/async.h>
#include <twostate/class.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static struct twostate_lock lock;
static struct twostate_iopair pair;
static struct twostate_iopair other;
static struct twostate_hold hold;
static struct twostate_hold completion;
static struct twostate_waiter waiter;
static uint32_t granted;

static int stop(void **state)
{
    assert_int_equal(twostate_validate_query().holds, 0);
    return collect_stop(state);
}

static void complete(void *unused)
{
    (void)unused;
    twostate_iopair_complete(&completion);
}

static void submitted(void *unused)
{
    (void)unused;
    twostate_iopair_submitted(&hold);
}

/* The submitter goes on to the next while the first is in flight. */
static void test_completion_side(void **unused)
{
    struct twostate_hold next;

    (void)unused;
    for (enum twostate_iopath path = TWOSTATE_BUFFERED_WRITE; path <= TWOSTATE_DIRECT; path++) {
        twostate_iopair_begin(&pair, path, &hold);
        twostate_iopair_submitting(&hold, &completion);
        twostate_iopair_submitted(&hold);
        twostate_iopair_begin(&pair, path, &next);
        twostate_iopair_end(&next);
        in_thread(complete, NULL);

        twostate_iopair_begin(&pair, path, &hold);
        twostate_iopair_submitting(&hold, &completion);
        in_thread(complete, NULL); /* before the submitter goes on */
        submitted(NULL);
    }
}

static void submit_and_end(void *unused)
{
    (void)unused;
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
}

static void test_submitter_ends_first(void **unused)
{
    (void)unused;
    in_thread(submit_and_end, NULL);
    twostate_iopair_complete(&completion);
}

static void test_every_path(void **unused)
{
    (void)unused;
    for (enum twostate_iopath path = TWOSTATE_BUFFERED_READ; path <= TWOSTATE_EXCLUSIVE_IO;
         path++) {
        twostate_iopair_begin(&pair, path, &hold);
        twostate_iopair_end(&hold);
        assert_true(twostate_iopair_try_begin(&pair, path, &hold));
        twostate_iopair_end(&hold);
    }
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    twostate_iopair_extend_to_direct(&hold);
    twostate_iopair_retry_unaligned(&hold);
    twostate_iopair_end(&hold);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    twostate_iopair_extend_to_direct(&hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
    in_thread(complete, NULL);
}

static void remap(struct twostate_iopair *from, struct twostate_iopair *to)
{
    struct twostate_hold both;

    for (int i = 0; i < 200; i++) {
        twostate_iopair_begin_remap_two(from, to, &both);
        twostate_iopair_end(&both);
    }
}

static void remap_back(void *unused)
{
    (void)unused;
    remap(&other, &pair);
}

static const struct twostate_class file_iolock = {.name = "file IOLOCK",
                                                  .rank = TWOSTATE_RANK_IOLOCK};
static const struct twostate_class file_iotype = {.name = "file IOTYPE",
                                                  .rank = TWOSTATE_RANK_IOTYPE};

/* Both ways, one after the other and at once, with classes of their own and without. */
static void test_remap_two(void **unused)
{
    struct task task;

    (void)unused;
    for (int own = 0; own < 2; own++) {
        remap(&pair, &other);
        remap(&other, &pair);
        task_start(&task, remap_back, NULL);
        remap(&pair, &other);
        task_join(&task);
        assert_int_equal(twostate_iopair_set_class(&pair, &file_iolock, &file_iotype), 0);
        assert_int_equal(twostate_iopair_set_class(&other, &file_iolock, &file_iotype), 0);
    }
    twostate_iopair_destroy(&pair);
    twostate_iopair_destroy(&other);
}

static const struct twostate_class log_iolock = {.name = "log IOLOCK",
                                                 .rank = TWOSTATE_RANK_IOLOCK + 1};
static const struct twostate_class log_iotype = {.name = "log IOTYPE",
                                                 .rank = TWOSTATE_RANK_IOTYPE + 1};

/* Files of two classes, and one after the other in memory, whichever is the first. */
static void test_remap_two_classes(void **unused)
{
    static struct twostate_iopair pairs[4];

    (void)unused;
    for (int i = 0; i < 4; i++) {
        const bool is_log = i == 1 || i == 2;

        twostate_iopair_set_class(&pairs[i], is_log ? &log_iolock : &file_iolock,
                                  is_log ? &log_iotype : &file_iotype);
    }
    for (int i = 0; i < 4; i++)
        remap(&pairs[i], &pairs[i ^ 1]);
}

static void done(struct twostate_waiter *of, int result)
{
    (void)of;
    store(&granted, result == 0 ? 1 : 2);
}

static void release_a(void *unused)
{
    (void)unused;
    twostate_lock_release(&lock, A);
}

static void release_b(void *unused)
{
    (void)unused;
    twostate_lock_release(&lock, B);
}

static void release_a_as_its_own(void *unused)
{
    (void)unused;
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
}

static void queue_b(void *unused)
{
    (void)unused;
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
}

/* Who asked is gone, who granted has another hold to give back, and a third one gives this back. */
static void test_async_grant(void **unused)
{
    (void)unused;
    waiter = (struct twostate_waiter){.done = done};
    store(&granted, 0);
    twostate_lock_acquire(&lock, A);
    in_thread(queue_b, NULL);
    twostate_lock_release(&lock, A);
    assert_int_equal(load(&granted), 1);
    in_thread(release_b, NULL);
}

/* At once, too: it is the request's, and the thread may go on waiting for others. */
static void test_async_at_once(void **unused)
{
    (void)unused;
    waiter = (struct twostate_waiter){.done = done};
    assert_int_equal(twostate_lock_acquire_async(&lock, A, &waiter), 0);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    in_thread(release_a, NULL);
    in_thread(release_a_as_its_own, NULL);
}

static void test_async_pair(void **unused)
{
    struct twostate_hold queued;

    (void)unused;
    waiter = (struct twostate_waiter){.done = done};
    store(&granted, 0);
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    assert_int_equal(twostate_iopair_begin_async(&pair, TWOSTATE_DIRECT, &queued, &waiter),
                     -EINPROGRESS);
    twostate_iopair_end(&hold);
    assert_int_equal(load(&granted), 1);
    twostate_iopair_submitting(&queued, &completion);
    twostate_iopair_submitted(&queued);
    in_thread(complete, NULL);

    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    assert_int_equal(twostate_iopair_begin_async(&pair, TWOSTATE_UNALIGNED, &queued, &waiter),
                     -EINPROGRESS);
    assert_true(twostate_waiter_cancel(&waiter));
    twostate_iopair_end(&hold);
}

/* A hold that waits to change is the request's: the thread that makes room for it goes on with it. */
static void test_async_extend(void **unused)
{
    struct twostate_hold extend;

    (void)unused;
    waiter = (struct twostate_waiter){.done = done};
    store(&granted, 0);
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_WRITE, &hold);
    twostate_iopair_submitting(&hold, &completion);
    twostate_iopair_submitted(&hold);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &extend);
    assert_int_equal(twostate_iopair_extend_to_direct_async(&extend, &waiter), -EINPROGRESS);
    in_thread(complete, NULL);
    assert_int_equal(load(&granted), 1);
    twostate_iopair_end(&extend);
}

static void test_freeze_and_thaw(void **unused)
{
    (void)unused;
    twostate_lock_freeze(&lock);
    twostate_lock_drain(&lock);
    assert_int_equal(twostate_lock_thaw_to(&lock, B), 0);
    assert_int_equal(twostate_lock_join(&lock, B), 0);
    twostate_lock_release(&lock, B);
    assert_int_equal(twostate_lock_switch(&lock, A), 0);
    twostate_lock_release(&lock, A);
    twostate_lock_drain(&lock);
    twostate_lock_destroy(&lock);
}

static void test_pieces(void **unused)
{
    (void)unused;
    assert_int_equal(twostate_lock_acquire_n(&lock, A, 5), 0);
    twostate_lock_release_n(&lock, A, 2);
    twostate_lock_release(&lock, A);
    assert_int_equal(twostate_validate_query().holds, 1);
    twostate_lock_release_n(&lock, A, 2);
}

/* Its fast paths are open, so not every call is seen: none is. */
static void test_lock_used_before(void **unused)
{
    struct twostate_lock used = TWOSTATE_LOCK_INIT;
    const struct timespec soon = after_ms(10);

    (void)unused;
    twostate_validate_stop();
    twostate_lock_acquire(&used, A);
    collect_start(NULL);
    twostate_lock_acquire(&used, A);
    assert_int_equal(twostate_lock_acquire_timed(&used, B, &soon), -ETIMEDOUT);
    assert_int_equal(twostate_validate_query().holds, 0);
    twostate_lock_release_n(&used, A, 2);

    assert_int_equal(twostate_lock_acquire_n(&used, A, 2), 0); /* comes by the slow path */
    assert_int_equal(twostate_validate_query().holds, 0);
    twostate_lock_release(&used, A); /* does not */
    twostate_lock_release(&used, A);
}

static const struct twostate_class ranked[3] = {
    {.name = "one", .rank = 1}, {.name = "two", .rank = 2}, {.name = "three"}};
static struct twostate_lock locks[3];

static void use_locks(void *argument)
{
    const enum twostate_state mine = *(const enum twostate_state *)argument;

    for (int i = 0; i < 2000; i++) {
        for (int n = 0; n < 3; n++)
            twostate_lock_acquire(&locks[n], (i + n) % 3 == 0 ? A : mine);
        for (int n = 2; n >= 0; n--)
            twostate_lock_release(&locks[n], (i + n) % 3 == 0 ? A : mine);
        if (i % 16 == 0)
            twostate_lock_drain(&locks[i % 3]);
    }
}

static void test_many_threads(void **unused)
{
    static const enum twostate_state states[4] = {A, B, A, B};
    struct task tasks[4];

    (void)unused;
    for (int n = 0; n < 3; n++)
        twostate_lock_set_class(&locks[n], &ranked[n]);
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], use_locks, (void *)(uintptr_t)&states[n]);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, collect_start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_completion_side),
        TEST(test_submitter_ends_first),
        TEST(test_every_path),
        TEST(test_remap_two),
        TEST(test_remap_two_classes),
        TEST(test_async_grant),
        TEST(test_async_at_once),
        TEST(test_async_pair),
        TEST(test_async_extend),
        TEST(test_freeze_and_thaw),
        TEST(test_pieces),
        TEST(test_lock_used_before),
        TEST(test_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
