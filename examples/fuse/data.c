/* SPDX-License-Identifier: MIT */
/* IO: each request of the kernel is one call of the engine, by the path that the caller's flags ask for. */
#include "file.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define BUFFER_UNIT 4096
#define COPY_MOST   (INT64_C(64) << 20) /* copies hold up all other IO of the destination */

/* The flags are the open file's as they are now, so O_DIRECT may come and go by fcntl. */
static unsigned engine_flags(int flags)
{
    return (flags & O_DIRECT ? TWOSTATE_IO_DIRECT : 0U) |
           (flags & O_DSYNC ? TWOSTATE_IO_DSYNC : 0U); /* O_SYNC has this bit too */
}

/* A thread's buffer for reads: aligned, so that a direct read needs no copy in the engine. */
struct buffer {
    void *data;
    size_t size;
};

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void buffer_free(void *arg)
{
    struct buffer *buffer = arg;

    free(buffer->data);
    free(buffer);
}

static void buffer_init(void)
{
    if (pthread_key_create(&buffer_key, buffer_free) != 0)
        abort();
}

static void *buffer_get(size_t size)
{
    struct buffer *buffer = NULL;
    const size_t whole = (size + BUFFER_UNIT - 1) / BUFFER_UNIT * BUFFER_UNIT;

    pthread_once(&buffer_once, buffer_init);
    buffer = pthread_getspecific(buffer_key);
    if (buffer == NULL) {
        buffer = calloc(1, sizeof(*buffer));
        if (buffer == NULL || pthread_setspecific(buffer_key, buffer) != 0) {
            free(buffer);
            return NULL;
        }
    }
    if (buffer->size < whole) {
        free(buffer->data);
        buffer->data = aligned_alloc(BUFFER_UNIT, whole);
        buffer->size = buffer->data ? whole : 0;
    }
    return buffer->data;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    void *buffer = buffer_get(size);
    ssize_t length = -ENOMEM;

    (void)ino;
    if (buffer)
        length = twostate_pread(file_of(fi)->file, buffer, size, offset,
                                engine_flags(fi->flags) & TWOSTATE_IO_DIRECT);
    if (length < 0)
        fuse_reply_err(req, (int)-length);
    else
        fuse_reply_buf(req, buffer, (size_t)length);
}

/* A write of pages that were stored to through a mapping is at its own place, and is not root's. */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct opened *opened = file_of(fi);
    const unsigned flags = engine_flags(fi->flags);
    ssize_t length = 0;

    (void)ino;
    if ((fi->flags & O_APPEND) && !fi->writepage)
        length = twostate_append(opened->file, &iov, 1, flags, NULL);
    else
        length = twostate_pwritev(opened->file, &iov, 1, offset, flags);
    if (length < 0) {
        fuse_reply_err(req, (int)-length);
        return;
    }
    file_changed(opened);
    if (__atomic_load_n(&opened->node->set_id, __ATOMIC_RELAXED) && fuse_req_ctx(req)->uid != 0)
        node_drop_set_id(opened->node);
    fuse_reply_write(req, (size_t)length);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    struct twostate_file *file = file_of(fi)->file;

    (void)ino;
    fuse_reply_err(req, -(data_only ? twostate_fdatasync(file) : twostate_fsync(file)));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi)
{
    struct opened *opened = file_of(fi);
    const int result = twostate_fallocate(opened->file, mode, offset, length);

    (void)ino;
    if (result == 0)
        file_changed(opened);
    fuse_reply_err(req, -result);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    const int64_t found = twostate_seek(file_of(fi)->file, offset, whence);

    (void)ino;
    if (found < 0)
        fuse_reply_err(req, (int)-found);
    else
        fuse_reply_lseek(req, found);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset,
                        struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_offset,
                        struct fuse_file_info *out_fi, size_t length, int flags)
{
    struct opened *to = file_of(out_fi);
    const int64_t most = length < COPY_MOST ? (int64_t)length : COPY_MOST;
    int64_t copied = -EINVAL;

    (void)in;
    (void)out;
    if (flags == 0)
        copied = twostate_remap(file_of(in_fi)->file, in_offset, to->file, out_offset, most);
    if (copied < 0) {
        fuse_reply_err(req, (int)-copied);
        return;
    }
    file_changed(to);
    fuse_reply_write(req, (size_t)copied);
}
