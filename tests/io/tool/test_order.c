/* SPDX-License-Identifier: MIT */
/* The check of order: it finds what cannot be true, and passes what can. */
#include "order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct order_slot slot;

static int setup(void **state)
{
    (void)state;
    order_init(&slot, KIND_BUFFERED_WRITE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    order_destroy(&slot);
    return 0;
}

static uint64_t write_whole(void)
{
    struct order_op op;
    uint64_t id = order_write_begin(&slot, &op, KIND_BUFFERED_WRITE, false);

    order_write_end(&slot, &op, id, true);
    return id;
}

static void punch_whole(void)
{
    struct order_op op;
    uint64_t id = order_write_begin(&slot, &op, KIND_PUNCH, true);

    order_write_end(&slot, &op, id, true);
}

static enum verdict read_whole(uint64_t id)
{
    struct order_op op;

    order_read_begin(&slot, &op);
    return order_read_end(&slot, &op, CONTENT_BLOCK, id);
}

static enum verdict read_content(enum content content)
{
    struct order_op op;

    order_read_begin(&slot, &op);
    return order_read_end(&slot, &op, content, 0);
}

static void reads_the_last_write(void **state)
{
    (void)state;
    assert_int_equal(read_whole(0), VERDICT_OK);
    uint64_t first = write_whole();

    assert_int_equal(read_whole(first), VERDICT_OK);
    assert_int_equal(read_whole(0), VERDICT_STALE);
    uint64_t second = write_whole();

    assert_int_equal(read_whole(first), VERDICT_STALE);
    assert_int_equal(read_whole(second), VERDICT_OK);
}

static void torn_is_torn(void **state)
{
    (void)state;
    assert_int_equal(read_content(CONTENT_TORN), VERDICT_TORN);
    write_whole();
    assert_int_equal(read_content(CONTENT_TORN), VERDICT_TORN);
}

static void a_read_beside_a_write_may_return_either(void **state)
{
    struct order_op read_old, read_new, write;
    uint64_t old = write_whole();
    uint64_t id = order_write_begin(&slot, &write, KIND_DIRECT_WRITE, false);

    (void)state;
    order_read_begin(&slot, &read_old);
    order_read_begin(&slot, &read_new);
    assert_int_equal(order_read_end(&slot, &read_old, CONTENT_BLOCK, old), VERDICT_OK);
    assert_int_equal(order_read_end(&slot, &read_new, CONTENT_BLOCK, id), VERDICT_OK);
    order_write_end(&slot, &write, id, true);
    assert_int_equal(read_whole(id), VERDICT_OK);
}

/* The write was not acknowledged yet, but somebody has seen it. */
static void a_value_once_seen_does_not_go_away(void **state)
{
    struct order_op write;
    uint64_t old = write_whole();
    uint64_t id = order_write_begin(&slot, &write, KIND_DIRECT_WRITE, false);

    (void)state;
    assert_int_equal(read_whole(old), VERDICT_OK);
    assert_int_equal(read_whole(id), VERDICT_OK);
    assert_int_equal(read_whole(old), VERDICT_STALE);
    order_write_end(&slot, &write, id, true);
}

/* Two writes at once may end up in either order, but then that is their order. */
static void concurrent_writes_have_one_order(void **state)
{
    struct order_op a, b;
    uint64_t id_a = order_write_begin(&slot, &a, KIND_BUFFERED_WRITE, false);
    uint64_t id_b = order_write_begin(&slot, &b, KIND_BUFFERED_WRITE, false);

    (void)state;
    order_write_end(&slot, &b, id_b, true);
    order_write_end(&slot, &a, id_a, true);
    assert_int_equal(read_whole(id_b), VERDICT_OK);
    assert_int_equal(read_whole(id_b), VERDICT_OK);
    assert_int_equal(read_whole(id_a), VERDICT_STALE);
}

/* A slow write that began before a quick one is not older: it may land last. */
static void a_slow_write_may_land_last(void **state)
{
    struct order_op slow;
    uint64_t id = order_write_begin(&slot, &slow, KIND_BUFFERED_WRITE, false);

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        write_whole();
    order_write_end(&slot, &slow, id, true);
    assert_int_equal(read_whole(id), VERDICT_OK);
}

/* A slow read may return what was there when it began, however much was written since. */
static void a_slow_read_may_return_the_old(void **state)
{
    struct order_op slow;
    uint64_t before = write_whole(), old = write_whole(), last = 0;

    (void)state;
    order_read_begin(&slot, &slow);
    for (unsigned i = 0; i < 100; i++)
        last = write_whole();
    assert_int_equal(read_whole(before), VERDICT_STALE);
    assert_int_equal(read_whole(last), VERDICT_OK);
    assert_int_equal(order_read_end(&slot, &slow, CONTENT_BLOCK, old), VERDICT_OK);
    assert_int_equal(read_whole(old), VERDICT_STALE);
}

/* What a remap copied cannot be what was written after it had returned. */
static void a_stopped_read_cannot_see_the_future(void **state)
{
    struct order_op read;

    (void)state;
    order_read_begin(&slot, &read);
    order_read_stop(&slot, &read);
    uint64_t later = write_whole();

    assert_int_equal(order_read_end(&slot, &read, CONTENT_BLOCK, later), VERDICT_STALE);
}

static void zeroes_need_a_punch(void **state)
{
    (void)state;
    assert_int_equal(read_content(CONTENT_ZERO), VERDICT_TORN);
    punch_whole();
    assert_int_equal(read_content(CONTENT_ZERO), VERDICT_OK);
    uint64_t id = write_whole();

    assert_int_equal(read_content(CONTENT_ZERO), VERDICT_STALE);
    assert_int_equal(read_whole(id), VERDICT_OK);
    punch_whole();
    punch_whole();
    assert_int_equal(read_content(CONTENT_ZERO), VERDICT_OK);
    assert_int_equal(read_whole(id), VERDICT_STALE);
}

static void a_failed_write_is_in_doubt(void **state)
{
    struct order_op op;
    uint64_t old = write_whole();
    uint64_t failed = order_write_begin(&slot, &op, KIND_DIRECT_WRITE, false);

    (void)state;
    order_write_end(&slot, &op, failed, false);
    assert_int_equal(read_whole(old), VERDICT_OK);
    assert_int_equal(read_content(CONTENT_TORN), VERDICT_OK);
    assert_int_equal(read_whole(failed), VERDICT_OK);
    assert_int_equal(read_whole(old), VERDICT_STALE);

    uint64_t next = write_whole();

    assert_int_equal(read_content(CONTENT_TORN), VERDICT_TORN);
    assert_int_equal(read_whole(next), VERDICT_OK);
}

/* Books of long runs stay small, and forgetting makes nothing old look new. */
static void forgotten_values_stay_stale(void **state)
{
    uint64_t first = write_whole();

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        write_whole();
    assert_true(slot.count < 16);
    assert_int_equal(read_whole(first), VERDICT_STALE);
}

static void direct_claims_exclude(void **state)
{
    (void)state;
    assert_true(order_claim(&slot, false));
    assert_true(order_claim(&slot, false));
    assert_false(order_claim(&slot, true));
    order_unclaim(&slot, false);
    order_unclaim(&slot, false);
    assert_true(order_claim(&slot, true));
    assert_false(order_claim(&slot, false));
    assert_false(order_claim(&slot, true));
    order_unclaim(&slot, true);
    assert_true(order_claim(&slot, false));
    order_unclaim(&slot, false);
}

static void losses_are_charged_to_the_last_writer(void **state)
{
    struct order_op op;

    (void)state;
    write_whole();
    uint64_t id = order_write_begin(&slot, &op, KIND_DIRECT_WRITE, false);

    assert_int_equal(order_last_kind(&slot), KIND_BUFFERED_WRITE);
    order_write_end(&slot, &op, id, true);
    assert_int_equal(order_last_kind(&slot), KIND_DIRECT_WRITE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_the_last_write),
        CASE(torn_is_torn),
        CASE(a_read_beside_a_write_may_return_either),
        CASE(a_value_once_seen_does_not_go_away),
        CASE(concurrent_writes_have_one_order),
        CASE(a_slow_write_may_land_last),
        CASE(a_slow_read_may_return_the_old),
        CASE(a_stopped_read_cannot_see_the_future),
        CASE(zeroes_need_a_punch),
        CASE(a_failed_write_is_in_doubt),
        CASE(forgotten_values_stay_stale),
        CASE(direct_claims_exclude),
        CASE(losses_are_charged_to_the_last_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
