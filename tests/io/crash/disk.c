/* SPDX-License-Identifier: MIT */
/* Images of disks, and mounting them: see disk.h. */
#include "disk.h"
#include "ledger.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#define BLOCKS (DISK_SIZE / BLOCK)

/* Some directory that is there everywhere; what is in it is hidden from this process only. */
const char *disk_enter(void)
{
    static const char directory[] = "/media";

    if (geteuid() != 0)
        skip("not root", 0);
    if (access("/dev/fuse", R_OK | W_OK) < 0)
        skip("no /dev/fuse", errno);
    if (access("/dev/loop-control", R_OK | W_OK) < 0)
        skip("no loop devices", errno);
    if (system("PATH=$PATH:/usr/sbin:/sbin; command -v mkfs.xfs >/dev/null") != 0)
        skip("no mkfs.xfs", 0);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip("no mount namespace", errno);
    if (mount("none", directory, "tmpfs", 0, "mode=0700") < 0)
        skip("no tmpfs", errno);
    if (chdir(directory) < 0)
        die(directory);
    return directory;
}

struct image image_new(const char *name)
{
    struct image image = {.fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};

    if (image.fd < 0 || ftruncate(image.fd, (off_t)DISK_SIZE) < 0)
        die(name);
    image.data = mmap(NULL, DISK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image.fd, 0);
    image.used = calloc(BLOCKS, 1);
    if (image.data == MAP_FAILED || image.used == NULL)
        die(name);
    return image;
}

void image_free(struct image *image)
{
    munmap(image->data, DISK_SIZE);
    free(image->used);
    close(image->fd);
}

void image_format(const struct image *image, const char *name, unsigned sector)
{
    static const char zeroes[BLOCK];
    char command[256];

    (void)snprintf(command, sizeof(command),
                   "PATH=$PATH:/usr/sbin:/sbin; mkfs.xfs -q -f -s size=%u %s >/dev/null", sector,
                   name);
    if (system(command) != 0)
        skip("mkfs.xfs can't", 0);
    for (size_t i = 0; i < BLOCKS; i++)
        image->used[i] = memcmp(image->data + i * BLOCK, zeroes, BLOCK) != 0;
}

void image_copy(struct image *to, const struct image *from)
{
    if (ftruncate(to->fd, 0) < 0 || ftruncate(to->fd, (off_t)DISK_SIZE) < 0)
        die("ftruncate");
    memcpy(to->used, from->used, BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++)
        if (to->used[i])
            memcpy(to->data + i * BLOCK, from->data + i * BLOCK, BLOCK);
}

void image_write(struct image *image, uint64_t offset, const char *data, size_t length)
{
    memcpy(image->data + offset, data, length);
    memset(image->used + offset / BLOCK, 1, (offset + length - 1) / BLOCK - offset / BLOCK + 1);
}

/* Others look for a free one at the same time. */
static int loop_attach(int fd, unsigned sector, char *path, size_t size)
{
    struct loop_config config = {
        .fd = (uint32_t)fd,
        .block_size = sector,
        .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
    };
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int device = -1;

    for (int i = 0; i < 100 && device < 0; i++) {
        const int number = ioctl(control, LOOP_CTL_GET_FREE);

        (void)snprintf(path, size, "/dev/loop%d", number);
        device = open(path, O_RDWR | O_CLOEXEC);
        if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) < 0) {
            const int error = errno;

            close(device);
            device = -1;
            if (error != EBUSY) {
                errno = error;
                break;
            }
        }
    }
    close(control);
    return device;
}

int disk_mount(const char *path, const char *directory, unsigned sector, bool read_only)
{
    const unsigned long flags = MS_NOATIME | MS_NODEV | MS_NOSUID | (read_only ? MS_RDONLY : 0);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    char device_path[64];
    int device = -1;
    int error = 0;

    if (fd < 0)
        die(path);
    device = loop_attach(fd, sector, device_path, sizeof(device_path));
    if (device < 0)
        skip("no loop device", errno);
    if (mount(device_path, directory, "xfs", flags, "nouuid") < 0)
        error = -errno;
    close(device);
    close(fd);
    return error;
}

void disk_unmount(const char *directory)
{
    if (umount2(directory, 0) < 0)
        die("umount");
}
