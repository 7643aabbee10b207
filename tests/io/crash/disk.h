/* SPDX-License-Identifier: MIT */
/*
 * Images of disks, and mounting them. All of it is in a mount namespace of this process, and loop
 * devices let go by themselves: however the process ends, nothing stays behind.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "writelog.h"

#define DISK_SIZE ((size_t)320 << 20) /* mkfs.xfs makes none below 300 MiB */

struct image {
    int fd;
    char *data;    /* all of it, mapped */
    uint8_t *used; /* for each block: whether it may be other than zeroes */
};

/* Makes the namespace, and in it an empty directory in memory. Skips the test where it can't. */
const char *disk_enter(void);

/* An empty image, in a file of that directory. */
struct image image_new(const char *name);
void image_free(struct image *image);
/* Makes a file system in it, for sectors of so many bytes. */
void image_format(const struct image *image, const char *name, unsigned sector);
void image_copy(struct image *to, const struct image *from);
void image_write(struct image *image, uint64_t offset, const char *data, size_t length);

/* Mounts the file system in the file on the directory, through a loop device. 0 or -errno. */
int disk_mount(const char *path, const char *directory, unsigned sector, bool read_only);
/* Unmounts it, and waits until the loop device is free. */
void disk_unmount(const char *directory);

#endif
