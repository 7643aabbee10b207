/* SPDX-License-Identifier: MIT */
/* Extended attributes and the file system's figures: passed through. */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags)
{
    char path[NODE_PATH_SIZE];
    const int result = setxattr(node_path(node_of(ino), path), name, value, size, flags);

    fuse_reply_err(req, result < 0 ? errno : 0);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    char path[NODE_PATH_SIZE];
    const int result = removexattr(node_path(node_of(ino), path), name);

    fuse_reply_err(req, result < 0 ? errno : 0);
}

/* Size 0 asks how much there is. */
static void reply_value(fuse_req_t req, const char *value, size_t size, ssize_t length)
{
    if (length < 0)
        fuse_reply_err(req, errno);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)length);
    else
        fuse_reply_buf(req, value, (size_t)length);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    char path[NODE_PATH_SIZE];
    char *value = malloc(size + 1);

    node_path(node_of(ino), path);
    if (value == NULL)
        fuse_reply_err(req, ENOMEM);
    else
        reply_value(req, value, size, getxattr(path, name, value, size));
    free(value);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char path[NODE_PATH_SIZE];
    char *names = malloc(size + 1);

    node_path(node_of(ino), path);
    if (names == NULL)
        fuse_reply_err(req, ENOMEM);
    else
        reply_value(req, names, size, listxattr(path, names, size));
    free(names);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs st;

    if (fstatvfs(node_of(ino)->fd, &st) < 0)
        fuse_reply_err(req, errno);
    else
        fuse_reply_statfs(req, &st);
}
