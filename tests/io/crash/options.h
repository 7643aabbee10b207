/* SPDX-License-Identifier: MIT */
/* The command line that the crash tests share. */
#ifndef TESTS_CRASH_OPTIONS_H
#define TESTS_CRASH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <twostate/io.h>

/* What ctest takes for "could not be tested here". */
#define EXIT_SKIPPED 77

struct options {
    uint64_t seed;
    uint32_t rounds; /* crashes */
    enum twostate_backend backend;
    enum twostate_cache cache;
    const char *lie; /* how the engine is broken, or NULL: then the crashes must find it */
};

/* Parses and prints it; ends the program on what it does not know. */
struct options options_parse(int argc, char **argv, uint32_t rounds);

/* Says why not, and ends the program with EXIT_SKIPPED. */
void skip(const char *why, int error) __attribute__((noreturn));
/* Something that the test itself needs went wrong: says errno, and ends the program. */
void die(const char *what) __attribute__((noreturn));

/* fork(2), of a child that dies with this process. Ends the program if it can't be. */
pid_t fork_bound(void);

/*
 * Judges the program's whole run: its exit status. A lie has to be found, else nothing must be
 * wrong.
 */
int options_judge(const struct options *options, uint32_t wrong);

#endif
