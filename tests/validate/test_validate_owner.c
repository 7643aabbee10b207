/* SPDX-License-Identifier: MIT */
/* The validator's rules hand-off, leak, free and fork: whose a hold is, and when it must be over. */
#include "collect.h"
#include "threads.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

#define HAND_OFF TWOSTATE_RULE_HAND_OFF
#define LEAK     TWOSTATE_RULE_LEAK
#define FREED    TWOSTATE_RULE_FREE

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static struct twostate_hold hold;
static pthread_key_t key;

SHOWN void acquire_b(void *unused)
{
    (void)unused;
    twostate_lock_acquire(&lock, B);
    twostate_lock_assert_held(&lock, B);
}

SHOWN void release_b(void *unused)
{
    (void)unused;
    twostate_lock_release(&lock, B);
    twostate_lock_query(&lock);
}

static void acquire_and_disown(void *unused)
{
    acquire_b(unused);
    twostate_validate_disown(&lock);
}

static void adopt_and_release(void *unused)
{
    twostate_validate_adopt(&lock);
    release_b(unused);
}

static void adopt(void *unused)
{
    (void)unused;
    twostate_validate_adopt(&lock);
}

static void test_release_by_another(void **unused)
{
    (void)unused;
    acquire_b(NULL);
    in_thread(release_b, NULL);
    EXPECT(HAND_OFF, &lock, "release B", "release_b+", "acquire_b+");
    assert_int_equal(twostate_validate_query().holds, 0);
}

static void test_disown(void **unused)
{
    (void)unused;
    acquire_and_disown(NULL);
    in_thread(release_b, NULL);
    in_thread(acquire_and_disown, NULL);
    release_b(NULL);
}

static void test_adopt(void **unused)
{
    (void)unused;
    acquire_and_disown(NULL);
    in_thread(adopt_and_release, NULL);

    acquire_and_disown(NULL);
    in_thread(adopt, NULL); /* it took it over, and ended */
    EXPECT(LEAK, &lock, "thread ends");
    release_b(NULL);
}

/* One of two goes. */
static void test_disown_one_of_several(void **unused)
{
    (void)unused;
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 2), 0);
    twostate_validate_disown(&lock);
    in_thread(release_b, NULL);
    expect_none();
    in_thread(release_b, NULL);
    EXPECT(HAND_OFF, &lock, "release B");
}

/* A call hands over one hold, however they were acquired: n of them take n calls. */
static void test_disown_each(void **unused)
{
    (void)unused;
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 3), 0);
    assert_int_equal(twostate_lock_join(&lock, B), 0);
    for (int i = 0; i < 4; i++)
        twostate_validate_disown(&lock);
    twostate_validate_disown(&lock); /* there is none left: nothing happens */
    for (int i = 0; i < 4; i++)
        in_thread(release_b, NULL);
    expect_none();
    assert_int_equal(twostate_validate_query().holds, 0);
}

static void thaw(void *unused)
{
    (void)unused;
    twostate_lock_thaw(&lock);
}

static void switch_to_a(void *unused)
{
    (void)unused;
    assert_int_equal(twostate_lock_switch(&lock, A), 0);
    twostate_validate_disown(&lock);
}

static void demote(void *unused)
{
    (void)unused;
    twostate_iolock_demote(&iolock);
    twostate_validate_disown(&iolock);
}

static void test_other_ends_by_another(void **unused)
{
    (void)unused;
    twostate_lock_freeze(&lock);
    in_thread(thaw, NULL);
    EXPECT(HAND_OFF, &lock, "thaw");

    acquire_b(NULL);
    in_thread(switch_to_a, NULL);
    EXPECT(HAND_OFF, &lock, "switch to A");
    twostate_lock_release(&lock, A);

    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    in_thread(demote, NULL);
    EXPECT(HAND_OFF, &iolock, "demote");
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
}

static void end_hold(void *unused)
{
    (void)unused;
    twostate_iopair_end(&hold);
}

static void test_holds_of_pairs(void **unused)
{
    (void)unused;
    twostate_iopair_begin(&pair, TWOSTATE_UNALIGNED, &hold);
    in_thread(end_hold, NULL);
    EXPECT(HAND_OFF, &pair.iotype_, "class IOTYPE", "release A");
    EXPECT(HAND_OFF, &pair, "class IOLOCK", "release exclusive");

    twostate_iopair_begin(&pair, TWOSTATE_UNALIGNED, &hold);
    twostate_validate_disown_hold(&hold);
    in_thread(end_hold, NULL);

    twostate_iopair_begin(&pair, TWOSTATE_UNALIGNED, &hold);
    twostate_validate_disown_hold(&hold);
    twostate_validate_adopt_hold(&hold);
    in_thread(end_hold, NULL);
    EXPECT(HAND_OFF, &pair.iotype_, "class IOTYPE");
    EXPECT(HAND_OFF, &pair, "class IOLOCK");
}

