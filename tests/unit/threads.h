/* SPDX-License-Identifier: MIT */
/* Threads for tests: start one, wait, within bounds, until some state shows what it does, join it.
 */
#ifndef TESTS_THREADS_H
#define TESTS_THREADS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct task {
    pthread_t thread;
    void (*run)(void *);
    void *argument;
    uint32_t done;
};

void task_start(struct task *task, void (*run)(void *), void *argument);
bool task_done(const struct task *task);
void task_join(struct task *task);

/* Absolute CLOCK_MONOTONIC times, as the timed calls take them. */
struct timespec after_ms(long ms);
bool is_past(const struct timespec *time);

void check_failed(const char *what, const char *file, int line);
void await_step(const struct timespec *end, const char *what, const char *file, int line);

/* An assertion for any thread; cmocka's can only fail in the thread that runs the test. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)

/* How long a state is waited for: $TEST_AWAIT_MS, or two minutes, for the machine may be busy. */
long await_ms(void);

/* Looks at the condition until it holds. The watchdog ends a test whose state never comes. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        const struct timespec end_ = after_ms(await_ms());                                         \
        while (!(condition))                                                                       \
            await_step(&end_, #condition, __FILE__, __LINE__);                                     \
    } while (0)

/* Counters and flags that threads share without a lock. */
static inline uint32_t load(const uint32_t *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static inline void store(uint32_t *value, uint32_t to)
{
    __atomic_store_n(value, to, __ATOMIC_RELEASE);
}

static inline uint32_t add(uint32_t *value, uint32_t by)
{
    return __atomic_add_fetch(value, by, __ATOMIC_ACQ_REL);
}

#endif
