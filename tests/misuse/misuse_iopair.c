/* SPDX-License-Identifier: MIT */
/* Misuse of a hold of an IO pair stops the program and says what it held and what was called. */
#include "deaths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/iopair.h>

static struct twostate_iopair pair;
static struct twostate_iopair other;
static struct twostate_hold hold;
static struct twostate_hold completion;

static void begin_and_submit(enum twostate_iopath path)
{
    twostate_iopair_begin(&pair, path, &hold);
    twostate_iopair_submitting(&hold, &completion);
}

/* One of the two halves would be lost, and held for ever. */
static void submitting_into_itself(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &hold);
}

static void end_twice(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    twostate_iopair_end(&hold);
    twostate_iopair_end(&hold);
}

static void end_never_begun(void)
{
    twostate_iopair_end(&hold);
}

static void end_after_failed_begin(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &completion);
    if (!twostate_iopair_try_begin(&pair, TWOSTATE_DIRECT, &hold))
        twostate_iopair_end(&hold);
}

static void end_after_failed_retry(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &completion);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    if (!twostate_iopair_try_retry_unaligned(&hold))
        twostate_iopair_end(&hold);
}

static void end_remap_of_two_twice(void)
{
    twostate_iopair_begin_remap_two(&pair, &other, &hold);
    twostate_iopair_end(&hold);
    twostate_iopair_end(&hold);
}

static void end_submitted(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_end(&hold);
}

static void end_completion(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_end(&completion);
}

static void submitted_twice(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_submitted(&hold);
    twostate_iopair_submitted(&hold);
}

static void complete_twice(void)
{
    begin_and_submit(TWOSTATE_BUFFERED_WRITE);
    twostate_iopair_complete(&completion);
    twostate_iopair_complete(&completion);
}

static void submitted_of_completion(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_submitted(&completion);
}

static void complete_of_submission(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_complete(&hold);
}

static void submitted_never_submitting(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitted(&hold);
}

static void complete_never_submitting(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_complete(&hold);
}

static void submitting_twice(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    twostate_iopair_submitting(&hold, &completion);
}

static void submitting_remap(void)
{
    begin_and_submit(TWOSTATE_REMAP);
}

static void submitting_remap_of_two(void)
{
    twostate_iopair_begin_remap_two(&pair, &other, &hold);
    twostate_iopair_submitting(&hold, &completion);
}

static void submitting_before_the_switch(void)
{
    begin_and_submit(TWOSTATE_DIRECT_EXTEND);
}

static void submitting_unaligned(void)
{
    begin_and_submit(TWOSTATE_UNALIGNED);
}

static void submitting_exclusive(void)
{
    begin_and_submit(TWOSTATE_EXCLUSIVE_IO);
}

static void extend_of_direct(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_extend_to_direct(&hold);
}

static void extend_of_exclusive(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    twostate_iopair_try_extend_to_direct(&hold);
}

static void extend_twice(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    twostate_iopair_extend_to_direct(&hold);
    twostate_iopair_extend_to_direct_timed(&hold, NULL);
}

static void retry_of_buffered(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_WRITE, &hold);
    twostate_iopair_retry_unaligned(&hold);
}

static void retry_of_ended(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_end(&hold);
    twostate_iopair_try_retry_unaligned(&hold);
}

/* A hold must not be copied: the lock sees the second end, if the hold can't. */
static void end_of_a_copy(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    completion = hold;
    twostate_iopair_end(&hold);
    twostate_iopair_end(&completion);
}

static void end_on_another_pair(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    hold.pair_ = &other;
    twostate_iopair_end(&hold);
}

static void complete_on_another_pair(void)
{
    begin_and_submit(TWOSTATE_DIRECT);
    completion.pair_ = &other;
    twostate_iopair_complete(&completion);
}

static void begin_past_the_limit(void)
{
    pair.iotype_.word_ = TWOSTATE_HELD_A_ | TWOSTATE_LOCK_MAX_HOLDERS;
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
}

static void begin_no_path(void)
{
    twostate_iopair_begin(&pair, (enum twostate_iopath)77, &hold);
}

static void try_begin_no_path(void)
{
    twostate_iopair_try_begin(&pair, (enum twostate_iopath)77, &hold);
}

#define DEATH(call, where, ...)                                                                    \
    {                                                                                              \
#call, call, where,                                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct death deaths[] = {
    DEATH(end_twice, &hold, ": end ", "nothing"),
    DEATH(end_never_begun, &hold, ": end ", "nothing"),
    DEATH(end_after_failed_begin, &hold, ": end ", "nothing"),
    DEATH(end_after_failed_retry, &hold, ": end ", "nothing"),
    DEATH(end_remap_of_two_twice, &hold, ": end ", "nothing"),
    DEATH(end_submitted, &hold, ": end ", "IOLOCK-shared", "half of a submitted request"),
    DEATH(end_completion, &completion, ": end ", "IOTYPE-direct", "half of a submitted request"),
    DEATH(submitted_twice, &hold, "submitted", "nothing"),
    DEATH(complete_twice, &completion, "complete", "nothing"),
    DEATH(submitted_of_completion, &completion, "submitted", "IOTYPE-direct"),
    DEATH(complete_of_submission, &hold, "complete", "IOLOCK-shared"),
    DEATH(submitted_never_submitting, &hold, "submitted", "IOLOCK-shared IOTYPE-direct"),
    DEATH(complete_never_submitting, &hold, "complete", "IOLOCK-shared IOTYPE-direct"),
    DEATH(submitting_into_itself, &hold, "submitting into the same hold",
          "IOLOCK-shared IOTYPE-direct"),
    DEATH(submitting_twice, &hold, "submitting", "IOLOCK-shared"),
    DEATH(submitting_remap, &hold, "submitting", "IREMAPPING", "IOTYPE-buffered"),
    DEATH(submitting_remap_of_two, &hold, "submitting", "IREMAPPING"),
    DEATH(submitting_before_the_switch, &hold, "submitting", "IOLOCK-exclusive"),
    DEATH(submitting_unaligned, &hold, "submitting", "IOLOCK-exclusive IOTYPE-buffered"),
    DEATH(submitting_exclusive, &hold, "submitting", "IOLOCK-exclusive IOTYPE-buffered"),
    DEATH(extend_of_direct, &hold, "extend_to_direct", "IOTYPE-direct"),
    DEATH(extend_of_exclusive, &hold, "extend_to_direct", "IOLOCK-exclusive"),
    DEATH(extend_twice, &hold, "extend_to_direct", "IOTYPE-direct"),
    DEATH(retry_of_buffered, &hold, "retry_unaligned", "IOTYPE-buffered"),
    DEATH(retry_of_ended, &hold, "retry_unaligned", "nothing"),
    DEATH(end_of_a_copy, &pair.iotype_, "release B", "unlocked"),
    DEATH(end_on_another_pair, &other.iotype_, "release A", "unlocked"),
    DEATH(complete_on_another_pair, &other.iotype_, "release B", "unlocked"),
    DEATH(begin_past_the_limit, &pair, "begin", "limit"), /* L21 */
    DEATH(begin_no_path, &pair, "begin", "path 77"),
    DEATH(try_begin_no_path, &pair, "begin", "path 77"),
};

static void test_deaths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
        assert_dies(&deaths[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_deaths)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