static void test_thread_end(void **unused)
{
    (void)unused;
    in_thread(acquire_b, NULL);
    EXPECT(LEAK, &lock, "thread ends", "acquire_b+");
    release_b(NULL); /* nobody's since */
}

static void late_release(void *unused)
{
    release_b(unused);
}

static void acquire_b_and_release_late(void *unused)
{
    pthread_setspecific(key, &lock);
    acquire_b(unused);
}

/* A thread is at its end when its destructors have run. */
static void test_release_in_destructor(void **unused)
{
    (void)unused;
    assert_int_equal(pthread_key_create(&key, late_release), 0);
    in_thread(acquire_b_and_release_late, NULL);
    pthread_key_delete(key);
    assert_int_equal(twostate_validate_query().holds, 0);
}

static void test_init_while_held(void **unused)
{
    (void)unused;
    acquire_b(NULL);
    twostate_lock_init(&lock);
    EXPECT(LEAK, &lock, "init", "acquire_b+");
}

static void test_leaks(void **unused)
{
    (void)unused;
    assert_int_equal(twostate_validate_leaks(), 0);
    acquire_b(NULL);
    assert_int_equal(twostate_validate_leaks(), 1);
    EXPECT(LEAK, &lock, "is held state B", "acquire_b+");
    assert_int_equal(twostate_lock_join(&lock, B), 0);
    assert_int_equal(twostate_validate_leaks(), 2);
    EXPECT(LEAK, &lock, "is held state B");
    EXPECT(LEAK, &lock, "is held state B");
    twostate_lock_release_n(&lock, B, 2);
}

static void test_free_while_held(void **unused)
{
    struct {
        char before[64];
        struct twostate_iolock iolock;
        char after[64];
    } *file = calloc(1, sizeof(*file));

    (void)unused;
    assert_non_null(file);
    twostate_iolock_acquire(&file->iolock, TWOSTATE_SHARED);
    twostate_validate_free(file->before, sizeof(file->before));
    twostate_validate_free(file->after, sizeof(file->after));
    expect_none();
    twostate_validate_free(file, sizeof(*file));
    EXPECT(FREED, &file->iolock, "free", "class iolock", "is held shared");
    assert_int_equal(twostate_validate_query().holds, 0); /* forgotten */
    twostate_iolock_release(&file->iolock, TWOSTATE_SHARED);
    free(file);
}

static void acquire_a(void *thread)
{
    store(thread, (uint32_t)gettid());
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
}

static void acquire_a_in_vain(void *gave_up)
{
    const struct timespec end = after_ms(20);

    CHECK(twostate_lock_acquire_timed(&lock, A, &end) == -ETIMEDOUT);
    store(gave_up, 1);
    AWAIT(twostate_lock_query(&lock).holders == 0);
}

static void test_free_while_waited_for(void **unused)
{
    uint32_t gave_up = 0;
    uint32_t thread = 0;
    struct task task;
    struct task other;
    char by[32];

    (void)unused;
    acquire_and_disown(NULL);
    task_start(&task, acquire_a, &thread);
    AWAIT(twostate_lock_query(&lock).waiting_a == 1);
    twostate_validate_free(&lock, sizeof(lock));
    EXPECT(FREED, &lock, "held");
    EXPECT(FREED, &lock, "waited for");
    release_b(NULL);
    task_join(&task);

    acquire_and_disown(NULL);
    task_start(&task, acquire_a_in_vain, &gave_up);
    AWAIT(load(&gave_up) == 1);
    task_start(&other, acquire_a, &thread); /* so that somebody waits, but not that thread */
    AWAIT(twostate_lock_query(&lock).waiting_a == 1);
    twostate_validate_free(&lock, sizeof(lock));
    EXPECT(FREED, &lock, "held");
    snprintf(by, sizeof(by), "by thread %u", load(&thread));
    EXPECT(FREED, &lock, "waited for", by);
    release_b(NULL);
    task_join(&task);
    task_join(&other);
}

static void hold_until_told(void *told)
{
    acquire_b(NULL);
    AWAIT(load(told) != 0);
    release_b(NULL);
}

/* Of two holds, the one goes that was handed over, though the other is older. */
static void test_what_is_nobodys_goes_first(void **unused)
{
    uint32_t told = 0;
    struct task task;

    (void)unused;
    task_start(&task, hold_until_told, &told);
    AWAIT(twostate_validate_query().holds == 1);
    acquire_and_disown(NULL);
    in_thread(release_b, NULL);
    store(&told, 1);
    task_join(&task);
}

