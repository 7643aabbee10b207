/* SPDX-License-Identifier: MIT */
/* File systems by their magic numbers, which are part of what the kernel promises to users. */
#include "fsname.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

/* Those that linux/magic.h of Debian 12 lacks. */
#define BCACHEFS_MAGIC 0xca451a4eUL
#define ZFS_MAGIC      0x2fc12fc1UL

static const struct {
    unsigned long magic;
    const char *name;
} names[] = {
    {EXT4_SUPER_MAGIC, "ext4"}, /* ext2 and ext3 have the same, and the same driver */
    {XFS_SUPER_MAGIC, "XFS"},
    {BTRFS_SUPER_MAGIC, "btrfs"},
    {BCACHEFS_MAGIC, "bcachefs"},
    {F2FS_SUPER_MAGIC, "f2fs"},
    {ZFS_MAGIC, "ZFS"},
    {TMPFS_MAGIC, "tmpfs"},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
    {NFS_SUPER_MAGIC, "NFS"},
    {FUSE_SUPER_MAGIC, "FUSE"},
};

const char *fsname(const char *path)
{
    struct statfs about;

    if (statfs(path, &about) == 0)
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            if (((unsigned long)about.f_type & 0xffffffffUL) == names[i].magic)
                return names[i].name;
    return "a file system without a name here";
}
