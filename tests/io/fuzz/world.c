/* SPDX-License-Identifier: MIT */
/* A world. */
#include "world.h"
#include "reorder.h"
#include "util.h"

#include "io/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void world_fail(const struct world *w, const char *format, ...)
{
    char message[300];
    char *line = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&line, &size);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (stream && w->op) {
        op_print(w->op, stream);
        (void)fclose(stream);
    }
    report_fail(w->report, "%s\n    in or before operation %zu: %s", message, w->step + 1,
                line ? line : "");
}

void world_compare(const struct world *w, const char *what, const void *real, const void *model,
                   int64_t length)
{
    const unsigned char *a = real;
    const unsigned char *b = model;
    int64_t at = 0;
    int64_t wrong = 0;

    if (length <= 0 || memcmp(real, model, (size_t)length) == 0)
        return;
    while (a[at] == b[at])
        at++;
    for (int64_t i = at; i < length; i++)
        wrong += a[i] != b[i];
    world_fail(w, "%s: byte %lld of %lld is 0x%02x, not 0x%02x, and %lld more are wrong", what,
               (long long)at, (long long)length, a[at], b[at], (long long)wrong - 1);
}

/* The one place that opens files. */
static void open_file(struct world *w, struct file *file, enum twostate_cache cache, int64_t folio)
{
    const struct twostate_file_options options = {.cache = cache, .folio = (unsigned)folio};
    struct twostate_file_stat stat = {0};
    const int result =
        twostate_file_open_with(w->engine, file->path, O_RDWR, 0, &options, &file->file);

    if (result)
        world_fail(w, "open: %s", strerror(-result));
    file->cache = cache;
    twostate_stat(file->file, &stat);
    w->has_direct = stat.direct_offset > 0;
    if (w->reorder)
        reorder_cut(w->reorder, stat.direct_offset);
}

static void close_file(struct world *w, struct file *file)
{
    const int result = twostate_file_close(file->file);

    if (result)
        world_fail(w, "close: %s", strerror(-result));
    file->file = NULL;
}

void world_reopen(struct world *w, struct file *file, enum twostate_cache cache, int64_t folio)
{
    close_file(w, file);
    open_file(w, file, cache, folio);
}

