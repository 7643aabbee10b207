/* SPDX-License-Identifier: MIT */
/* Plain system calls. */
#include "driver_raw.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_ENTRIES 256 /* no batch is larger */

static int64_t result_of(int64_t returned)
{
    return returned < 0 ? -errno : returned;
}

/* The device tells by refusing what is less than its sectors. */
static int64_t probe_alignment(int direct)
{
    void *buffer = aligned_zalloc(4096);
    int64_t alignment = pread(direct, buffer, 512, 512) < 0 && errno == EINVAL ? 4096 : 512;

    free(buffer);
    return alignment;
}

int raw_open(struct raw_file *file, const char *path)
{
    file->buffered = open(path, O_RDWR | O_CLOEXEC);
    if (file->buffered < 0)
        return -errno;
    file->direct = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
    if (file->direct < 0 && errno == EINVAL) /* a file system without it */
        file->direct = open(path, O_RDWR | O_CLOEXEC);
    if (file->direct < 0) {
        int error = -errno;

        close(file->buffered);
        return error;
    }
    file->alignment = probe_alignment(file->direct);
    return 0;
}

int raw_close(struct raw_file *file)
{
    int direct = close(file->direct) ? -errno : 0;
    int buffered = close(file->buffered) ? -errno : 0;

    return direct ? direct : buffered;
}

static bool aligned(const struct raw_file *file, const void *buffer, size_t length, int64_t offset)
{
    int64_t bits = (int64_t)(uintptr_t)buffer | (int64_t)length | offset;

    return bits % file->alignment == 0;
}

bool raw_is_direct(const struct raw_file *file, const struct request *request)
{
    return request->direct && aligned(file, request->buffer, request->length, request->offset);
}

static void transfer_one(const struct raw_file *file, struct request *request)
{
    int fd = raw_is_direct(file, request) ? file->direct : file->buffered;

    request->result =
        result_of(request->write ? pwrite(fd, request->buffer, request->length, request->offset)
                                 : pread(fd, request->buffer, request->length, request->offset));
    request->ended_ns = now_ns();
}

static void prepare(const struct raw_file *file, struct io_uring *ring, struct request *request)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    int fd = raw_is_direct(file, request) ? file->direct : file->buffered;
    unsigned length = (unsigned)request->length;
    uint64_t offset = (uint64_t)request->offset;

    if (request->write)
        io_uring_prep_write(sqe, fd, request->buffer, length, offset);
    else
        io_uring_prep_read(sqe, fd, request->buffer, length, offset);
    io_uring_sqe_set_data(sqe, request);
}

static int wait_completion(struct io_uring *ring, struct io_uring_cqe **cqe)
{
    int error;

    do
        error = io_uring_wait_cqe(ring, cqe);
    while (error == -EINTR);
    return error;
}

/* Each thread has one ring for all its batches, as a program would. */
static pthread_key_t rings;

static void ring_destroy(void *ring)
{
    io_uring_queue_exit(ring);
    free(ring);
}

static void rings_init(void)
{
    if (pthread_key_create(&rings, ring_destroy) != 0)
        die("cannot keep a ring for each thread");
}

/* NULL if there is no io_uring here. */
static struct io_uring *own_ring(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, rings_init);
    struct io_uring *ring = pthread_getspecific(rings);

    if (ring != NULL)
        return ring;
    ring = zalloc(1, sizeof(*ring));
    if (io_uring_queue_init(RING_ENTRIES, ring, 0) != 0) {
        free(ring);
        return NULL;
    }
    if (pthread_setspecific(rings, ring) != 0)
        die("out of memory");
    return ring;
}

void raw_transfer(const struct raw_file *file, struct request *requests, unsigned count)
{
    struct io_uring *ring = count > 1 ? own_ring() : NULL;

    if (ring == NULL) {
        for (unsigned i = 0; i < count; i++)
            transfer_one(file, &requests[i]);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        prepare(file, ring, &requests[i]);
        if (io_uring_submit(ring) != 1)
            die("io_uring does not take a request");
        if (requests[i].submitted)
            requests[i].submitted(&requests[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe;

        if (wait_completion(ring, &cqe) != 0)
            die("io_uring does not give a completion");
        struct request *request = io_uring_cqe_get_data(cqe);

        request->result = cqe->res;
        request->ended_ns = now_ns();
        io_uring_cqe_seen(ring, cqe);
    }
}

int64_t raw_append(const struct raw_file *file, const void *buffer, size_t length, bool direct)
{
    /* const is lost because one struct serves reads and writes */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buffer, .iov_len = length};
    int fd = direct && aligned(file, buffer, length, 0) ? file->direct : file->buffered;

    return result_of(pwritev2(fd, &iov, 1, 0, RWF_APPEND));
}

int raw_truncate(const struct raw_file *file, int64_t length)
{
    return ftruncate(file->buffered, length) ? -errno : 0;
}

int raw_punch(const struct raw_file *file, int64_t offset, int64_t length)
{
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    return fallocate(file->buffered, mode, offset, length) ? -errno : 0;
}

/* Shares the blocks, or copies where the file system cannot. */
int64_t raw_remap(const struct raw_file *file, int64_t from, int64_t to, int64_t length)
{
    struct file_clone_range range = {
        .src_fd = file->buffered,
        .src_offset = (uint64_t)from,
        .src_length = (uint64_t)length,
        .dest_offset = (uint64_t)to,
    };
    int64_t copied = 0;

    if (ioctl(file->buffered, FICLONERANGE, &range) == 0)
        return length;
    if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EINVAL && errno != ENOSYS)
        return -errno;
    while (copied < length) {
        off_t in = from + copied, out = to + copied;
        ssize_t n = copy_file_range(file->buffered, &in, file->buffered, &out,
                                    (size_t)(length - copied), 0);

        if (n <= 0)
            return copied ? copied : result_of(n);
        copied += n;
    }
    return copied;
}

int raw_fsync(const struct raw_file *file)
{
    return fsync(file->buffered) ? -errno : 0;
}

int64_t raw_size(const struct raw_file *file)
{
    struct stat stat;

    return fstat(file->buffered, &stat) ? -errno : stat.st_size;
}
