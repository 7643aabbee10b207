/* SPDX-License-Identifier: MIT */
/*
 * The engine's calls as a table, so that a case can be run over the engine and over the same engine
 * without its locks, which is linked beside it under other names: see nolock.h.
 */
#ifndef BENCH_IO_CALLS_H
#define BENCH_IO_CALLS_H

#include <twostate/io.h>

struct io_calls {
    int (*create)(const struct twostate_engine_options *options, struct twostate_engine **engine);
    int (*destroy)(struct twostate_engine *engine);
    int (*open)(struct twostate_engine *engine, const char *path, int flags, mode_t mode,
                const struct twostate_file_options *options, struct twostate_file **file);
    int (*close)(struct twostate_file *file);
    ssize_t (*pread)(struct twostate_file *file, void *buffer, size_t length, int64_t offset,
                     unsigned flags);
    ssize_t (*pwrite)(struct twostate_file *file, const void *buffer, size_t length, int64_t offset,
                      unsigned flags);
    int (*fdatasync)(struct twostate_file *file);
};

extern const struct io_calls io_twostate, io_nolock;

#define IO_CALLS                                                                                   \
    {                                                                                              \
        .create = twostate_engine_create, .destroy = twostate_engine_destroy,                      \
        .open = twostate_file_open_with, .close = twostate_file_close, .pread = twostate_pread,    \
        .pwrite = twostate_pwrite, .fdatasync = twostate_fdatasync                                 \
    }

#endif
