/* SPDX-License-Identifier: MIT */
/* A cursor over a caller's iovec: where a transfer stands, and the window it moves next. */
#include "cursor.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int check(const struct iovec *iov, int count, size_t *total)
{
    *total = 0;
    if (count < 0 || count > IOV_MAX || (iov == NULL && count > 0))
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > (size_t)SSIZE_MAX - *total)
            return -EINVAL;
        if (iov[i].iov_base == NULL && iov[i].iov_len > 0)
            return -EINVAL;
        *total += iov[i].iov_len;
    }
    return 0;
}

int cursor_init_(struct cursor *cursor, const struct iovec *iov, int count)
{
    size_t total = 0;
    const int result = check(iov, count, &total);

    /* Not all of it: this is on the way of every request, and `few` is large. */
    cursor->count = 0;
    cursor->left = total;
    cursor->window_count = 0;
    cursor->window = 0;
    cursor->hidden = 0;
    cursor->allocated = NULL;
    if (result)
        return result;
    cursor->iov = cursor->few;
    if ((size_t)count > sizeof(cursor->few) / sizeof(cursor->few[0])) {
        cursor->allocated = malloc((size_t)count * sizeof(*iov));
        if (cursor->allocated == NULL)
            return -ENOMEM;
        cursor->iov = cursor->allocated;
    }
    for (int i = 0; i < count; i++)
        if (iov[i].iov_len > 0)
            cursor->iov[cursor->count++] = iov[i];
    return 0;
}

void cursor_destroy_(struct cursor *cursor)
{
    free(cursor->allocated);
    cursor->allocated = NULL;
}

static void unhide(struct cursor *cursor)
{
    if (cursor->hidden)
        cursor->iov[cursor->window_count - 1].iov_len += cursor->hidden;
    cursor->hidden = 0;
}

void cursor_show_(struct cursor *cursor, size_t most)
{
    unhide(cursor);
    if (cursor->left <= most) { /* on the way of every request */
        cursor->window = cursor->left;
        cursor->window_count = cursor->count;
        return;
    }
    cursor->window = 0;
    cursor->window_count = 0;
    while (cursor->window_count < cursor->count && cursor->window < most)
        cursor->window += cursor->iov[cursor->window_count++].iov_len;
    if (cursor->window > most) {
        cursor->hidden = cursor->window - most;
        cursor->iov[cursor->window_count - 1].iov_len -= cursor->hidden;
        cursor->window = most;
    }
}

void cursor_truncate_(struct cursor *cursor)
{
    cursor->left = cursor->window;
    cursor->count = cursor->window_count;
    cursor->hidden = 0;
}

void cursor_advance_(struct cursor *cursor, size_t n)
{
    const size_t rest = cursor->window - n;

    if (n == cursor->left) {
        cursor->left = cursor->window = 0;
        cursor->count = cursor->window_count = 0;
        return;
    }
    unhide(cursor);
    cursor->left -= n;
    while (n > 0 && n >= cursor->iov->iov_len) {
        n -= cursor->iov->iov_len;
        cursor->iov++;
        cursor->count--;
    }
    if (n > 0) {
        cursor->iov->iov_base = (char *)cursor->iov->iov_base + n;
        cursor->iov->iov_len -= n;
    }
    cursor_show_(cursor, rest);
}

bool cursor_memory_aligned_(const struct cursor *cursor, size_t memory, size_t length)
{
    for (int i = 0; i < cursor->window_count; i++)
        if ((uintptr_t)cursor->iov[i].iov_base % memory || cursor->iov[i].iov_len % length)
            return false;
    return true;
}

static void copy(const struct cursor *cursor, char *plain, size_t n, bool into_window)
{
    for (int i = 0; i < cursor->window_count && n > 0; i++) {
        const size_t length = n < cursor->iov[i].iov_len ? n : cursor->iov[i].iov_len;

        if (into_window)
            memcpy(cursor->iov[i].iov_base, plain, length);
        else
            memcpy(plain, cursor->iov[i].iov_base, length);
        plain += length;
        n -= length;
    }
}

void cursor_copy_in_(const struct cursor *cursor, const void *from, size_t n)
{
    copy(cursor, (char *)(uintptr_t)from, n, true);
}

void cursor_copy_out_(const struct cursor *cursor, void *to, size_t n)
{
    copy(cursor, to, n, false);
}
