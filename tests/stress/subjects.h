/* SPDX-License-Identifier: MIT */
/* What the stress program can be run on: the real lock, and locks that are broken on purpose. */
#ifndef TESTS_SUBJECTS_H
#define TESTS_SUBJECTS_H

#include <stdbool.h>
#include <time.h>

#include <twostate/lock.h>

struct subject {
    const char *name;
    bool broken;
    void (*acquire)(struct twostate_lock *lock, enum twostate_state state);
    bool (*try_acquire)(struct twostate_lock *lock, enum twostate_state state);
    int (*acquire_timed)(struct twostate_lock *lock, enum twostate_state state,
                         const struct timespec *deadline);
    void (*release)(struct twostate_lock *lock, enum twostate_state state);
    void (*drain)(struct twostate_lock *lock);
    int (*drain_timed)(struct twostate_lock *lock, const struct timespec *deadline);
    int (*switch_to)(struct twostate_lock *lock, enum twostate_state to,
                     const struct timespec *deadline);
    bool (*try_switch)(struct twostate_lock *lock, enum twostate_state to);
};

/* NULL if there is none of that name. */
const struct subject *subject_find(const char *name);

#endif
