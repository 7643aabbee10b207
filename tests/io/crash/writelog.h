/* SPDX-License-Identifier: MIT */
/*
 * A disk that remembers every write and flush that it got, with the data, so that a power cut at any
 * point can be shown later. It is one file, `image`, of a FUSE file system.
 */
#ifndef TESTS_CRASH_WRITELOG_H
#define TESTS_CRASH_WRITELOG_H

#include <stdint.h>
#include <sys/types.h>

struct write_entry {
    uint64_t offset;
    uint32_t length; /* 0: a flush */
    const char *data;
};

/* In memory that the disk's process shares. */
struct write_log {
    uint64_t position; /* entries; atomic. What an entry says is there before it is counted. */
    uint64_t bytes;
    uint32_t full; /* it did not take a write; atomic */
    char *data;
    struct write_entry entries[];
};

struct write_log *write_log_new(void);
void write_log_free(struct write_log *log);
void write_log_clear(struct write_log *log);

/*
 * A process that serves the file system at the directory, with what is in fd as the image. It dies
 * with the caller, and ends when the file system is unmounted. -1: FUSE is not to be had here.
 */
pid_t write_log_serve(struct write_log *log, const char *directory, int fd);

#endif
