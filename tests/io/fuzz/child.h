/* SPDX-License-Identifier: MIT */
/*
 * Runs something in a process of its own, so that whatever comes of it (a crash, a hang, a report of
 * a sanitizer) is an answer, and can be asked for again.
 */
#ifndef FUZZ_CHILD_H
#define FUZZ_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* Memory that the process shares with who started it. */
struct report {
    uint64_t step; /* the operation that it is at; atomic. If it does not move, the process hangs */
    uint64_t done; /* what it did, all told; atomic */
    char message[500];
};

enum outcome { OUTCOME_OK, OUTCOME_FAILED, OUTCOME_CRASHED, OUTCOME_HUNG };

struct report *report_new(void);

static inline uint64_t report_get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void report_step(struct report *report, uint64_t step)
{
    __atomic_store_n(&report->step, step, __ATOMIC_RELAXED);
    __atomic_add_fetch(&report->done, 1, __ATOMIC_RELAXED);
}

/* In the child: it has failed. Ends the process. */
__attribute__((noreturn, format(printf, 2, 3))) void report_fail(struct report *report,
                                                                 const char *format, ...);

struct child {
    void (*run)(void *arg, struct report *report); /* returns if all is well */
    void *arg;
    int patience;            /* seconds without a step after which it hangs */
    bool quiet;              /* nothing of what it prints is shown */
    void (*tick)(void *arg); /* called now and then while it runs; may be NULL */
    void *tick_arg;
};

/* message says what happened, if it is not OUTCOME_OK. The caller has no other threads. */
enum outcome child_run(const struct child *child, struct report *report);

#endif
