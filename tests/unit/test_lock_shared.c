/* SPDX-License-Identifier: MIT */
/* A lock in memory that processes share: they wait for each other, and what a killed one leaves. */
#include "caller.h"
#include "children.h"
#include "peek.h"
#include "threads.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static const struct timespec past;

/* What the processes share. */
struct common {
    struct twostate_lock lock;
    struct twostate_iolock iolock;
    struct twostate_iopair pair;
    uint32_t inside[2];
    uint32_t entered;
    uint32_t leave;
    unsigned long changes[2]; /* plain */
};

static struct common *common;

static int set_up(void **state)
{
    (void)state;
    common = shared_memory(sizeof(*common));
    if (twostate_lock_init_with(&common->lock, TWOSTATE_PROCESS_SHARED, 1024) ||
        twostate_iolock_init_with(&common->iolock, TWOSTATE_PROCESS_SHARED, 0) ||
        twostate_iopair_init_with(&common->pair, TWOSTATE_PROCESS_SHARED, 64))
        return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    twostate_lock_destroy(&common->lock);
    twostate_iolock_destroy(&common->iolock);
    twostate_iopair_destroy(&common->pair);
    shared_memory_free(common, sizeof(*common));
    return 0;
}

/* Sleep bits may stay behind in a shared lock; nothing else does. */
static bool is_free(const struct twostate_lock *lock)
{
    return (peek(lock) & ~(PEEK_KEPT | WORD_SLEEPERS)) == 0;
}

/* A process that acquires, says so, and goes when it is told to. */
static void hold(enum twostate_state s)
{
    twostate_lock_acquire(&common->lock, s);
    add(&common->entered, 1);
    AWAIT(load(&common->leave));
    twostate_lock_release(&common->lock, s);
}

static void hold_a(void *unused)
{
    (void)unused;
    hold(A);
}

static void hold_b(void *unused)
{
    (void)unused;
    hold(B);
}

static void drain(void *unused)
{
    (void)unused;
    twostate_lock_drain(&common->lock);
    add(&common->entered, 1);
}

static void freeze(void *unused)
{
    (void)unused;
    twostate_lock_freeze(&common->lock);
    add(&common->entered, 1);
    AWAIT(load(&common->leave));
    twostate_lock_thaw(&common->lock);
}

/* They sleep, past their patience, until a release in this process wakes them. G3, G5. */
static void test_waiters_are_woken_by_another_process(void **state)
{
    static const struct {
        void (*run)(void *);
        enum group group;
    } rows[] = {{hold_a, GROUP_A}, {hold_b, GROUP_B}, {drain, GROUP_DRAIN}, {freeze, GROUP_DRAIN}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const enum twostate_state held = i == 0 ? B : A;
        pid_t children[2];

        store(&common->entered, 0);
        store(&common->leave, 0);
        twostate_lock_acquire(&common->lock, held);
        for (int n = 0; n < 2; n++)
            children[n] = child_start(rows[i].run, NULL);
        AWAIT(waiting(&common->lock, rows[i].group) == 2 && has_turn(&common->lock, rows[i].group));
        assert_int_equal(load(&common->entered), 0);
        twostate_lock_release(&common->lock, held);
        AWAIT(load(&common->entered) == 2);
        store(&common->leave, 1);
        for (int n = 0; n < 2; n++)
            child_join(children[n]);
        assert_true(is_free(&common->lock));
    }
}

