/* SPDX-License-Identifier: MIT */
/* Cases of a consumer that is built with ThreadSanitizer: one is run, by its name, in a process. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

struct test_case {
    const char *name;
    void (*run)(void);
};

/* Stops even where assert would be compiled out, or seen by ThreadSanitizer. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(2);                                                                               \
        }                                                                                          \
    } while (0)

static inline pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static inline void join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Time passes, but nothing happens before anything: relaxed steps order no other memory. */
static inline void reach(int *step, int value)
{
    __atomic_store_n(step, value, __ATOMIC_RELAXED);
}

static inline void await(const int *step, int value)
{
    while (__atomic_load_n(step, __ATOMIC_RELAXED) < value)
        sched_yield();
}

/* The program's own order, such as a queue of requests has. */
static inline void send(int *step, int value)
{
    __atomic_store_n(step, value, __ATOMIC_RELEASE);
}

static inline void receive(const int *step, int value)
{
    while (__atomic_load_n(step, __ATOMIC_ACQUIRE) < value)
        sched_yield();
}

static inline int run_case(const struct test_case *cases, size_t count, int argc, char **argv)
{
    for (size_t i = 0; i < count; i++) {
        if (argc < 2)
            puts(cases[i].name);
        else if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            puts("ran to its end");
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}

#endif