int world_unnamed_file(void)
{
    const char *directory = getenv("TWOSTATE_TEST_DIR");
    char name[4096];
    int fd = -1;

    (void)snprintf(name, sizeof(name), "%s/fuzz-XXXXXX", directory ? directory : ".");
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

static int open_named(const char *path, unsigned number)
{
    char name[4096];

    (void)snprintf(name, sizeof(name), "%s%s", path, number ? ".2" : "");
    return open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static void create_file(struct world *w, unsigned number, const struct place *place)
{
    struct file *file = &w->files[number];
    struct stat st;

    file->fd = place->path ? open_named(place->path, number) : world_unnamed_file();
    if (file->fd < 0 || fstat(file->fd, &st) < 0 || ftruncate(file->fd, w->setup->base) < 0)
        world_fail(w, "no file: %s", strerror(errno));
    (void)snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
    model_init(&file->model, w->setup->most, st.st_blksize);
    open_file(w, file, (enum twostate_cache)w->setup->cache, w->setup->folio);
}

static void create_engine(struct world *w)
{
    const struct setup *s = w->setup;
    const struct twostate_engine_options options = {
        .backend = (enum twostate_backend)s->backend,
        .queue_depth = (unsigned)s->queue_depth,
        .workers = (unsigned)s->workers,
        .requests = (unsigned)s->requests,
        .polled = s->polled != 0,
        .cache_bytes = (uint64_t)s->cache_bytes,
        .dirty_percent = (unsigned)s->dirty_percent,
        .writeback_ms = (unsigned)s->writeback_ms,
    };
    const int result = twostate_engine_create(&options, &w->engine);

    if (result)
        world_fail(w, "no engine: %s", strerror(-result));
    if (s->reorder)
        w->reorder = reorder_enter(w->engine, (uint64_t)s->reorder);
}

void world_enter(struct world *w, const struct setup *setup, const struct place *place,
                 struct report *report)
{
    w->setup = setup;
    w->report = report;
    flights_init(&w->flights);
    create_engine(w);
    for (unsigned i = 0; i < 2; i++)
        create_file(w, i, place);
}

/* All of it, twice, through the engine. */
static void check_engine(struct world *w, struct file *file)
{
    const unsigned modes[] = {TWOSTATE_IO_DIRECT, 0};
    const struct model *model = &file->model;
    const size_t length = (size_t)model->most + 4096;
    char *bytes = aligned_zalloc(length);

    for (unsigned i = 0; i < 2; i++) {
        const int64_t result = twostate_pread(file->file, bytes, length, w->setup->base, modes[i]);

        if (result != model->size)
            world_fail(w, "at the end: read %lld, not %lld", (long long)result,
                       (long long)model->size);
        world_compare(w, "at the end", bytes, model->bytes, model->size);
    }
    free(bytes);
}

static void check_engine_memory(const struct world *w)
{
    struct twostate_engine_info info;

    if (twostate_engine_query(w->engine, &info) == 0 && info.cache_used > info.cache_limit)
        world_fail(w, "the cache has %llu bytes", (unsigned long long)info.cache_used);
}

static void leave_file(struct world *w, struct file *file)
{
    check_engine(w, file);
    check_engine_memory(w);
    close_file(w, file);
    world_check_kernel(w, file, true);
    world_check_kernel(w, file, false);
    close(file->fd);
    model_destroy(&file->model);
}

void world_leave(struct world *w)
{
    int result = 0;

    flights_settle(w);
    w->op = NULL;
    for (unsigned i = 0; i < 2; i++)
        leave_file(w, &w->files[i]);
    if (w->reorder)
        reorder_leave(w->reorder);
    result = twostate_engine_destroy(w->engine);
    if (result)
        world_fail(w, "the engine can't end: %s", strerror(-result));
    flights_destroy(&w->flights);
}

/*
 * Up to the end of the file's last block: a direct read of more can fail on XFS with EIO, where
 * space is reserved beyond that end.
 */
void world_check_kernel(struct world *w, struct file *file, bool direct)
{
    const struct model *model = &file->model;
    const size_t length = ((size_t)model->size + 4095) / 4096 * 4096;
    const int fd =
        open(file->path, O_RDONLY | O_CLOEXEC | (direct && w->has_direct ? O_DIRECT : 0));
    char *bytes = aligned_zalloc(length);
    struct stat st;
    ssize_t result = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        world_fail(w, "the kernel does not open it: %s", strerror(errno));
    if (st.st_size != w->setup->base + model->size)
        world_fail(w, "the kernel's size is %lld, not %lld", (long long)st.st_size - w->setup->base,
                   (long long)model->size);
    result = pread(fd, bytes, length, w->setup->base);
    if (result != model->size)
        world_fail(w, "the kernel reads %lld, not %lld", (long long)result, (long long)model->size);
    world_compare(w, direct ? "on disk" : "for the kernel", bytes, model->bytes, model->size);
    close(fd);
    free(bytes);
}

void world_check_disk(struct world *w, struct file *file, int64_t offset, int64_t length)
{
    const int64_t start = offset / 4096 * 4096;
    const size_t size = (size_t)((offset + length - start + 4095) / 4096 * 4096);
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    char *bytes = aligned_zalloc(size);
    ssize_t result = 0;

    if (fd < 0)
        world_fail(w, "the kernel does not open it: %s", strerror(errno));
    result = pread(fd, bytes, size, w->setup->base + start);
    if (result < offset + length - start)
        world_fail(w, "on disk are %lld bytes, not %lld", (long long)(result - (offset - start)),
                   (long long)length);
    world_compare(w, "on disk", bytes + (offset - start), file->model.bytes + offset, length);
    close(fd);
    free(bytes);
}

void world_check_sizes(struct world *w, struct file *file)
{
    const int64_t size = w->setup->base + file->model.size;
    struct twostate_file_stat stat;
    struct stat st;
    const int result = twostate_stat(file->file, &stat);

    if (result || fstat(file->fd, &st) < 0)
        world_fail(w, "stat: %s", strerror(result ? -result : errno));
    if (stat.size != size)
        world_fail(w, "the size is %lld, not %lld", (long long)(stat.size - w->setup->base),
                   (long long)file->model.size);
    if (file_known_size_(file->file) > size)
        world_fail(w, "the engine believes in a size of %lld, more than %lld",
                   (long long)(file_known_size_(file->file) - w->setup->base),
                   (long long)file->model.size);
    if (st.st_size > size)
        world_fail(w, "the size on disk is %lld, more than %lld",
                   (long long)(st.st_size - w->setup->base), (long long)file->model.size);
}

/* Asked of the kernel, on another file of the same directory. */
bool world_has_mode(struct world *w, int mode)
{
    static enum { UNKNOWN, NO, YES } modes[256];
    int fd = -1;

    if (mode < 0 || mode >= 256)
        return false;
    if (modes[mode] == UNKNOWN) {
        fd = world_unnamed_file();
        if (fd < 0 || ftruncate(fd, 4 * MIB) < 0)
            world_fail(w, "no file: %s", strerror(errno));
        modes[mode] = fallocate(fd, mode, 0, MIB) == 0 ? YES : NO;
        close(fd);
    }
    return modes[mode] == YES;
}
