/* SPDX-License-Identifier: MIT */
/*
 * The validator: finds what may go wrong with locks before it does, at run time.
 *
 * It is off, and costs the fast paths nothing: a lock that was first used while it was off never
 * calls into it. It is turned on by twostate_validate_start, or in the program's environment:
 *
 *     TWOSTATE_VALIDATE=1        stop the program at the first broken rule
 *     TWOSTATE_VALIDATE=log      write what is found to the standard error, and go on
 *     TWOSTATE_VALIDATE=1,-hand-off,-recursion      the same without the rules named
 *     TWOSTATE_VALIDATE=0        off
 *
 * With any other value it is on too, and says what it did not understand.
 *
 * It sees locks that are used for the first time after that, so turn it on before locks are used.
 * A validated lock takes the slow path in every call, and the path is walked up for each: some
 * microseconds.
 *
 *   rule           broken by a thread that
 *   rank           waits for a lock whose class has a lower rank than one it holds (class.h)
 *   order          waits for a lock while it holds another, though locks of these classes were taken
 *                  the other way round before, directly or through others, by whatever thread: no
 *                  deadlock has to happen
 *   self-deadlock  waits for itself: holds A and acquires B, holds shared and acquires exclusive,
 *                  drains or freezes while holding, switches with two holds
 *   recursion      holds a state and acquires it again: it waits for itself once the lock is being
 *                  handed to the other state. (twostate_lock_join never waits.)
 *   hand-off       gives back what another thread acquired and did not hand over: the locks allow
 *                  that, but the validator must be told (disown, disown_hold)
 *   leak           ends while it holds; destroys a lock, or initialises it again, while it is held
 *                  (the end of the program is not looked at: twostate_validate_leaks)
 *   free           frees memory with a lock in it that is held or waited for (validate_free)
 *   fork           forks while it holds: the child's copy is held too, by nobody
 *
 * Drain, freeze and switch count as acquisitions; so do timed and cancellable calls (for async.h:
 * twostate_waiter_wait). Calls that never wait (try, join, async) break no order, but what they took
 * is held. What an asynchronous call acquired, and IOTYPE after twostate_iopair_submitting, belongs
 * to a request, not to a thread: it is handed over already. The order in which begin_remap_two takes
 * the locks of two pairs is the library's, and no matter of their classes.
 *
 * A report names the rule, the locks and their classes, the calls and where they were made, from
 * the inside to the outside: the present call, the hold that it conflicts with, and, for order, both
 * places of each earlier acquisition that established the other order. Names are those of functions
 * that the linker exports: link a program with -rdynamic to see its own. The others, static and
 * inline ones too, and the lines, come from what is in brackets: for "(server+0x1377)" in a program
 * that was compiled with -g
 *
 *     $ addr2line -f -i -e server 0x1377
 *
 * (if it is no position-independent one, the address in front instead, less 1).
 *
 * Bounds: 8192 holds at a time (by one acquire each), 1024 classes (and locks without a class that
 * are nested), 4096 ordered pairs of them, 14 frames of each stack. What finds no room is not
 * checked and never reported wrongly; it is counted, and reports say so.
 *
 * Locks that several processes share are checked in each process on its own; no more, once a process
 * in which nobody watches has used them. A forked child begins with no holds: those are its parent's.
 *
 * Threads: every function may be called from any thread, none from a signal handler. A report looks
 * up the names of functions, and so waits while another thread is in dlopen: if a constructor of the
 * library that is being loaded uses a lock, both wait for ever.
 *
 * Example:
 *
 *     $ TWOSTATE_VALIDATE=1 ./server
 *     twostate: lock 0x55d0c80b4068: misuse: drain: self-deadlock: ...
 *
 * Requires: Linux, gcc or clang, C99 or C++11. Link with libtwostate.
 */
#ifndef TWOSTATE_VALIDATE_H
#define TWOSTATE_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <twostate/iopair.h>
#include <twostate/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each is a bit: a set of rules is their sum. */
enum twostate_rule {
    TWOSTATE_RULE_RANK = 1,
    TWOSTATE_RULE_ORDER = 2,
    TWOSTATE_RULE_SELF_DEADLOCK = 4,
    TWOSTATE_RULE_RECURSION = 8,
    TWOSTATE_RULE_HAND_OFF = 16,
    TWOSTATE_RULE_LEAK = 32,
    TWOSTATE_RULE_FREE = 64,
    TWOSTATE_RULE_FORK = 128,
};

#define TWOSTATE_RULES_ALL 255U

/* What is done when a rule is broken. */
enum twostate_validate_mode {
    TWOSTATE_VALIDATE_STOP = 0,    /* says so and aborts */
    TWOSTATE_VALIDATE_LOG = 1,     /* writes to the standard error, and goes on */
    TWOSTATE_VALIDATE_COLLECT = 2, /* keeps the report for twostate_validate_next, and goes on */
};

#define TWOSTATE_REPORT_TEXT 8192

/* reserved, here and below, is 0, and room for later versions. */
struct twostate_report {
    enum twostate_rule rule;
    const void *lock; /* its address; the lock may be gone */
    uint64_t reserved[4];
    char text[TWOSTATE_REPORT_TEXT];
};

struct twostate_validate_info {
    uint64_t reports;       /* since the start */
    uint64_t reports_lost;  /* of those: not kept, because 16 were waiting to be taken */
    uint32_t holds;         /* that somebody has now */
    uint64_t holds_missed;  /* found no room; while there are such, hand-off is not checked */
    uint64_t orders_missed; /* found no room */
    uint64_t reserved[3];
};

/*
 * Turns the validator on, before locks are used. If it is on already, only changes these settings.
 * Going on after a self-deadlock means to wait for ever; but calls that return errors return
 * -EDEADLK for it.
 * Returns 0, or -EINVAL for a mode or rules that don't exist.
 */
TWOSTATE_API int twostate_validate_start(enum twostate_validate_mode mode, uint32_t rules);

/* Turns it off, and forgets all that it knows but the reports. No lock may be held. */
TWOSTATE_API void twostate_validate_stop(void);

/* The oldest report that was kept; false: there is none. */
TWOSTATE_API bool twostate_validate_next(struct twostate_report *report);

TWOSTATE_API struct twostate_validate_info twostate_validate_query(void);

/*
 * Hands over: the newest hold that the calling thread has of the lock (a struct twostate_lock or
 * struct twostate_iolock) is no longer the thread's, and any thread may give it back. One hold a
 * call: a thread that hands over n, also those of one acquire_n, calls it n times.
 * Does nothing while the validator is off, but that ThreadSanitizer is told (lock.h).
 */
TWOSTATE_API void twostate_validate_disown(const void *lock);

/* Takes over: the oldest hold of the lock that is nobody's is now the calling thread's. One, too. */
TWOSTATE_API void twostate_validate_adopt(const void *lock);

/* The same for all that a pair's hold holds. */
TWOSTATE_API void twostate_validate_disown_hold(const struct twostate_hold *hold);
TWOSTATE_API void twostate_validate_adopt_hold(const struct twostate_hold *hold);

/*
 * Before memory is freed, or used for something else: a lock in it that is held or waited for
 * breaks the rule free. Then forgets the locks in it.
 */
TWOSTATE_API void twostate_validate_free(const void *memory, size_t size);

/*
 * Where nothing should be held any more, such as the end of the program: every hold that anybody
 * has breaks the rule leak, one report for each. Returns how many there are.
 */
TWOSTATE_API uint32_t twostate_validate_leaks(void);

#ifdef __cplusplus
}
#endif

#endif
