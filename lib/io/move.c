/* SPDX-License-Identifier: MIT */
/* Transfers in the caller's thread: one system call, and all of a window. */
#include "backend.h"

#include <errno.h>

int64_t backend_run_(const struct backend_op *op)
{
    const int saved = errno;
    ssize_t moved = 0;

    do {
        moved = op->write ? pwritev2(op->fd, op->iov, op->count, op->offset, op->rw_flags)
                          : preadv2(op->fd, op->iov, op->count, op->offset, op->rw_flags);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0)
        moved = -errno;
    errno = saved;
    return moved;
}

int64_t backend_move_(struct backend_op *op, struct cursor *cursor, uint32_t unit)
{
    int64_t total = 0;

    while (cursor->window > 0) {
        int64_t moved = 0;

        op->iov = cursor->iov;
        op->count = cursor->window_count;
        moved = backend_run_(op);
        if (moved <= 0)
            return total ? total : moved;
        cursor_advance_(cursor, (size_t)moved);
        op->offset += moved;
        total += moved;
        if (moved % unit)
            break;
    }
    return total;
}
