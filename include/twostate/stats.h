/* SPDX-License-Identifier: MIT */
/*
 * Statistics: how often, how long and for whom the locks of each class made their callers wait.
 *
 * They are off, and cost the fast paths nothing: a lock that was first used while they were off
 * never calls into them. They are turned on by a call, or in the environment of the program:
 *
 *     TWOSTATE_STATS=1       on, and the program asks for the numbers; any other value but 0, too
 *     TWOSTATE_STATS=text    on, and the table goes to the standard error at exit
 *     TWOSTATE_STATS=json    the same, as JSON
 *
 * Only locks that are used for the first time after that are counted: turn them on before locks
 * are used. A counted lock takes the slow path in every call (twice to ten times the time of an
 * uncontended one), so measure waits with it, not the speed of the lock.
 *
 * Classes are those of class.h: without a class of their own, all two-state locks are one class,
 * and all IOLOCKs another. The engine (io.h) has locks of its own, which are counted too: see there.
 *
 * The table's columns are the members of struct twostate_stats_group (switches: mode_switches), and
 * its times are in microseconds; waits and holds that there were none of are left out.
 *
 * Threads: every function may be called from any thread, at any time, none from a signal handler.
 * A snapshot, or a table, is made while the locks go on. Each number in it was true at one moment
 * of the call, numbers of different moments are side by side, and a sum may lack what was just
 * under way: on a lock at rest, every number is exact.
 * Memory: about 100 KiB of address space for a class that was used, for 128 classes at most (those
 * after them are not counted).
 * After a fork the child goes on with its parent's numbers. A lock that several processes share is
 * counted in each of them, as it sees it.
 *
 * Example:
 *
 *     twostate_stats_enable();
 *     ...                                              // the program's work
 *     twostate_stats_print(stderr, TWOSTATE_STATS_TEXT);
 *
 * Requires: Linux, gcc or clang, C99 or C++11. Link with libtwostate.
 */
#ifndef TWOSTATE_STATS_H
#define TWOSTATE_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <twostate/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWOSTATE_STATS_BUCKETS 40

/*
 * Durations, in nanoseconds. The percentiles are right to 3 %, the other numbers exact. reserved,
 * here and below, is 0, and room for later versions.
 */
struct twostate_stats_times {
    uint64_t count;
    uint64_t total_ns;
    uint64_t max_ns;
    uint64_t p50_ns; /* half of them are not above this */
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t buckets[TWOSTATE_STATS_BUCKETS]; /* [n]: from 2^n, below 2^(n+1); [0]: below 2, too;
                                                 the last one: all that are longer */
    uint64_t reserved[2];
};

/* Those who want the same of a lock. */
struct twostate_stats_group {
    uint64_t acquires;  /* calls that got holds, after a wait or not; switches too; not drains */
    uint64_t waits;     /* calls that found the lock not to be had, and waited */
    uint64_t refused;   /* waits in vain: timed out, cancelled, at the limit, deadlock */
    uint64_t impatient; /* waits whose patience ran out: they claimed the turn */
    uint64_t grants;    /* asynchronous waiters that were let in */
    uint64_t looks;     /* at the lock, before sleeping (spins) */
    uint64_t sleeps;    /* calls of the kernel to sleep */
    uint64_t mode_switches; /* phases that ended by an unlock for another group, or by a switch */
    struct twostate_stats_times wait;
    struct twostate_stats_times hold; /* of each hold, n of acquire_n; drain: freezes */
    uint64_t reserved[6];
};

/* The members of twostate_stats.groups. */
#define TWOSTATE_STATS_A         0 /* of a lock; a wait to switch counts where it leads */
#define TWOSTATE_STATS_B         1
#define TWOSTATE_STATS_SHARED    0 /* of an IOLOCK */
#define TWOSTATE_STATS_EXCLUSIVE 1
#define TWOSTATE_STATS_DRAIN     2 /* drains and freezes of a lock */

struct twostate_stats {
    const char *name;       /* the class; valid for as long as the class is */
    bool iolock;            /* a class of IOLOCKs */
    uint64_t longest_queue; /* registered waiters of one lock, at most */
    struct twostate_stats_group groups[3];
    uint64_t reserved[4];
};

enum twostate_stats_format {
    TWOSTATE_STATS_TEXT = 0, /* a table for people */
    TWOSTATE_STATS_JSON = 1, /* all numbers of the snapshots, under the names that they have here */
};

/* Turns the statistics on, for locks that were not used before. They stay on. */
TWOSTATE_API void twostate_stats_enable(void);

/*
 * The numbers of one class. Classes that something was counted of are numbered from 0 on; a class
 * keeps its number. False, and *stats as it was: there are not so many.
 */
TWOSTATE_API bool twostate_stats_snapshot(unsigned number, struct twostate_stats *stats);

/* Sets the numbers of all classes to 0. What is counted during the call may be lost. */
TWOSTATE_API void twostate_stats_reset(void);

/*
 * Writes all classes. JSON is an object like this, where ... are more numbers of the structures
 * above, buckets are [from ns, count], without the empty ones, and an IOLOCK's groups are "shared"
 * and "exclusive"; names are as the program gave them, so they should be UTF-8:
 *
 *     {"classes": [{"name": "lock", "iolock": false, "longest_queue": 2, "groups": [
 *       {"name": "A", "acquires": 7, ..., "wait": {"count": 1, ..., "buckets": [[8192, 1]]},
 *        "hold": {...}}, {"name": "B", ...}, {"name": "drain", ...}]}]}
 *
 * Returns 0, -EINVAL for another format, or -EIO if something could not be written (ferror tells
 * too). The file is not flushed.
 */
TWOSTATE_API int twostate_stats_print(FILE *file, enum twostate_stats_format format);

#ifdef __cplusplus
}
#endif

#endif
