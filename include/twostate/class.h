/* SPDX-License-Identifier: MIT */
/*
 * Classes: what kind of lock a lock is, for those who watch (validate.h, stats.h).
 *
 * All locks of a class are taken in the same order relative to other classes, and are counted
 * together. A class may have a rank: a thread that holds a lock of a rank may not wait for one of a
 * lower rank. Classes that have no rank are ordered by what the program does first.
 *
 *   lock                    class without set_class   rank
 *   of an IO pair           IOLOCK                    TWOSTATE_RANK_IOLOCK
 *                           IOTYPE                    TWOSTATE_RANK_IOTYPE
 *   any other IOLOCK        iolock                    none; each is ordered as if alone in its class
 *   any other lock          lock                      none; the same
 *
 * An engine (io.h) has these: for each file a pair, of the classes above, and an IOLOCK that its
 * requests share and its closing takes, of class users; for each range of a file with the kernel's
 * cache one of class range; and for each folio of a user cache one of class folio, rank 3000.
 *
 * Classes cost nothing while nobody watches: set_class is then forgotten. So turn on the validator
 * or the statistics first, in the environment or by their calls.
 *
 * Threads: set_class may be called from any thread, while nobody is using the lock.
 * Memory: a class is the caller's and must stay as it is until the program ends; two classes are
 * the same if their addresses are. What class a lock has is forgotten when it is initialised,
 * destroyed, told to be freed (validate.h), or zeroed and used again.
 *
 * Example:
 *
 *     static const struct twostate_class inode_class = {.name = "inode", .rank = 500}; // before IOLOCK
 *
 *     twostate_lock_set_class(&inode->lock, &inode_class);
 *
 * Requires: Linux, gcc or clang, C99 or C++11. Link with libtwostate.
 */
#ifndef TWOSTATE_CLASS_H
#define TWOSTATE_CLASS_H

#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct twostate_class {
    const char *name;
    unsigned rank; /* 0: none; lower ranks are taken first */
    bool
        ordered; /* locks of this class are taken together in an order that the program sees to, and
                      that their addresses don't show: it is not checked */
    uint64_t reserved[2]; /* room for later versions: must be zero */
};

#define TWOSTATE_RANK_IOLOCK 1000U
#define TWOSTATE_RANK_IOTYPE 2000U

/*
 * Gives the lock a class; NULL: that of the table above.
 * Returns 0; -ENOSPC if too many locks have one (16384), or -EINVAL if it has no name or
 * reserved is not zero: the lock keeps what it had.
 */
TWOSTATE_API int twostate_lock_set_class(struct twostate_lock *lock,
                                         const struct twostate_class *cls);
TWOSTATE_API int twostate_iolock_set_class(struct twostate_iolock *lock,
                                           const struct twostate_class *cls);

/* The same for both locks of a pair. */
TWOSTATE_API int twostate_iopair_set_class(struct twostate_iopair *pair,
                                           const struct twostate_class *iolock_cls,
                                           const struct twostate_class *iotype_cls);

#ifdef __cplusplus
}
#endif

#endif
