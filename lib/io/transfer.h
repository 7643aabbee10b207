/* SPDX-License-Identifier: MIT */
/* One read or write on its way through the engine. */
#ifndef TS_IO_TRANSFER_H
#define TS_IO_TRANSFER_H

#include "engine.h"

struct transfer {
    struct twostate_file *file;
    bool write;
    bool leased;    /* BUFFERED is held by the lease, for the whole transfer */
    unsigned flags; /* TWOSTATE_IO_..., read once */
    int64_t offset; /* of the cursor; for an append, once it is resolved */
    struct cursor cursor;
    struct cache_kept kept; /* of a direct write, from its preparation to its end */
};

/* Checks the arguments and takes them over. 0 or -errno; after 0, transfer_destroy_ is due. */
int transfer_init_(struct transfer *t, struct twostate_file *file, bool write,
                   const struct iovec *iov, int count, int64_t offset, unsigned flags);
void transfer_destroy_(struct transfer *t);

/* Carries it out in this thread. Bytes or -errno. *at (may be NULL): where an append landed. */
int64_t transfer_run_(struct transfer *t, int64_t *at);

/* Whether the whole transfer is one direct request that the kernel takes as it is. */
bool transfer_plain_direct_(struct transfer *t);

/* Whether a write reaches past the end of file, as it is now. A path is held. */
bool transfer_extends_(struct transfer *t);

/*
 * DIRECT is held. Makes a direct read end with the block that holds the end of file, as it is now; what
 * the window shows may become nothing. File systems allocate space past the end ahead of writes, and
 * XFS answers -EIO to a direct read that comes upon some of it. 0 or -errno.
 */
int transfer_clip_(struct transfer *t);

/* The RWF_ flags of its direct requests. */
int transfer_direct_flags_(const struct transfer *t);

/* Whether the file system can't do the request with O_DIRECT: it goes through the cache then. */
bool transfer_refused_(int64_t result);

/*
 * Whether a DSYNC write failed for what may be a failed write-back. A sync then finds out, through the
 * descriptor that hears of all of them, and the file remembers.
 */
bool transfer_dsync_failed_(const struct transfer *t, int64_t moved, int64_t length);

/* After a direct request: the size, and the cache if it failed. Returns the request's result. */
int64_t transfer_direct_done_(struct transfer *t, int64_t offset, int64_t length, int64_t result);

#endif
