/* SPDX-License-Identifier: MIT */
/* An engine that lies: see lie.h. */
#include "lie.h"

#include <liburing.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static bool no_sync;
static bool no_dsync;

/* What the linker calls the functions that are wrapped, and those that wrap them. */
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
int REAL(fsync)(int fd);
int REAL(fdatasync)(int fd);
ssize_t REAL(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int REAL(io_uring_submit)(struct io_uring *ring);

int WRAP(fsync)(int fd);
int WRAP(fdatasync)(int fd);
ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int WRAP(io_uring_submit)(struct io_uring *ring);

void lie_about(const char *what)
{
    no_sync = what && strcmp(what, "sync") == 0;
    no_dsync = what && strcmp(what, "dsync") == 0;
}

int WRAP(fsync)(int fd)
{
    return no_sync ? 0 : REAL(fsync)(fd);
}

int WRAP(fdatasync)(int fd)
{
    return no_sync ? 0 : REAL(fdatasync)(fd);
}

ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return REAL(pwritev64v2)(fd, iov, count, offset, no_dsync ? flags & ~RWF_DSYNC : flags);
}

static void change(struct io_uring_sqe *sqe)
{
    if (no_sync && sqe->opcode == IORING_OP_FSYNC)
        sqe->opcode = IORING_OP_NOP;
    if (no_dsync && (sqe->opcode == IORING_OP_WRITEV || sqe->opcode == IORING_OP_WRITE ||
                     sqe->opcode == IORING_OP_WRITE_FIXED))
        sqe->rw_flags &= ~RWF_DSYNC;
}

int WRAP(io_uring_submit)(struct io_uring *ring)
{
    const struct io_uring_sq *sq = &ring->sq;

    for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++)
        change(&sq->sqes[i & *sq->kring_mask]);
    return REAL(io_uring_submit)(ring);
}
