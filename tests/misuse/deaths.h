/* SPDX-License-Identifier: MIT */
/* Misuse, made in a child process: it must stop, by SIGABRT, and say what was wrong. */
#ifndef TESTS_DEATHS_H
#define TESTS_DEATHS_H

struct death {
    const char *name;
    void (*misuse)(void);
    const void *where;    /* its address must be in the message */
    const char *words[3]; /* and these */
};

void assert_dies(const struct death *death);

#endif
