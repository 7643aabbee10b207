/* SPDX-License-Identifier: MIT */
/* The validator, collecting: what it reported, asked for one report at a time. */
#ifndef TESTS_COLLECT_H
#define TESTS_COLLECT_H

#include <twostate/validate.h>

/* A function that a report's stack shows by name. */
#define SHOWN __attribute__((noinline, visibility("default")))

/* For cmocka: every test has the validator for itself, and must have asked for all reports. */
int collect_start(void **state);
int collect_stop(void **state);

/* The oldest report is of this rule and lock, and has these words; up to 4, then NULL. */
void expect_report(enum twostate_rule rule, const void *lock, const char *const words[]);
#define EXPECT(rule, lock, ...) expect_report(rule, lock, (const char *const[]){__VA_ARGS__, NULL})

/* There is no report. */
void expect_none(void);

/* Runs it in a thread of its own, until its end. */
void in_thread(void (*run)(void *), void *argument);

#endif
