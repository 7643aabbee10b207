/* SPDX-License-Identifier: MIT */
/* The inodes that the kernel knows of, each found by its device and number, and held by an O_PATH
 * descriptor: so it outlives its names, and its number is not given to another. */
#ifndef TWOSTATE_FUSE_NODE_H
#define TWOSTATE_FUSE_NODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fuse3.h"

struct opened;

struct node {
    int fd;    /* O_PATH */
    dev_t dev; /* these two never change */
    ino_t ino;
    bool set_id; /* a regular file that may have S_ISUID or S_ISGID; atomic */

    pthread_mutex_t lock;  /* held while the file is opened and closed */
    struct opened *opened; /* file.c's, with the lock; NULL: not open in the engine */

    uint64_t references; /* the rest is node.c's: the kernel's look-ups, one for `opened` */
    struct node *next;
};

/* The root's node; it stays. 0 or -errno. */
int node_root(const char *directory);

/* The node that the kernel means. */
struct node *node_of(fuse_ino_t ino);

/* What the kernel is to call a node. */
fuse_ino_t node_name(const struct node *node);

/* The node of an O_PATH descriptor, with one more reference; fd becomes its own. NULL: no memory. */
struct node *node_take(int fd, const struct stat *st);

void node_hold(struct node *node);
void node_drop(struct node *node, uint64_t references);

/* For the end: the nodes stay. */
void nodes_visit(void (*visit)(struct node *node));

/* A path of the inode, whatever its names are. */
#define NODE_PATH_SIZE 32
const char *node_path(const struct node *node, char path[static NODE_PATH_SIZE]);

#endif
