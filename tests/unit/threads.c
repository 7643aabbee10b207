/* SPDX-License-Identifier: MIT */
/* Threads for tests: see threads.h. */
#include "threads.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    abort();
}

struct timespec after_ms(long ms)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += ms % 1000 * 1000000;
    time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

bool is_past(const struct timespec *time)
{
    const struct timespec now = after_ms(0);

    return now.tv_sec != time->tv_sec ? now.tv_sec > time->tv_sec : now.tv_nsec >= time->tv_nsec;
}

long await_ms(void)
{
    const char *given = getenv("TEST_AWAIT_MS");

    return given ? strtol(given, NULL, 10) : 120000;
}

void await_step(const struct timespec *end, const char *what, const char *file, int line)
{
    const struct timespec moment = {.tv_nsec = 100000};

    if (is_past(end)) {
        fprintf(stderr, "%s:%d: never came: %s\n", file, line, what);
        abort();
    }
    nanosleep(&moment, NULL);
}

static void *task_main(void *argument)
{
    struct task *task = argument;

    task->run(task->argument);
    store(&task->done, 1);
    return NULL;
}

void task_start(struct task *task, void (*run)(void *), void *argument)
{
    pthread_attr_t attributes;

    *task = (struct task){.run = run, .argument = argument};
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)256 * 1024) == 0);
    CHECK(pthread_create(&task->thread, &attributes, task_main, task) == 0);
    pthread_attr_destroy(&attributes);
}

bool task_done(const struct task *task)
{
    return load(&task->done) != 0;
}

void task_join(struct task *task)
{
    AWAIT(task_done(task));
    CHECK(pthread_join(task->thread, NULL) == 0);
}
