/* SPDX-License-Identifier: MIT */
/* The file that bench_io works on. It loses its name as soon as it is made: nothing can stay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench_io.h"

#define CHUNK (1 << 20)

_Noreturn void io_die(const char *what, int error)
{
    fprintf(stderr, "bench_io: %s: %s\n", what, strerror(error));
    exit(1);
}

void *io_buffer(void)
{
    void *buffer = NULL;

    if (posix_memalign(&buffer, IO_BLOCK, IO_BLOCK) != 0)
        io_die("memory", ENOMEM);
    memset(buffer, 0x5a, IO_BLOCK);
    return buffer;
}

static const char *fs_name(int fd)
{
    static const struct {
        long magic;
        const char *name;
    } known[] = {{0xef53, "ext4"},      {0x58465342, "xfs"},     {0x9123683e, "btrfs"},
                 {0x01021994, "tmpfs"}, {0x794c7630, "overlay"}, {0x6969, "nfs"},
                 {0x2fc12fc1, "zfs"},   {0xf2f52010, "f2fs"}};
    struct statfs st;

    if (fstatfs(fd, &st) < 0)
        io_die("statfs", errno);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if ((long)st.f_type == known[i].magic)
            return known[i].name;
    return "other";
}

static int make_unnamed(const char *dir)
{
    char path[4096];
    const int length = snprintf(path, sizeof(path), "%s/bench_io.XXXXXX", dir);
    int fd = -1;

    if (length < 0 || (size_t)length >= sizeof(path))
        io_die(dir, ENAMETOOLONG);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        io_die(dir, errno);
    unlink(path);
    return fd;
}

/* Written, not just allocated: overwriting must not pay for converting extents. */
static void fill(int fd, int64_t size)
{
    char *chunk = malloc(CHUNK);

    if (chunk == NULL)
        io_die("memory", ENOMEM);
    memset(chunk, 0x5a, CHUNK);
    for (int64_t offset = 0; offset < size; offset += CHUNK) {
        const ssize_t n = pwrite(fd, chunk, CHUNK, offset);

        if (n != CHUNK)
            io_die("writing the test file", n < 0 ? errno : ENOSPC);
    }
    if (fsync(fd) < 0)
        io_die("fsync of the test file", errno);
    free(chunk);
}

struct io_file io_file_make(const struct io_options *options)
{
    const int64_t size = (int64_t)(options->quick ? 64 : 256) << 20;
    struct io_file file = {.fd = make_unnamed(options->dir), .blocks = size / IO_BLOCK};
    char path[64];
    int error;

    fill(file.fd, size);
    file.fs = fs_name(file.fd);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file.fd);
    file.direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (file.direct_fd < 0)
        io_die("O_DIRECT here (try another --dir)", errno);
    error = twostate_engine_create(NULL, &file.engine);
    if (error == 0)
        error = twostate_file_open(file.engine, path, O_RDWR, 0, &file.twostate);
    if (error != 0)
        io_die("twostate", -error);
    return file;
}

void io_file_destroy(struct io_file *file)
{
    int error = twostate_file_close(file->twostate);

    if (error == 0)
        error = twostate_engine_destroy(file->engine);
    if (error != 0)
        io_die("twostate, closing", -error);
    close(file->direct_fd);
    close(file->fd);
}
