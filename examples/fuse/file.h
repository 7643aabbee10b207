/* SPDX-License-Identifier: MIT */
/*
 * The files that are open in the engine: one for each inode, shared by all who have it open.
 *
 * The last of them to close does not close it. It stays open for some seconds, idle: closing makes
 * the data durable, and who writes a thousand small files does not want to wait for that.
 */
#ifndef TWOSTATE_FUSE_FILE_H
#define TWOSTATE_FUSE_FILE_H

#include <sys/queue.h>

#include <twostate/io.h>

#include "node.h"

struct opened {
    struct twostate_file *file;
    struct node *node;
    int access;      /* O_RDWR, or what was left if that was refused */
    bool user_cache; /* what the disk has may be older than what was written */
    unsigned users;  /* with the node's lock */
    /*
     * User cache: the time of the last write, or what it was set to since, in ns; 0: the inode's
     * own. The inode's is also changed by a write-back, which may come any time later. Atomic.
     */
    int64_t mtime;

    bool idle; /* the rest is file.c's, with the lock of its list */
    int64_t idle_since;
    TAILQ_ENTRY(opened) others;
};

/* Starts the engine. 0 or -errno. */
int files_start(const struct twostate_engine_options *options, enum twostate_cache cache);

/* When no other thread is left: closes all files, also those that programs have open still. */
void files_stop(void);

/* The node's file, for one more user: access is O_RDONLY, O_WRONLY or O_RDWR. 0 or -errno. */
int file_get(struct node *node, int access, struct opened **opened);
void file_put(struct opened *opened);

/* What op_open got for the caller's descriptor. */
static inline struct opened *file_of(const struct fuse_file_info *fi)
{
    return (struct opened *)(uintptr_t)fi->fh; // NOLINT(performance-no-int-to-ptr)
}

/* Closes the node's file if it is idle and has no name left: nobody will miss what is in it. */
void file_forget(struct node *node);

/* To be called after whatever changes the data: notes the time. */
void file_changed(struct opened *opened);

#endif
