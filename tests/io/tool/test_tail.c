/* SPDX-License-Identifier: MIT */
/* The tail's check, blocks, and histograms: what is wrong is found, what is right passes. */
#include "hist.h"
#include "tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RECORD 200

static struct tail tail;
static struct tail_scan scan;
static char file[64][RECORD]; /* what the tail of the file holds */
static unsigned records;

static int setup(void **state)
{
    (void)state;
    tail_init(&tail, 0, RECORD);
    records = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tail_destroy(&tail);
    return 0;
}

static void put(uint32_t writer, uint64_t sequence)
{
    block_fill(file[records++], RECORD, TAIL_SLOT, writer, sequence);
}

static void append(uint32_t writer)
{
    uint64_t sequence = tail_append_begin(&tail, writer);

    put(writer, sequence);
    tail_append_end(&tail, writer, true, (int64_t)(records - 1) * RECORD);
}

static void truncate_all(void)
{
    tail_truncate_begin(&tail);
    records = 0;
    tail_truncate_end(&tail, true);
}

static void scan_all(void)
{
    tail_scan_begin(&tail, &scan);
    for (unsigned i = 0; i < records; i++)
        tail_scan_record(&tail, &scan, file[i], RECORD, (int64_t)i * RECORD);
    tail_scan_end(&tail, &scan);
}

static void assert_found(uint64_t torn, uint64_t stale, uint64_t lost)
{
    scan_all();
    assert_int_equal(scan.torn, torn);
    assert_int_equal(scan.stale, stale);
    assert_int_equal(scan.lost, lost);
}

static void all_there_is_clean(void **state)
{
    (void)state;
    assert_found(0, 0, 0);
    append(0);
    append(1);
    append(0);
    assert_found(0, 0, 0);
    truncate_all();
    assert_found(0, 0, 0);
    append(1);
    append(0);
    assert_found(0, 0, 0);
}

static void a_missing_record_is_lost(void **state)
{
    (void)state;
    append(0);
    append(1);
    append(0);
    records--; /* the newest of writer 0 */
    assert_found(0, 0, 1);
    append(0); /* now there is a gap */
    assert_found(0, 0, 1);
    truncate_all();
    append(0);
    records = 0;
    assert_found(0, 0, 1);
}

static void an_overwritten_record_is_lost(void **state)
{
    (void)state;
    append(0);
    append(1);
    records--;
    put(0, 2); /* of writer 0, not acknowledged, in the place of writer 1's */
    assert_found(0, 0, 1);
}

static void a_record_elsewhere_is_lost(void **state)
{
    (void)state;
    append(0);
    put(0, 2);
    tail_append_begin(&tail, 0);
    tail_append_end(&tail, 0, true, (int64_t)17 * RECORD);
    assert_found(0, 0, 1);
}

static void a_damaged_record_is_torn(void **state)
{
    (void)state;
    append(0);
    append(0);
    file[1][RECORD / 2] ^= 1;
    assert_found(1, 0, 0);
    tail_scan_begin(&tail, &scan);
    tail_scan_record(&tail, &scan, file[0], RECORD, 0);
    tail_scan_record(&tail, &scan, file[0], RECORD / 2, RECORD);
    assert_int_equal(scan.torn, 1);
}

static void a_record_that_comes_back_is_stale(void **state)
{
    (void)state;
    append(0);
    append(0);
    truncate_all();
    put(0, 2);
    assert_found(0, 1, 0);
}

static void a_record_twice_is_stale(void **state)
{
    (void)state;
    append(0);
    put(0, 1);
    assert_found(0, 1, 0);
}

static void records_out_of_order_are_found(void **state)
{
    (void)state;
    tail_append_begin(&tail, 0);
    tail_append_end(&tail, 0, true, -1);
    tail_append_begin(&tail, 0);
    tail_append_end(&tail, 0, true, -1);
    put(0, 2);
    put(0, 1);
    scan_all();
    assert_true(scan.stale + scan.lost > 0);
}