/* Where a process maps the memory is its own affair: here the lock has two addresses. */
static void test_lock_at_two_addresses(void **state) /* G3, G5 */
{
    const int fd = memfd_create("lock", MFD_CLOEXEC);
    struct twostate_lock *maps[2];
    struct caller waiter;

    (void)state;
    assert_true(fd >= 0 && ftruncate(fd, sizeof(**maps)) == 0);
    for (int n = 0; n < 2; n++) {
        maps[n] = mmap(NULL, sizeof(**maps), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(maps[n] != MAP_FAILED);
    }
    close(fd);
    assert_int_equal(twostate_lock_init_with(maps[0], TWOSTATE_PROCESS_SHARED, 64), 0);
    for (int n = 0; n < 2; n++) {
        twostate_lock_acquire(maps[n], A);
        caller_start(&waiter, maps[1 - n], CALL_ACQUIRE, B);
        AWAIT(has_turn(maps[n], GROUP_B));
        twostate_lock_release(maps[n], A);
        caller_join(&waiter);
        twostate_lock_release(maps[n], B);
        assert_true(is_free(maps[1 - n]));
    }
    for (int n = 0; n < 2; n++)
        assert_int_equal(munmap(maps[n], sizeof(**maps)), 0);
}

static void come_and_go(void *argument)
{
    const int mine = *(const int *)argument;

    for (int round = 0; round < 2000; round++) {
        const enum twostate_state s = (round + mine) % 3 ? A : B;

        twostate_lock_acquire(&common->lock, s);
        add(&common->inside[s], 1);
        CHECK(load(&common->inside[opposite(s)]) == 0);
        if (round % 8 == 0)
            sched_yield();
        CHECK(load(&common->inside[opposite(s)]) == 0);
        add(&common->inside[s], UINT32_MAX);
        twostate_lock_release(&common->lock, s);
        if (round % 100 == 0)
            twostate_lock_drain(&common->lock);
        if (round % 16 == 0) {
            twostate_iolock_acquire(&common->iolock, TWOSTATE_EXCLUSIVE);
            common->changes[0]++;
            sched_yield();
            common->changes[1]++;
            CHECK(common->changes[0] == common->changes[1]);
            twostate_iolock_demote(&common->iolock);
            CHECK(common->changes[0] == common->changes[1]);
            twostate_iolock_release(&common->iolock, TWOSTATE_SHARED);
        }
    }
}

static void test_processes_contend(void **state) /* G1, G3, G8 */
{
    static int numbers[4] = {0, 1, 2, 3};
    pid_t children[4];

    (void)state;
    for (int n = 0; n < 4; n++)
        children[n] = child_start(come_and_go, &numbers[n]);
    for (int n = 0; n < 4; n++)
        child_join(children[n]);
    assert_true(is_free(&common->lock));
    assert_true(is_free(&common->iolock.lock_));
    assert_int_equal(common->changes[0], 4 * 125);
}

static void begin_exclusive(void *unused)
{
    struct twostate_hold held;

    (void)unused;
    twostate_iopair_begin(&common->pair, TWOSTATE_EXCLUSIVE_IO, &held);
    add(&common->entered, 1);
    twostate_iopair_end(&held);
}

static void test_a_pair_between_processes(void **state) /* G3, G8 */
{
    struct twostate_hold held;
    struct twostate_hold completion;
    pid_t child = 0;

    (void)state;
    twostate_iopair_begin(&common->pair, TWOSTATE_DIRECT, &held);
    twostate_iopair_submitting(&held, &completion);
    twostate_iopair_submitted(&held);
    child = child_start(begin_exclusive, NULL);
    AWAIT(has_turn(&common->pair.iotype_, GROUP_DRAIN));
    assert_int_equal(twostate_iopair_query(&common->pair).iolock.mode, TWOSTATE_EXCLUSIVE);
    twostate_iopair_complete(&completion);
    child_join(child);
    assert_int_equal(load(&common->entered), 1);
    assert_true(is_free(&common->pair.iotype_) && is_free(&common->pair.iolock_.lock_));
}

/* What a killed holder leaves: its hold, for ever; until a supervisor clears the lock. */
static void test_killed_holder(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        static void (*const runs[])(void *) = {hold_a, hold_b, freeze};
        pid_t child = 0;

        store(&common->entered, 0);
        child = child_start(runs[round], NULL);
        AWAIT(load(&common->entered) == 1);
        child_kill(child);
        assert_int_equal(word_holders(peek(&common->lock)), 1);
        assert_int_equal(twostate_lock_acquire_timed(&common->lock, round ? A : B, &past),
                         -ETIMEDOUT);
        twostate_lock_clear(&common->lock);
        assert_true(is_free(&common->lock));
        for (enum twostate_state s = A; s <= B; s++) {
            assert_true(twostate_lock_try_acquire(&common->lock, s));
            twostate_lock_release(&common->lock, s);
        }
    }
}

