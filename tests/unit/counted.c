/* SPDX-License-Identifier: MIT */
/* What the tests of the statistics have in common: see counted.h. */
#include "counted.h"

#include "peek.h"
#include "spy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define T0 UINT64_C(1000000000)

/* What a later version may put into them is 0, whatever was in the memory. */
static void assert_room(const struct twostate_stats *stats)
{
    static const uint64_t none[8];

    assert_memory_equal(stats->reserved, none, sizeof(stats->reserved));
    for (unsigned i = 0; i < 3; i++) {
        const struct twostate_stats_group *group = &stats->groups[i];

        assert_memory_equal(group->reserved, none, sizeof(group->reserved));
        assert_memory_equal(group->wait.reserved, none, sizeof(group->wait.reserved));
        assert_memory_equal(group->hold.reserved, none, sizeof(group->hold.reserved));
    }
}

struct twostate_stats stats_of(const char *name)
{
    struct twostate_stats stats;

    memset(&stats, 0xff, sizeof(stats));
    for (unsigned i = 0; twostate_stats_snapshot(i, &stats); i++)
        if (strcmp(stats.name, name) == 0) {
            assert_room(&stats);
            return stats;
        }
    fail_msg("nothing was counted of %s", name);
    return stats;
}

void pass_time(uint64_t ns)
{
    spy_clock_set(spy_clock_ns() + ns);
}

int start_clock(void **state)
{
    (void)state;
    twostate_stats_reset();
    spy_clock_set(T0);
    return 0;
}

int stop_clock(void **state)
{
    (void)state;
    spy_clock_set(0);
    return 0;
}

bool all_zero(const void *memory, size_t size)
{
    const unsigned char *byte = memory;

    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}

static void assert_times(const struct twostate_stats_times *times, uint64_t count, uint64_t each_ns)
{
    uint64_t in_buckets = 0;

    assert_int_equal(times->count, count);
    assert_int_equal(times->total_ns, count * each_ns);
    assert_int_equal(times->max_ns, count > 0 ? each_ns : 0);
    assert_int_equal(times->p50_ns, count > 0 ? each_ns : 0);
    for (unsigned i = 0; i < TWOSTATE_STATS_BUCKETS; i++) {
        in_buckets += times->buckets[i];
        if (times->buckets[i] > 0) {
            assert_true(each_ns >= UINT64_C(1) << i);
            assert_true(each_ns < UINT64_C(2) << i);
        }
    }
    assert_int_equal(in_buckets, count);
}

void assert_waits(const struct twostate_stats_group *group, uint64_t waits, uint64_t refused,
                  uint64_t ns)
{
    assert_int_equal(group->waits, waits);
    assert_int_equal(group->refused, refused);
    assert_times(&group->wait, waits, ns);
}

void assert_holds(const struct twostate_stats_group *group, uint64_t acquires, uint64_t holds,
                  uint64_t ns)
{
    assert_int_equal(group->acquires, acquires);
    assert_times(&group->hold, holds, ns);
}

int wait_for_a_holder(enum call call, enum group group, struct twostate_lock *lock)
{
    struct caller caller;
    int result = 0;

    twostate_lock_acquire(lock, TWOSTATE_A);
    pass_time(HOLD_NS - WAIT_NS);
    caller_start(&caller, lock, call, TWOSTATE_B);
    AWAIT(waiting(lock, group) == 1);
    pass_time(WAIT_NS);
    twostate_lock_release(lock, TWOSTATE_A);
    result = caller_join(&caller);
    return result;
}
