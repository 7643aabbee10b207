/* SPDX-License-Identifier: MIT */
/* Names: looking them up, making, moving and removing them. All of it the file system's below. */
#include "file.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int look_up(const struct node *parent, const char *name, struct fuse_entry_param *entry)
{
    const int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct node *node = NULL;
    int result = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &entry->attr) < 0) {
        result = -errno;
        close(fd);
        return result;
    }
    node = node_take(fd, &entry->attr);
    if (node == NULL)
        return -ENOMEM;
    result = node_stat(node, &entry->attr);
    if (result) {
        node_drop(node, 1);
        return result;
    }
    entry->ino = node_name(node);
    entry->generation =
        0; /* a node's address serves another only when the kernel has forgotten it */
    entry->attr_timeout = entry->entry_timeout = mount_options.timeout;
    return 0;
}

static void reply_name(fuse_req_t req, const struct node *parent, const char *name)
{
    struct fuse_entry_param entry;
    const int result = look_up(parent, name, &entry);

    if (result)
        fuse_reply_err(req, -result);
    else if (fuse_reply_entry(req, &entry) == -ENOENT) /* interrupted: nobody heard of it */
        node_drop(node_of(entry.ino), 1);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_name(req, node_of(parent), name);
}

static void forget(fuse_ino_t ino, uint64_t lookups)
{
    struct node *node = node_of(ino);

    file_forget(node);
    node_drop(node, lookups);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    forget(ino, lookups);
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* A new name in a directory with S_ISGID has its group already. */
int give(fuse_req_t req, const struct node *parent, const char *name, mode_t mode)
{
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    struct stat directory;

    if (geteuid() != 0)
        return 0;
    if (fstat(parent->fd, &directory) < 0 ||
        fchownat(parent->fd, name, caller->uid,
                 directory.st_mode & S_ISGID ? (gid_t)-1 : caller->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISREG(mode) && (mode & (S_ISUID | S_ISGID)) &&
        fchmodat(parent->fd, name, mode & 07777U, 0) < 0)
        return -errno;
    return 0;
}

/* What was made is looked up, or the reason why not is told. */
static void reply_made(fuse_req_t req, const struct node *parent, const char *name, mode_t mode,
                       int made)
{
    const int result = made < 0 ? -errno : give(req, parent, name, mode);

    if (result)
        fuse_reply_err(req, -result);
    else
        reply_name(req, parent, name);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    struct node *in = node_of(parent);

    reply_made(req, in, name, mode, mknodat(in->fd, name, mode, device));
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct node *in = node_of(parent);

    reply_made(req, in, name, S_IFDIR | mode, mkdirat(in->fd, name, mode));
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct node *in = node_of(parent);

    reply_made(req, in, name, S_IFLNK, symlinkat(target, in->fd, name));
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct node *in = node_of(parent);
    char path[NODE_PATH_SIZE];

    node_path(node_of(ino), path);
    if (linkat(AT_FDCWD, path, in->fd, name, AT_SYMLINK_FOLLOW) < 0)
        fuse_reply_err(req, errno);
    else
        reply_name(req, in, name);
}

static void reply_result(fuse_req_t req, int result)
{
    fuse_reply_err(req, result < 0 ? errno : 0);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_result(req, unlinkat(node_of(parent)->fd, name, 0));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    reply_result(req, unlinkat(node_of(parent)->fd, name, AT_REMOVEDIR));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
    reply_result(req,
                 renameat2(node_of(parent)->fd, name, node_of(new_parent)->fd, new_name, flags));
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[PATH_MAX + 1];
    const ssize_t length = readlinkat(node_of(ino)->fd, "", target, sizeof(target));

    if (length < 0) {
        fuse_reply_err(req, errno);
    } else if ((size_t)length == sizeof(target)) {
        fuse_reply_err(req, ENAMETOOLONG);
    } else {
        target[length] = '\0';
        fuse_reply_readlink(req, target);
    }
}
