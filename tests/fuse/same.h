/* SPDX-License-Identifier: MIT */
/* Operations on files, each alone in a new directory, for test_fuse_same. */
#ifndef TWOSTATE_TESTS_FUSE_SAME_H
#define TWOSTATE_TESTS_FUSE_SAME_H

/* Does its operation in the current directory, as root. What it returns must be the same everywhere. */
struct same {
    const char *name;
    long (*run)(void);
};

/* Each list ends with a NULL name. */
extern const struct same same_names[], same_data[], same_users[];

/* Makes a file with some bytes, and opens it; exits if it can't. */
int make(const char *name, int flags);

/* The result, or the error as a negative number. */
long answer(long result);

#endif