/* An append beside a truncate may survive it or not, but the later of two not without the other. */
static void an_append_beside_a_truncate_is_optional(void **state)
{
    (void)state;
    append(0);
    tail_truncate_begin(&tail);
    tail_append_begin(&tail, 0); /* sequence 2 */
    tail_append_end(&tail, 0, true, -1);
    tail_append_begin(&tail, 0); /* 3 */
    tail_append_end(&tail, 0, true, -1);
    tail_truncate_end(&tail, true);

    records = 0;
    assert_found(0, 0, 0); /* neither survived */
    put(0, 3);
    assert_found(0, 0, 0); /* the truncate was between them */
    records = 0;
    put(0, 2);
    put(0, 3);
    assert_found(0, 0, 0); /* or before both */
    records = 0;
    put(0, 2);
    assert_found(0, 0, 1); /* never after the one and before the other that way round */
}

static void a_failed_append_puts_the_tail_in_doubt(void **state)
{
    (void)state;
    append(0);
    tail_append_begin(&tail, 0);
    tail_append_end(&tail, 0, false, -1);
    records = 0;
    assert_found(0, 0, 0);
    assert_true(scan.in_doubt);
    truncate_all();
    append(0);
    assert_found(0, 0, 0);
    assert_false(scan.in_doubt);
    records = 0;
    assert_found(0, 0, 1);
}

static void blocks_are_told_from_mixtures(void **state)
{
    char one[4096], two[4096], mixed[4096];
    struct block_header header;

    (void)state;
    block_fill(one, sizeof(one), 7, 1, 100);
    block_fill(two, sizeof(two), 7, 1, 101);
    assert_int_equal(block_check(one, sizeof(one), 7, &header), CONTENT_BLOCK);
    assert_int_equal(header.sequence, 100);
    assert_int_equal(header.writer, 1);
    assert_int_equal(block_check(one, sizeof(one), 8, &header), CONTENT_TORN);
    assert_int_equal(block_check(one, sizeof(one) - 1, 7, &header), CONTENT_TORN);
    for (size_t cut = 1; cut < sizeof(mixed); cut += 13) {
        memcpy(mixed, one, sizeof(mixed));
        memcpy(mixed + cut, two + cut, sizeof(mixed) - cut);
        if (memcmp(mixed, two, sizeof(mixed)) != 0 && memcmp(mixed, one, sizeof(mixed)) != 0)
            assert_int_equal(block_check(mixed, sizeof(mixed), 7, &header), CONTENT_TORN);
    }
    memset(mixed, 0, sizeof(mixed));
    assert_int_equal(block_check(mixed, sizeof(mixed), 7, &header), CONTENT_ZERO);
    mixed[sizeof(mixed) - 1] = 1;
    assert_int_equal(block_check(mixed, sizeof(mixed), 7, &header), CONTENT_TORN);
}

static void assert_near(double value, double expected)
{
    assert_true(value >= expected * 0.95 && value <= expected * 1.05);
}

static void percentiles_are_right(void **state)
{
    static struct hist hist;

    (void)state;
    assert_true(hist_us(&hist, 0.5) == 0);
    for (int64_t i = 1; i <= 100000; i++)
        hist_add_ns(&hist, i * 1000);
    assert_near(hist_us(&hist, 0.5), 50000);
    assert_near(hist_us(&hist, 0.99), 99000);
    assert_near(hist_us(&hist, 0.999), 99900);
    hist_add_ns(&hist, INT64_MAX);
    hist_add_ns(&hist, -1);
    assert_near(hist_us(&hist, 1), (double)INT64_MAX / 1000);
    assert_true(hist_us(&hist, 0) == 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_there_is_clean),
        CASE(a_missing_record_is_lost),
        CASE(an_overwritten_record_is_lost),
        CASE(a_record_elsewhere_is_lost),
        CASE(a_damaged_record_is_torn),
        CASE(a_record_that_comes_back_is_stale),
        CASE(a_record_twice_is_stale),
        CASE(records_out_of_order_are_found),
        CASE(an_append_beside_a_truncate_is_optional),
        CASE(a_failed_append_puts_the_tail_in_doubt),
        cmocka_unit_test(blocks_are_told_from_mixtures),
        cmocka_unit_test(percentiles_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
