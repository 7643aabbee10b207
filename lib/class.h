/* SPDX-License-Identifier: MIT */
/* Which class a lock has: its own, its pair's, or the one of all locks without. */
#ifndef TS_CLASS_H
#define TS_CLASS_H

#include <stddef.h>

#include <twostate/class.h>

#include "watch.h"

/* Never NULL. May be called with and without the holds' mutex. */
const struct twostate_class *class_of_(const struct twostate_lock *lock, bool exclusive);

/* No class of its own, so not to be taken as alike with the others of its class. */
bool class_is_default_(const struct twostate_class *cls);

/* The lock is one of the pairs that this thread calls on (watch_pairs_). */
bool class_paired_(const struct twostate_lock *lock);

/* This thread calls on two pairs at once, whose locks the library takes in an order of its own. */
bool class_two_pairs_(void);

/* Forgets the classes of locks in [memory, memory + size). */
void class_forget_(const void *memory, size_t size);
void class_clear_(void);

/* Around fork: the child finds the table whole. */
void class_lock_(void);
void class_unlock_(void);

/*
 * The mark "seen" in the word of a lock that is watched: the default patience, written another way.
 * A word without it is that of a lock that nobody watched before, also if its memory was zeroed and
 * is now a new lock. Under the holds' mutex.
 */
bool class_seen_(const struct twostate_lock *lock);
void class_see_(const struct twostate_lock *lock);

#endif
