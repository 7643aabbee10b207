/* SPDX-License-Identifier: MIT */
/* The same code in two shared objects, each with its own copy of the headers' inline functions. */
#ifndef TESTS_DSO_H
#define TESTS_DSO_H

#include <stdbool.h>

#include <twostate/iopair.h>

struct dso {
    void (*acquire)(struct twostate_lock *lock, enum twostate_state state);
    bool (*try_acquire)(struct twostate_lock *lock, enum twostate_state state);
    void (*release)(struct twostate_lock *lock, enum twostate_state state);
    void (*acquire_iolock)(struct twostate_iolock *lock, enum twostate_iomode mode);
    bool (*try_acquire_iolock)(struct twostate_iolock *lock, enum twostate_iomode mode);
    void (*release_iolock)(struct twostate_iolock *lock, enum twostate_iomode mode);
};

extern const struct dso dso_one;
extern const struct dso dso_two;

#endif
