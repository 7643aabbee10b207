/* SPDX-License-Identifier: MIT */
/* What else a validated program may do: handle forks, cancel threads, use up all keys, share locks. */
#include "children.h"
#include "collect.h"
#include "threads.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/stats.h>

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifndef TSAN
#define TSAN 0
#endif

#define A TWOSTATE_A
#define B TWOSTATE_B

static struct twostate_lock lock;
static struct twostate_lock other;

static void use(struct twostate_lock *of)
{
    twostate_lock_acquire(of, A);
    twostate_lock_release(of, A);
}

static void prepare(void)
{
    twostate_lock_acquire(&lock, A);
}

static void in_parent(void)
{
    twostate_lock_release(&lock, A);
}

static void in_child(void)
{
    twostate_lock_init(&lock);
}

static void use_in_child(void *unused)
{
    (void)unused;
    use(&lock);
    use(&other);
    CHECK(twostate_validate_query().reports == 0);
}

/* The program's handlers of forks come first, and use a lock while ours have theirs. */
static void fork_with_handlers(void *stats)
{
    CHECK(pthread_atfork(prepare, in_parent, in_child) == 0);
    if (stats != NULL)
        twostate_stats_enable();
    else
        twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL);
    use(&other);
    child_join(child_start(use_in_child, NULL));
    use(&lock);
    CHECK(twostate_validate_query().reports == 0);
}

static void test_handlers_of_forks(void **unused)
{
    (void)unused;
    child_join(child_start(fork_with_handlers, NULL));
    child_join(child_start(fork_with_handlers, &lock));
}

static void init_again(void *unused)
{
    (void)unused;
    twostate_lock_init(&lock);
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    CHECK(twostate_validate_query().reports == 0);
}

/* A request of the parent's is in flight, so the child initialises its copy of the lock again. */
static void test_init_in_a_forked_child(void **unused)
{
    (void)unused;
    twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL);
    twostate_lock_init(&lock);
    twostate_lock_acquire(&lock, A);
    twostate_validate_disown(&lock);
    child_join(child_start(init_again, NULL));
    twostate_lock_release(&lock, A);
    expect_none();
    twostate_validate_stop();
}

static void acquire_twice(void *unused)
{
    (void)unused;
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A);
}

/* Standard error takes no more, so who stops the program stays in the middle of it. */
static void be_stopping(struct task *task)
{
    static const char page[4096];
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], page, sizeof(page)) > 0)
        ;
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0);
    dup2(ends[1], STDERR_FILENO);
    twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL);
    task_start(task, acquire_twice, NULL);
    AWAIT(twostate_validate_query().reports == 1);
}

/* The child is not being stopped. What it breaks itself, it stops for. */
static void fork_while_stopping(void *unused)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    struct task task;
    pid_t child = 0;
    int status = 0;

    (void)unused;
    be_stopping(&task);
    child = fork();
    if (child == 0) {
        alarm(120);
        dup2(nowhere, STDERR_FILENO);
        twostate_lock_init(&lock);
        acquire_twice(NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : 1);
}

static void test_fork_while_another_thread_stops(void **unused)
{
    (void)unused;
    if (TSAN) /* its own fork waits for the thread that writes */
        skip();
    child_join(child_start(fork_while_stopping, NULL));
}

static void cancel_and_acquire_twice(void *done)
{
    pthread_cancel(pthread_self());
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&lock, A); /* says so */
    twostate_lock_release_n(&lock, A, 2);
    store(done, 1);
}

/* To write a log is no place to end the thread at: it has the validator's mutex. */
static void log_in_a_cancelled_thread(void *unused)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    uint32_t done = 0;
    struct task task;

    (void)unused;
    CHECK(nowhere >= 0);
    dup2(nowhere, STDERR_FILENO);
    twostate_validate_start(TWOSTATE_VALIDATE_LOG, TWOSTATE_RULES_ALL);
    task_start(&task, cancel_and_acquire_twice, &done);
    CHECK(pthread_join(task.thread, NULL) == 0);
    use(&other);
    CHECK(load(&done) == 1);
}

static void test_log_in_a_cancelled_thread(void **unused)
{
    (void)unused;
    child_join(child_start(log_in_a_cancelled_thread, NULL));
}

/* None is left to see the ends of threads by, nor is another's taken for it. */
static void use_up_keys(void *unused)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    unsigned count = 0;

    (void)unused;
    for (; count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0; count++)
        CHECK(pthread_setspecific(keys[count], &keys[count]) == 0);
    twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL);
    use(&lock);
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_getspecific(keys[i]) == &keys[i]);
}

static void test_all_keys_in_use(void **unused)
{
    (void)unused;
    child_join(child_start(use_up_keys, NULL));
}

struct between {
    struct twostate_lock lock;
    uint32_t step;
};

static void join_unwatched(void *argument)
{
    struct between *between = argument;

    AWAIT(load(&between->step) == 1);
    use(&between->lock);
    store(&between->step, 2);
}

/* The other process, where nobody watches, must not open the fast path under this one's hold. */
static void test_lock_shared_with_an_unwatched_process(void **unused)
{
    struct between *between = shared_memory(sizeof(*between));
    pid_t child = 0;

    (void)unused;
    assert_int_equal(twostate_lock_init_with(&between->lock, TWOSTATE_PROCESS_SHARED, 0), 0);
    child = child_start(join_unwatched, between);
    twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL);
    twostate_lock_acquire(&between->lock, A);
    store(&between->step, 1);
    AWAIT(load(&between->step) == 2);
    twostate_lock_release(&between->lock, A);
    child_join(child);
    assert_int_equal(twostate_validate_query().holds, 0);
    shared_memory_free(between, sizeof(*between));
    twostate_validate_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handlers_of_forks),
        cmocka_unit_test(test_init_in_a_forked_child),
        cmocka_unit_test(test_fork_while_another_thread_stops),
        cmocka_unit_test(test_log_in_a_cancelled_thread),
        cmocka_unit_test(test_all_keys_in_use),
        cmocka_unit_test(test_lock_shared_with_an_unwatched_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
