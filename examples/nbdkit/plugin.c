/* SPDX-License-Identifier: MIT */
/*
 * An nbdkit plugin that serves a file through the engine: one engine and one open file for the
 * process, which all connections and all their threads share. That is why every client sees what
 * any other has written, and why one client's flush covers all (can_multi_conn).
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "parameters.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct twostate_engine *engine;
static struct twostate_file *file;
static bool writable;
static int64_t size;
static int64_t direct_min;
static uint64_t direct_mask; /* offsets and lengths without these bits fit direct IO */

/* Says what failed, for nbdkit's log and for the client. */
static int fail(int error, const char *what)
{
    errno = -error;
    nbdkit_error("%s: %s: %m", parameters.path, what);
    nbdkit_set_error(-error);
    return -1;
}

/* A refusal that nbdkit answers by writing zeroes itself. */
static int unsupported(void)
{
    nbdkit_set_error(EOPNOTSUPP);
    return -1;
}

/*
 * For writing, if that is allowed. -r is not known yet: nbdkit tells it to each connection, and
 * sends no writes then.
 */
static int open_file(void)
{
    int error =
        twostate_file_open_with(engine, parameters.path, O_RDWR, 0, &parameters.file, &file);

    writable = error == 0;
    if (error == -EACCES || error == -EPERM || error == -EROFS || error == -ETXTBSY) {
        if (parameters.file.cache == TWOSTATE_CACHE_USER)
            return fail(error, "cache=user needs to write");
        error = twostate_file_open(engine, parameters.path, O_RDONLY, 0, &file);
    }
    if (error == -EBUSY)
        return fail(error,
                    "is open elsewhere through an engine, and one of the two has cache=user");
    if (error == -EOPNOTSUPP)
        return fail(error, "cache=user needs a file system with O_DIRECT");
    return error ? fail(error, "open") : 0;
}

/* What the file would fit into. */
static int64_t cache_size(void)
{
    const uint64_t said = parameters.engine.cache_bytes;

    if (parameters.file.cache == TWOSTATE_CACHE_USER)
        return said ? (int64_t)said : CACHE_SIZE_DEFAULT;
    return (int64_t)sysconf(_SC_PHYS_PAGES) / 2 * sysconf(_SC_PAGESIZE);
}

/* Past the cache is slower than into it: that pays where it keeps in memory what is hot. */
static void choose_direct_min(void)
{
    direct_min = parameters.direct_min;
    if (direct_min == DIRECT_AUTO)
        direct_min = size > cache_size() ? DIRECT_LARGE : DIRECT_NEVER;
}

static int measure_file(void)
{
    struct twostate_file_stat stat;
    const int error = twostate_stat(file, &stat);

    if (error)
        return fail(error, "stat");
    size = stat.size;
    direct_mask = stat.direct_offset - 1; /* no direct IO: all bits, which no request is without */
    choose_direct_min();
    return 0;
}

static int stop(void)
{
    int error = 0;

    if (file != NULL)
        error = twostate_file_close(file);
    if (engine != NULL)
        twostate_engine_destroy(engine);
    file = NULL;
    engine = NULL;
    return error ? fail(error, "written data may be lost") : 0;
}

static int start(void)
{
    const int error = twostate_engine_create(&parameters.engine, &engine);

    if (error)
        return fail(error, "the engine");
    if (open_file() == 0 && measure_file() == 0)
        return 0;
    stop();
    return -1;
}

/*
 * A rehearsal: the engine's threads don't outlive nbdkit's fork, but what is said after the fork is
 * not heard.
 */
static int plugin_get_ready(void)
{
    return start() == 0 ? stop() : -1;
}

/* Who runs twostate-io top may look; without that the plugin works as well. */
static int plugin_after_fork(void)
{
    const int result = start();

    if (result == 0)
        (void)twostate_engine_serve(engine, NULL);
    return result;
}

static void plugin_cleanup(void)
{
    stop();
}

static void plugin_unload(void)
{
    free(parameters.path);
}

static void plugin_dump(void)
{
    printf("twostate_cache=kernel,user\n");
    printf("twostate_direct_min=auto\n");
}

static void *plugin_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
    (void)handle;
    return size;
}

static int plugin_can_write(void *handle)
{
    (void)handle;
    return writable;
}

static int plugin_yes(void *handle)
{
    (void)handle;
    return 1;
}

static int plugin_can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

static int plugin_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_NATIVE;
}

/* Any will do; whole blocks need not be read before they are written. */
static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred,
                             uint32_t *maximum)
{
    (void)handle;
    *minimum = 1;
    *preferred = 4096;
    *maximum = UINT32_MAX;
    return 0;
}

static unsigned way(uint32_t count, uint64_t offset)
{
    return count >= direct_min && ((count | offset) & direct_mask) == 0 ? TWOSTATE_IO_DIRECT : 0;
}

static int plugin_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const unsigned how = way(count, offset);
    char *at = buffer;

    (void)handle;
    (void)flags;
    while (count > 0) {
        const ssize_t n = twostate_pread(file, at, count, (int64_t)offset, how);

        if (n <= 0)
            return fail(n < 0 ? (int)n : -EIO, n < 0 ? "read" : "the file has become shorter");
        at += n;
        offset += (uint64_t)n;
        count -= (uint32_t)n;
    }
    return 0;
}