/* What a killed waiter leaves: its place in a hand-over, which never ends. */
static void test_killed_waiter(void **state)
{
    const struct timespec soon = after_ms(20);
    pid_t child = 0;

    (void)state;
    twostate_lock_acquire(&common->lock, A);
    child = child_start(hold_b, NULL);
    AWAIT(has_turn(&common->lock, GROUP_B));
    child_kill(child);
    twostate_lock_release(&common->lock, A);
    assert_int_equal(waiting(&common->lock, GROUP_B), 1);
    assert_int_equal(twostate_lock_acquire_timed(&common->lock, A, &soon), -ETIMEDOUT);
    twostate_lock_clear(&common->lock);
    assert_true(is_free(&common->lock));
    assert_true(twostate_lock_try_acquire(&common->lock, A));
    twostate_lock_release(&common->lock, A);
}

/* The killed one held A; the living wait for A behind a turn of B, for B, and to drain and freeze. */
static void test_live_waiters_go_on_after_a_clear(void **state)
{
    static void (*const runs[])(void *) = {hold_a, hold_b, hold_b, drain, freeze};
    pid_t children[5];
    pid_t holder = 0;

    (void)state;
    for (int round = 0; round < 5; round++) {
        store(&common->entered, 0);
        store(&common->leave, 0);
        holder = child_start(hold_a, NULL);
        AWAIT(load(&common->entered) == 1);
        for (int n = 4; n >= 0; n--) {
            children[n] = child_start(runs[n], NULL);
            AWAIT((peek(&common->lock) & WORD_TURN) != 0);
        }
        AWAIT(waiting(&common->lock, GROUP_A) == 1 && waiting(&common->lock, GROUP_B) == 2 &&
              waiting(&common->lock, GROUP_DRAIN) == 2);
        child_kill(holder);
        store(&common->leave, 1);
        twostate_lock_clear(&common->lock);
        for (int n = 0; n < 5; n++)
            child_join(children[n]);
        assert_int_equal(load(&common->entered), 6);
        assert_true(is_free(&common->lock));
    }
}

/*
 * After a clear the counts can be too low: then one who leaves takes with it the turn of another, who
 * is asleep, and claims it again. Here the turn is taken away in one stroke.
 */
static void test_a_lost_claim_is_made_again(void **state) /* G3 */
{
    struct twostate_lock lock;
    struct caller caller;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, TWOSTATE_PROCESS_SHARED, 0), 0);
    twostate_lock_acquire(&lock, A);
    caller_start(&caller, &lock, CALL_ACQUIRE, B);
    AWAIT(has_turn(&lock, GROUP_B));
    __atomic_fetch_and(&lock.word_, ~WORD_TURN, __ATOMIC_ACQ_REL);
    AWAIT(has_turn(&lock, GROUP_B));
    twostate_lock_release(&lock, A);
    caller_join(&caller);
    twostate_lock_release(&lock, B);
}

/* The same for an IOLOCK, whose exclusive waiters are woken one at a time; and for a pair. */
static void take_exclusive(void *unused)
{
    (void)unused;
    twostate_iolock_acquire(&common->iolock, TWOSTATE_EXCLUSIVE);
    add(&common->entered, 1);
    AWAIT(load(&common->leave));
    twostate_iolock_release(&common->iolock, TWOSTATE_EXCLUSIVE);
}

static void test_iolock_goes_on_after_a_clear(void **state) /* pitfall L06 */
{
    pid_t holder = 0;
    pid_t children[4];

    (void)state;
    holder = child_start(take_exclusive, NULL);
    AWAIT(load(&common->entered) == 1);
    for (int n = 0; n < 4; n++)
        children[n] = child_start(take_exclusive, NULL);
    AWAIT(waiting(&common->iolock.lock_, GROUP_B) == 4);
    child_kill(holder);
    store(&common->leave, 1);
    twostate_iolock_clear(&common->iolock);
    for (int n = 0; n < 4; n++)
        child_join(children[n]);
    assert_int_equal(load(&common->entered), 5);
    assert_true(is_free(&common->iolock.lock_));
}

static void begin_remap(void *unused)
{
    struct twostate_hold held;

    (void)unused;
    twostate_iopair_begin(&common->pair, TWOSTATE_REMAP, &held);
    add(&common->entered, 1);
    AWAIT(load(&common->leave));
}

