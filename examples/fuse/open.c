/* SPDX-License-Identifier: MIT */
/* Making, opening and releasing regular files. */
#include "file.h"
#include "ops.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Files that the kernel is to cache, because it could not map them otherwise. */
static bool through_kernel_cache(const struct node *node)
{
    const char *pattern = mount_options.mapped;
    char path[NODE_PATH_SIZE], name[PATH_MAX];
    ssize_t length = 0;

    if (pattern == NULL)
        pattern = wire_can_map() ? "" : "*-shm";
    if (*pattern == '\0')
        return false;
    length = readlink(node_path(node, path), name, sizeof(name) - 1);
    if (length <= 0)
        return false;
    name[length] = '\0';
    return fnmatch(pattern, strrchr(name, '/') ? strrchr(name, '/') + 1 : name, 0) == 0;
}

static int open_node(fuse_req_t req, struct node *node, struct fuse_file_info *fi)
{
    struct opened *opened = NULL;
    int result = file_get(node, fi->flags & O_ACCMODE, &opened);

    if (result)
        return result;
    if (fi->flags & O_TRUNC) {
        result = twostate_truncate(opened->file, 0);
        if (result) {
            file_put(opened);
            return result;
        }
        file_changed(opened);
        if (__atomic_load_n(&node->set_id, __ATOMIC_RELAXED) && fuse_req_ctx(req)->uid != 0)
            node_drop_set_id(node);
    }
    fi->fh = (uintptr_t)opened;
    return 0;
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *node = node_of(ino);
    const int result = open_node(req, node, fi);

    if (result)
        fuse_reply_err(req, -result);
    else if (wire_reply_open(req, NULL, fi, through_kernel_cache(node)) == -ENOENT)
        file_put(file_of(fi));
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    file_put(file_of(fi));
    fuse_reply_err(req, 0);
}

/* With more rights for its owner than the mode has, or it could be opened by root only. */
static int make(const struct node *parent, const char *name, mode_t mode, bool exclusive,
                bool *made)
{
    const int fd = openat(parent->fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          (mode & 0777U) | S_IRUSR | S_IWUSR);

    *made = fd >= 0;
    if (fd >= 0)
        return close(fd) < 0 ? -errno : 0;
    return errno == EEXIST && !exclusive ? 0 : -errno;
}

/* Opens what was made before it takes from it what its mode does not have. */
static int open_made(fuse_req_t req, const struct node *parent, const char *name, mode_t mode,
                     struct fuse_entry_param *entry, struct fuse_file_info *fi)
{
    struct node *node = node_of(entry->ino);
    char path[NODE_PATH_SIZE];
    int result = open_node(req, node, fi);

    if (result)
        return result;
    result = give(req, parent, name, mode);
    if (result == 0 && chmod(node_path(node, path), mode & 07777U) < 0)
        result = -errno;
    if (result == 0)
        result = node_stat(node, &entry->attr);
    if (result)
        file_put(file_of(fi));
    return result;
}

static int create(fuse_req_t req, const struct node *parent, const char *name, mode_t mode,
                  struct fuse_entry_param *entry, struct fuse_file_info *fi)
{
    bool made = false;
    int result = make(parent, name, mode, fi->flags & O_EXCL, &made);

    if (result == 0)
        result = look_up(parent, name, entry);
    if (result)
        return result;
    result = made ? open_made(req, parent, name, mode, entry, fi)
                  : open_node(req, node_of(entry->ino), fi);
    if (result && made)
        (void)unlinkat(parent->fd, name, 0);
    if (result)
        node_drop(node_of(entry->ino), 1);
    return result;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
    struct fuse_entry_param entry;
    const int result = create(req, node_of(parent), name, mode, &entry, fi);

    if (result) {
        fuse_reply_err(req, -result);
    } else if (wire_reply_open(req, &entry, fi, through_kernel_cache(node_of(entry.ino))) ==
               -ENOENT) {
        file_put(file_of(fi));
        node_drop(node_of(entry.ino), 1);
    }
}
