/* SPDX-License-Identifier: MIT */
/*
 * Attributes: the inode's own, but for what the engine knows better. With a user cache the inode on
 * disk has the size and the time of what was written back last, and a write-back changes its time.
 */
#include "file.h"
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void correct(struct opened *opened, struct stat *st)
{
    const int64_t mtime = __atomic_load_n(&opened->mtime, __ATOMIC_RELAXED);
    struct twostate_file_stat engine;

    if (twostate_stat(opened->file, &engine) == 0)
        st->st_size = engine.size;
    if (mtime == 0)
        return;
    st->st_mtim = (struct timespec){.tv_sec = (time_t)(mtime / 1000000000),
                                    .tv_nsec = (long)(mtime % 1000000000)};
    if (earlier(&st->st_ctim, &st->st_mtim))
        st->st_ctim = st->st_mtim;
}

int node_stat(struct node *node, struct stat *st)
{
    if (fstat(node->fd, st) < 0)
        return -errno;
    __atomic_store_n(&node->set_id, S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)),
                     __ATOMIC_RELAXED);
    pthread_mutex_lock(&node->lock);
    if (node->opened && node->opened->user_cache)
        correct(node->opened, st);
    pthread_mutex_unlock(&node->lock);
    return 0;
}

/* S_ISGID without S_IXGRP does not mean another group. */
void node_drop_set_id(struct node *node)
{
    char path[NODE_PATH_SIZE];
    struct stat st;
    mode_t mode = 0;

    if (!__atomic_exchange_n(&node->set_id, false, __ATOMIC_RELAXED) || fstat(node->fd, &st) < 0)
        return;
    mode = st.st_mode & 07777U & ~(mode_t)S_ISUID;
    if (mode & S_IXGRP)
        mode &= ~(mode_t)S_ISGID;
    (void)chmod(node_path(node, path), mode);
}

static int set_size(struct node *node, off_t size)
{
    struct opened *opened = NULL;
    int result = file_get(node, O_WRONLY, &opened);

    if (result)
        return result;
    result = twostate_truncate(opened->file, size);
    if (result == 0)
        file_changed(opened);
    file_put(opened);
    return result;
}

static struct timespec new_time(const struct timespec *time, bool set, bool now)
{
    return now ? (struct timespec){.tv_nsec = UTIME_NOW}
               : (set ? *time : (struct timespec){.tv_nsec = UTIME_OMIT});
}

/*
 * With the node's lock. A time that `mtime` can't hold stays the inode's: once all is written back,
 * which would change it.
 */
static int hold_mtime(struct opened *opened, const struct timespec times[2],
                      const struct timespec *mtime)
{
    const bool fits = mtime->tv_sec > 0 && mtime->tv_sec < INT64_MAX / 1000000000;
    char path[NODE_PATH_SIZE];

    if (!fits) {
        (void)twostate_fdatasync(opened->file);
        if (utimensat(AT_FDCWD, node_path(opened->node, path), times, 0) < 0)
            return -errno;
    }
    __atomic_store_n(&opened->mtime,
                     fits ? (int64_t)mtime->tv_sec * 1000000000 + mtime->tv_nsec : 0,
                     __ATOMIC_RELAXED);
    return 0;
}

static int set_times(struct node *node, const struct stat *attr, int to_set)
{
    const struct timespec times[2] = {
        new_time(&attr->st_atim, to_set & FUSE_SET_ATTR_ATIME, to_set & FUSE_SET_ATTR_ATIME_NOW),
        new_time(&attr->st_mtim, to_set & FUSE_SET_ATTR_MTIME, to_set & FUSE_SET_ATTR_MTIME_NOW),
    };
    char path[NODE_PATH_SIZE];
    struct stat st;
    int result = 0;

    pthread_mutex_lock(&node->lock);
    if (utimensat(AT_FDCWD, node_path(node, path), times, 0) < 0 || fstat(node->fd, &st) < 0)
        result = -errno;
    else if (times[1].tv_nsec != UTIME_OMIT && node->opened && node->opened->user_cache)
        result = hold_mtime(node->opened, times, &st.st_mtim);
    pthread_mutex_unlock(&node->lock);
    return result;
}

/* The owner before the mode, of which a new owner takes away S_ISUID. */
static int set(struct node *node, const struct stat *attr, int to_set)
{
    const uid_t uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
    const gid_t gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;
    char path[NODE_PATH_SIZE];
    int result = 0;

    if ((to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) &&
        fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if ((to_set & FUSE_SET_ATTR_MODE) && chmod(node_path(node, path), attr->st_mode & 07777U) < 0)
        return -errno;
    if (to_set & FUSE_SET_ATTR_SIZE)
        result = set_size(node, attr->st_size);
    if (result == 0 && (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
                                  FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)))
        result = set_times(node, attr, to_set);
    return result;
}

static void reply_attr(fuse_req_t req, struct node *node)
{
    struct stat st;
    const int result = node_stat(node, &st);

    if (result)
        fuse_reply_err(req, -result);
    else
        fuse_reply_attr(req, &st, mount_options.timeout);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    reply_attr(req, node_of(ino));
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi)
{
    struct node *node = node_of(ino);
    const int result = set(node, attr, to_set);

    (void)fi;
    if (result)
        fuse_reply_err(req, -result);
    else
        reply_attr(req, node);
}
