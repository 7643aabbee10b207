/* SPDX-License-Identifier: MIT */
/* The files that bench_io works on. They lose their names as soon as made: nothing can stay. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench_io.h"

const struct io_calls io_twostate = IO_CALLS;

_Noreturn void io_die(const char *what, int error)
{
    fprintf(stderr, "bench_io: %s: %s\n", what, strerror(error));
    exit(1);
}

void io_check(const char *what, ssize_t moved, size_t length)
{
    if (moved != (ssize_t)length)
        io_die(what, moved < 0 ? (int)-moved : EIO);
}

void *io_buffer(size_t length)
{
    void *buffer = NULL;

    if (posix_memalign(&buffer, IO_BLOCK, length) != 0)
        io_die("memory", ENOMEM);
    memset(buffer, 0x5a, length);
    return buffer;
}

void *io_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        io_die("memory", ENOMEM);
    return memory;
}

const char *io_fs_name(const char *dir)
{
    static const struct {
        long magic;
        const char *name;
    } known[] = {{0xef53, "ext4"},      {0x58465342, "xfs"},     {0x9123683e, "btrfs"},
                 {0x01021994, "tmpfs"}, {0x794c7630, "overlay"}, {0x6969, "nfs"},
                 {0x2fc12fc1, "zfs"},   {0xf2f52010, "f2fs"}};
    struct statfs st;

    if (statfs(dir, &st) < 0)
        io_die(dir, errno);
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
    char *chunk = io_buffer(IO_LARGEST);

    for (int64_t offset = 0; offset < size; offset += IO_LARGEST) {
        const ssize_t n = pwrite(fd, chunk, IO_LARGEST, offset);

        io_check("writing the test file", n < 0 ? -errno : n, IO_LARGEST);
    }
    if (fsync(fd) < 0)
        io_die("fsync of the test file", errno);
    free(chunk);
}

void io_file_path(int fd, char path[64])
{
    snprintf(path, 64, "/proc/self/fd/%d", fd);
}

struct io_file io_file_make(const char *dir, int64_t size, bool written)
{
    struct io_file file = {.fd = make_unnamed(dir), .size = size, .fs = io_fs_name(dir)};
    char path[64];

    if (written)
        fill(file.fd, size);
    else if (ftruncate(file.fd, size) < 0)
        io_die("the test file's size", errno);
    io_file_path(file.fd, path);
    file.direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (file.direct_fd < 0)
        io_die("O_DIRECT here (try another --dir)", errno);
    return file;
}

void io_file_destroy(struct io_file *file)
{
    close(file->direct_fd);
    close(file->fd);
}

struct io_engine io_engine_open(const struct io_file *file, const struct io_calls *calls,
                                enum twostate_cache cache,
                                const struct twostate_engine_options *options)
{
    const struct twostate_file_options file_options = {.cache = cache};
    struct io_engine engine = {.calls = calls};
    char path[64];
    int error = calls->create(options, &engine.engine);

    io_file_path(file->fd, path);
    if (error == 0)
        error = calls->open(engine.engine, path, O_RDWR, 0, &file_options, &engine.file);
    if (error != 0)
        io_die("opening with twostate", -error);
    return engine;
}

void io_engine_close(struct io_engine *engine)
{
    int error = engine->calls->close(engine->file);

    if (error == 0)
        error = engine->calls->destroy(engine->engine);
    if (error != 0)
        io_die("closing with twostate", -error);
}

void io_engine_warm(const struct io_engine *engine, int64_t size)
{
    char *chunk = io_buffer(IO_LARGEST);

    for (int64_t offset = 0; offset < size; offset += IO_LARGEST)
        io_check("reading the test file",
                 engine->calls->pread(engine->file, chunk, IO_LARGEST, offset, 0), IO_LARGEST);
    free(chunk);
}

void io_add_row(json_t *rows, json_t *row)
{
    if (json_array_append_new(rows, row) != 0)
        io_die("a row of figures", EINVAL);
}

static bool matches(const json_t *row, json_t *pattern)
{
    const char *key;
    json_t *value;

    json_object_foreach(pattern, key, value)
    {
        if (!json_equal(json_object_get(row, key), value))
            return false;
    }
    return true;
}

double io_figure(const json_t *rows, const char *key, json_t *pattern)
{
    double figure = NAN;

    for (size_t i = 0; i < json_array_size(rows); i++)
        if (matches(json_array_get(rows, i), pattern))
            figure = json_number_value(json_object_get(json_array_get(rows, i), key));
    json_decref(pattern);
    return figure;
}