static void test_pair_is_free_after_a_clear(void **state)
{
    pid_t remapper = child_start(begin_remap, NULL);
    struct twostate_hold held;

    (void)state;
    AWAIT(load(&common->entered) == 1);
    child_kill(remapper);
    assert_true(twostate_iopair_query(&common->pair).remapping);
    assert_false(twostate_iopair_try_begin(&common->pair, TWOSTATE_EXCLUSIVE_IO, &held));
    twostate_iopair_clear(&common->pair);
    assert_false(twostate_iopair_query(&common->pair).remapping);
    assert_true(twostate_iopair_try_begin(&common->pair, TWOSTATE_EXCLUSIVE_IO, &held));
    twostate_iopair_end(&held);
}

static void never(struct twostate_waiter *waiter, int result)
{
    (void)waiter;
    (void)result;
    CHECK(false);
}

/* Nobody could call back into another process. */
static void test_no_async_waiters(void **state)
{
    struct twostate_waiter waiter = {.done = never};
    struct twostate_iopair ours = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold held;
    const uint64_t before = peek(&common->lock);

    (void)state;
    twostate_lock_acquire(&common->lock, A);
    assert_int_equal(twostate_lock_acquire_async(&common->lock, B, &waiter), -ENOTSUP);
    assert_int_equal(twostate_lock_acquire_async(&common->lock, A, &waiter), -ENOTSUP);
    assert_int_equal(twostate_lock_acquire_n_async(&common->lock, B, 2, &waiter), -ENOTSUP);
    assert_int_equal(twostate_lock_drain_async(&common->lock, &waiter), -ENOTSUP);
    assert_int_equal(twostate_lock_freeze_async(&common->lock, &waiter), -ENOTSUP);
    assert_true(holds_only(&common->lock, GROUP_A, 1));
    assert_int_equal(twostate_lock_switch_async(&common->lock, B, &waiter), -ENOTSUP);
    assert_true(holds_only(&common->lock, GROUP_A, 1));
    twostate_lock_release(&common->lock, A);
    twostate_lock_freeze(&common->lock);
    assert_int_equal(twostate_lock_thaw_to_async(&common->lock, A, &waiter), -ENOTSUP);
    twostate_lock_thaw(&common->lock);
    assert_true(peek(&common->lock) == before);
    for (int used = 0; used < 2; used++) { /* though it could be had at once */
        assert_int_equal(
            twostate_iolock_acquire_async(&common->iolock, TWOSTATE_EXCLUSIVE, &waiter), -ENOTSUP);
        assert_int_equal(
            twostate_iopair_begin_async(&common->pair, TWOSTATE_DIRECT, &held, &waiter), -ENOTSUP);
        twostate_iolock_acquire(&common->iolock, TWOSTATE_EXCLUSIVE);
        twostate_iolock_release(&common->iolock, TWOSTATE_EXCLUSIVE);
        twostate_iopair_begin(&common->pair, TWOSTATE_DIRECT, &held);
        assert_int_equal(twostate_iopair_retry_unaligned_async(&held, &waiter), -ENOTSUP);
        twostate_iopair_end(&held); /* it is what it was */
        twostate_iopair_begin(&common->pair, TWOSTATE_DIRECT_EXTEND, &held);
        assert_int_equal(twostate_iopair_extend_to_direct_async(&held, &waiter), -ENOTSUP);
        twostate_iopair_extend_to_direct(&held);
        twostate_iopair_end(&held);
        assert_int_equal(
            twostate_iopair_begin_remap_two_async(&common->pair, &ours, &held, &waiter), -ENOTSUP);
        assert_int_equal(
            twostate_iopair_begin_remap_two_async(&ours, &common->pair, &held, &waiter), -ENOTSUP);
        assert_true(pair_at_rest(&ours));
    }
    assert_true(is_free(&common->iolock.lock_));
    assert_true(is_free(&common->pair.iolock_.lock_) && is_free(&common->pair.iotype_));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waiters_are_woken_by_another_process),
        cmocka_unit_test(test_lock_at_two_addresses),
        TEST(test_processes_contend),
        TEST(test_a_pair_between_processes),
        TEST(test_killed_holder),
        TEST(test_killed_waiter),
        TEST(test_live_waiters_go_on_after_a_clear),
        cmocka_unit_test(test_a_lost_claim_is_made_again),
        TEST(test_iolock_goes_on_after_a_clear),
        TEST(test_pair_is_free_after_a_clear),
        TEST(test_no_async_waiters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
