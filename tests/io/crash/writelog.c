/* SPDX-License-Identifier: MIT */
/*
 * The disk that remembers: see writelog.h.
 *
 * One thread serves it, so the order of the entries is the order in which the disk had done them:
 * what was answered before a flush came is before it in the log.
 */
#define FUSE_USE_VERSION 34

#include "writelog.h"
#include "options.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_ENTRIES ((size_t)1 << 18)
#define MOST_DATA    ((size_t)1 << 30)
#define IMAGE_NAME   "image"
#define IMAGE_INODE  2
#define FOR_EVER     3600.0

struct server {
    struct write_log *log;
    struct stat image;
    int fd;
    char buffer[1 << 20];
};

static void *shared(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        die("memory for the log");
    return memory;
}

static size_t log_size(void)
{
    return sizeof(struct write_log) + MOST_ENTRIES * sizeof(struct write_entry);
}

struct write_log *write_log_new(void)
{
    struct write_log *log = shared(log_size());

    log->data = shared(MOST_DATA);
    return log;
}

void write_log_free(struct write_log *log)
{
    munmap(log->data, MOST_DATA);
    munmap(log, log_size());
}

void write_log_clear(struct write_log *log)
{
    madvise(log->data, MOST_DATA, MADV_REMOVE);
    log->position = 0;
    log->bytes = 0;
    log->full = 0;
}

static int log_add(struct write_log *log, uint64_t offset, const char *data, size_t length)
{
    if (log->position == MOST_ENTRIES || log->bytes + length > MOST_DATA) {
        __atomic_store_n(&log->full, 1, __ATOMIC_RELEASE);
        return ENOSPC;
    }
    if (length)
        memcpy(log->data + log->bytes, data, length);
    log->entries[log->position] = (struct write_entry){
        .offset = offset,
        .length = (uint32_t)length,
        .data = log->data + log->bytes,
    };
    log->bytes += length;
    __atomic_store_n(&log->position, log->position + 1, __ATOMIC_RELEASE);
    return 0;
}

static struct server *server_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

static struct stat attributes(const struct server *server, fuse_ino_t inode)
{
    struct stat directory = {.st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0700, .st_nlink = 2};

    return inode == FUSE_ROOT_ID ? directory : server->image;
}

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    const struct fuse_entry_param entry = {
        .ino = IMAGE_INODE,
        .attr = attributes(server_of(request), IMAGE_INODE),
        .attr_timeout = FOR_EVER,
        .entry_timeout = FOR_EVER,
    };

    if (parent != FUSE_ROOT_ID || strcmp(name, IMAGE_NAME) != 0)
        fuse_reply_err(request, ENOENT);
    else
        fuse_reply_entry(request, &entry);
}

static void do_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
    const struct stat st = attributes(server_of(request), inode);

    (void)info;
    fuse_reply_attr(request, &st, FOR_EVER);
}

static void do_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
    (void)inode;
    info->direct_io = 1; /* no page cache before this disk: each request comes here at once */
    fuse_reply_open(request, info);
}

static void do_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    struct server *server = server_of(request);
    const size_t most = size < sizeof(server->buffer) ? size : sizeof(server->buffer);
    const ssize_t moved = pread(server->fd, server->buffer, most, offset);

    (void)inode, (void)info;
    if (moved < 0)
        fuse_reply_err(request, errno);
    else
        fuse_reply_buf(request, server->buffer, (size_t)moved);
}

static void do_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *info)
{
    struct server *server = server_of(request);
    int error = log_add(server->log, (uint64_t)offset, data, size);

    (void)inode, (void)info;
    if (error == 0 && pwrite(server->fd, data, size, offset) != (ssize_t)size)
        error = EIO;
    if (error)
        fuse_reply_err(request, error);
    else
        fuse_reply_write(request, size);
}

static void do_fsync(fuse_req_t request, fuse_ino_t inode, int data_only,
                     struct fuse_file_info *info)
{
    (void)inode, (void)data_only, (void)info;
    fuse_reply_err(request, log_add(server_of(request)->log, 0, NULL, 0));
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = do_lookup,
    .getattr = do_getattr,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .fsync = do_fsync,
};

static int serve(struct server *server, const char *directory)
{
    char *arguments[] = {"writelog", "-odefault_permissions", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof(operations), server);

    if (session == NULL || fuse_session_mount(session, directory))
        return EXIT_SKIPPED;
    fuse_session_loop(session);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return 0;
}

/* The image can be seen: the file system is there. */
static int await_mount(const char *directory, pid_t child)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    struct stat st;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/" IMAGE_NAME, directory);
    for (int i = 0; i < 5000 && stat(path, &st) < 0; i++) {
        if (waitpid(child, NULL, WNOHANG) == child)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

pid_t write_log_serve(struct write_log *log, const char *directory, int fd)
{
    const pid_t child = fork_bound();

    if (child == 0) {
        static struct server server;

        server.log = log;
        server.fd = fd;
        if (fstat(fd, &server.image) < 0)
            _exit(1);
        server.image.st_ino = IMAGE_INODE;
        _exit(serve(&server, directory));
    }
    return await_mount(directory, child) ? -1 : child;
}