static void fork_and_wait(void)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(twostate_validate_query().holds == 0 ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_fork(void **unused)
{
    struct task task;
    uint32_t told = 0;
    pid_t child = 0;

    (void)unused;
    fork_and_wait();
    acquire_b(NULL);
    child = fork();
    if (child == 0)
        _exit(0);
    EXPECT(TWOSTATE_RULE_FORK, &lock, "fork", "acquire_b+");
    assert_int_equal(waitpid(child, NULL, 0), child);
    release_b(NULL);

    /* What other threads hold is theirs; the child knows nothing of it. */
    task_start(&task, hold_until_told, &told);
    AWAIT(twostate_lock_query(&lock).holders == 1);
    fork_and_wait();
    store(&told, 1);
    task_join(&task);
}

/* It is held by the parent, and by the parent only. */
static void test_fork_with_a_shared_lock(void **unused)
{
    struct twostate_lock *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)unused;
    assert_ptr_not_equal(shared, MAP_FAILED);
    twostate_lock_init_with(shared, TWOSTATE_PROCESS_SHARED, 0);
    twostate_lock_acquire(shared, A);
    fork_and_wait();
    twostate_lock_release(shared, A);
    munmap(shared, sizeof(*shared));
}

/* More holds than there is room for. What is not known is nobody's fault. */
static void test_many_holds(void **unused)
{
    enum { HOLDS = 9000 };

    (void)unused;
    acquire_b(NULL);
    for (int i = 1; i < HOLDS; i++)
        assert_int_equal(twostate_lock_join(&lock, B), 0);
    assert_true(twostate_validate_query().holds_missed > 0);
    in_thread(release_b, NULL);
    twostate_lock_release_n(&lock, B, HOLDS - 1);
    assert_int_equal(twostate_validate_query().holds, 0);
}

/* There is no room to tell one of two holds that were handed over: then both stay nobody's. */
static void test_adopt_without_room(void **unused)
{
    (void)unused;
    assert_int_equal(twostate_lock_acquire_n(&lock, B, 2), 0);
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    for (int i = 2; i < 8192; i++)
        assert_int_equal(twostate_lock_join(&iolock.lock_, A), 0);
    twostate_validate_disown(&lock);
    twostate_validate_disown(&lock);
    in_thread(adopt_and_release, NULL);
    expect_none();
    release_b(NULL);
    twostate_lock_release_n(&iolock.lock_, A, 8191);
}

static void test_settings(void **unused)
{
    static const uint64_t none[3];

    (void)unused;
    for (uint32_t rule = TWOSTATE_RULES_ALL + 1; rule != 0; rule <<= 1)
        assert_int_equal(twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, rule), -EINVAL);
    assert_memory_equal(twostate_validate_query().reserved, none, sizeof(none));
    assert_int_equal(twostate_validate_start((enum twostate_validate_mode)3, 0), -EINVAL);
    assert_int_equal(
        twostate_validate_start(TWOSTATE_VALIDATE_COLLECT,
                                TWOSTATE_RULES_ALL & ~(unsigned)TWOSTATE_RULE_HAND_OFF),
        0);
    acquire_b(NULL);
    in_thread(release_b, NULL);
}

/* Reports that nobody takes are counted, and the oldest are kept. */
static void test_reports_beyond_room(void **unused)
{
    static struct twostate_report report;

    (void)unused;
    for (int i = 0; i < 20; i++) {
        acquire_b(NULL);
        in_thread(release_b, NULL);
    }
    assert_int_equal(twostate_validate_query().reports, 20);
    assert_int_equal(twostate_validate_query().reports_lost, 4);
    for (int i = 0; i < 16; i++)
        assert_true(twostate_validate_next(&report));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, collect_start, collect_stop)
    const struct CMUnitTest tests[] = {
        TEST(test_release_by_another),
        TEST(test_disown),
        TEST(test_adopt),
        TEST(test_disown_one_of_several),
        TEST(test_disown_each),
        TEST(test_what_is_nobodys_goes_first),
        TEST(test_other_ends_by_another),
        TEST(test_holds_of_pairs),
        TEST(test_thread_end),
        TEST(test_release_in_destructor),
        TEST(test_init_while_held),
        TEST(test_leaks),
        TEST(test_free_while_held),
        TEST(test_free_while_waited_for),
        TEST(test_fork),
        TEST(test_fork_with_a_shared_lock),
        TEST(test_many_holds),
        TEST(test_adopt_without_room),
        TEST(test_settings),
        TEST(test_reports_beyond_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
