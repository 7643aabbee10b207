/* SPDX-License-Identifier: MIT */
/* The driver `none`: the system calls, and no lock but the kernel's own. */
#include "driver_raw.h"
#include "util.h"

#include <stdlib.h>

struct none_file {
    struct driver_file head;
    struct raw_file raw;
};

static struct raw_file *raw_of(struct driver_file *file)
{
    return &((struct none_file *)file)->raw;
}

static int none_open(const char *path, const struct driver_options *options,
                     struct driver_file **file)
{
    struct none_file *none = zalloc(1, sizeof(*none));
    int error = raw_open(&none->raw, path);

    (void)options;
    if (error) {
        free(none);
        return error;
    }
    none->head.driver = &driver_none;
    *file = &none->head;
    return 0;
}

static void none_transfer(struct driver_file *file, struct request *requests, unsigned count)
{
    int64_t begun = now_ns();

    for (unsigned i = 0; i < count; i++)
        requests[i].begun_ns = begun;
    raw_transfer(raw_of(file), requests, count);
    for (unsigned i = 0; i < count; i++)
        request_end(&requests[i], requests[i].result, 0);
}

static int64_t none_append(struct driver_file *file, const void *buffer, size_t length, bool direct,
                           int64_t *offset)
{
    *offset = -1;
    return raw_append(raw_of(file), buffer, length, direct);
}

static int none_truncate(struct driver_file *file, int64_t length)
{
    return raw_truncate(raw_of(file), length);
}

static int none_punch(struct driver_file *file, int64_t offset, int64_t length)
{
    return raw_punch(raw_of(file), offset, length);
}

static int64_t none_remap(struct driver_file *file, int64_t from, int64_t to, int64_t length)
{
    return raw_remap(raw_of(file), from, to, length);
}

static int none_fsync(struct driver_file *file)
{
    return raw_fsync(raw_of(file));
}

static int64_t none_size(struct driver_file *file)
{
    return raw_size(raw_of(file));
}

static int64_t none_waited_ns(void)
{
    return 0;
}

static int none_close(struct driver_file *file)
{
    int error = raw_close(raw_of(file));

    free(file);
    return error;
}

const struct driver driver_none = {
    .name = "none",
    .cache = "kernel",
    .title = "none",
    .open = none_open,
    .transfer = none_transfer,
    .append = none_append,
    .truncate = none_truncate,
    .punch = none_punch,
    .remap = none_remap,
    .fsync = none_fsync,
    .size = none_size,
    .waited_ns = none_waited_ns,
    .close = none_close,
};