static int plugin_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
                         uint32_t flags)
{
    const unsigned how = way(count, offset) | (flags & NBDKIT_FLAG_FUA ? TWOSTATE_IO_DSYNC : 0);
    const char *at = buffer;

    (void)handle;
    while (count > 0) {
        const ssize_t n = twostate_pwrite(file, at, count, (int64_t)offset, how);

        if (n <= 0)
            return fail(n < 0 ? (int)n : -EIO, "write");
        at += n;
        offset += (uint64_t)n;
        count -= (uint32_t)n;
    }
    return 0;
}

static int plugin_flush(void *handle, uint32_t flags)
{
    const int error = twostate_fdatasync(file);

    (void)handle;
    (void)flags;
    return error ? fail(error, "flush") : 0;
}

static int flush_if_fua(uint32_t flags)
{
    return flags & NBDKIT_FLAG_FUA ? plugin_flush(NULL, 0) : 0;
}

/* A block device answers EINVAL to parts of its blocks; no other request here is invalid. */
static int allocate(int mode, uint32_t count, uint64_t offset)
{
    const int error =
        count == 0 ? 0
                   : twostate_fallocate(file, mode | FALLOC_FL_KEEP_SIZE, (int64_t)offset, count);

    return error == -EINVAL ? -EOPNOTSUPP : error;
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    const int error = allocate(FALLOC_FL_PUNCH_HOLE, count, offset);

    (void)handle;
    if (error && error != -EOPNOTSUPP) /* a trim is a hint */
        return fail(error, "trim");
    return flush_if_fua(flags);
}

/* Where a file system can't zero a range and keep its space: a hole, and space for it. */
static int zero_keeping_space(uint32_t count, uint64_t offset)
{
    int error = allocate(FALLOC_FL_ZERO_RANGE, count, offset);

    if (error != -EOPNOTSUPP)
        return error;
    error = allocate(FALLOC_FL_PUNCH_HOLE, count, offset);
    return error ? error : allocate(0, count, offset);
}

static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    int error = -EOPNOTSUPP;

    (void)handle;
    if (flags & NBDKIT_FLAG_MAY_TRIM)
        error = allocate(FALLOC_FL_PUNCH_HOLE, count, offset);
    if (error == -EOPNOTSUPP)
        error = zero_keeping_space(count, offset);
    if (error == -EOPNOTSUPP)
        return unsupported();
    return error ? fail(error, "zero") : flush_if_fua(flags);
}

/*
 * The end of the hole, or data, that begins at `at`. What can't be told is data: reading it is
 * always right. (twostate_seek writes back first, so nothing cached is taken for a hole.)
 */
static int64_t end_of_extent(int64_t at, int64_t end, uint32_t *type)
{
    int64_t next = twostate_seek(file, at, SEEK_DATA);

    *type = 0;
    if (next > at || next == -ENXIO) {
        *type = NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO;
        return next == -ENXIO || next > end ? end : next;
    }
    next = next == at ? twostate_seek(file, at, SEEK_HOLE) : next;
    if (next < 0)
        nbdkit_debug("extents: error %lld, taken for data", (long long)-next);
    return next < 0 || next > end ? end : next;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
                          struct nbdkit_extents *extents)
{
    const int64_t end = (int64_t)offset + count;
    int64_t at = (int64_t)offset;

    (void)handle;
    while (at < end) {
        uint32_t type = 0;
        const int64_t next = end_of_extent(at, end, &type);

        if (next > at && nbdkit_add_extent(extents, (uint64_t)at, (uint64_t)(next - at), type) < 0)
            return -1;
        if (next > at && flags & NBDKIT_FLAG_REQ_ONE)
            return 0;
        at = next; /* not farther: a hole came between the two seeks */
    }
    return 0;
}

/* The client will read this soon. */
static int plugin_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    char sink[65536];

    (void)handle;
    (void)flags;
    while (count > 0) {
        const size_t most = count < sizeof(sink) ? count : sizeof(sink);
        const ssize_t n = twostate_pread(file, sink, most, (int64_t)offset, 0);

        if (n <= 0)
            return fail(n < 0 ? (int)n : -EIO, n < 0 ? "read" : "the file has become shorter");
        offset += (uint64_t)n;
        count -= (uint32_t)n;
    }
    return 0;
}

static struct nbdkit_plugin plugin = {
    .name = "twostate",
    .longname = "nbdkit twostate plugin",
    .version = TWOSTATE_VERSION,
    .description = "a file through twostate's engine: buffered and direct IO, at the same time",
    .unload = plugin_unload,
    .config = parameters_take,
    .config_complete = parameters_check,
    .config_help = parameters_help,
    .magic_config_key = "file",
    .dump_plugin = plugin_dump,
    .get_ready = plugin_get_ready,
    .after_fork = plugin_after_fork,
    .cleanup = plugin_cleanup,
    .open = plugin_open,
    .get_size = plugin_get_size,
    .block_size = plugin_block_size,
    .can_write = plugin_can_write,
    .can_flush = plugin_yes,
    .can_trim = plugin_yes,
    .can_zero = plugin_yes,
    .can_fast_zero = plugin_yes,
    .can_extents = plugin_yes,
    .can_multi_conn = plugin_yes,
    .can_fua = plugin_can_fua,
    .can_cache = plugin_can_cache,
    .pread = plugin_pread,
    .pwrite = plugin_pwrite,
    .flush = plugin_flush,
    .trim = plugin_trim,
    .zero = plugin_zero,
    .extents = plugin_extents,
    .cache = plugin_cache,
};

NBDKIT_REGISTER_PLUGIN(plugin)
