/* SPDX-License-Identifier: MIT */
/* Plain system calls on a buffered and a direct descriptor: what two of the drivers are made of. */
#ifndef TOOL_DRIVER_RAW_H
#define TOOL_DRIVER_RAW_H

#include "driver.h"

struct raw_file {
    int buffered, direct;
    int64_t alignment; /* of direct requests; others go through the buffered descriptor */
};

int raw_open(struct raw_file *file, const char *path);
int raw_close(struct raw_file *file);

/* Whether the request will be made with O_DIRECT. */
bool raw_is_direct(const struct raw_file *file, const struct request *request);

/* One by a system call; several by io_uring, all in flight together. Does not call done. */
void raw_transfer(const struct raw_file *file, struct request *requests, unsigned count);

int64_t raw_append(const struct raw_file *file, const void *buffer, size_t length, bool direct);
int raw_truncate(const struct raw_file *file, int64_t length);
int raw_punch(const struct raw_file *file, int64_t offset, int64_t length);
int64_t raw_remap(const struct raw_file *file, int64_t from, int64_t to, int64_t length);
int raw_fsync(const struct raw_file *file);
int64_t raw_size(const struct raw_file *file);

#endif
