/* SPDX-License-Identifier: MIT */
/* A hash table of nodes, with one mutex: see node.h. */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUCKET_BITS 16

static struct node *buckets[1U << BUCKET_BITS];
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER; /* of buckets, next and references */
static struct node *root;

static struct node **bucket_of(dev_t dev, ino_t ino)
{
    const uint64_t mixed = ((uint64_t)ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

    return &buckets[mixed >> (64 - BUCKET_BITS)];
}

static struct node *new_node(int fd, const struct stat *st)
{
    struct node *node = calloc(1, sizeof(*node));

    if (node == NULL)
        return NULL;
    node->fd = fd;
    node->dev = st->st_dev;
    node->ino = st->st_ino;
    pthread_mutex_init(&node->lock, NULL);
    return node;
}

struct node *node_take(int fd, const struct stat *st)
{
    struct node **bucket = bucket_of(st->st_dev, st->st_ino);
    struct node *node = NULL;
    bool known = true;

    pthread_mutex_lock(&table);
    for (node = *bucket; node; node = node->next)
        if (node->ino == st->st_ino && node->dev == st->st_dev)
            break;
    if (node == NULL) {
        node = new_node(fd, st);
        known = false;
        if (node) {
            node->next = *bucket;
            *bucket = node;
        }
    }
    if (node)
        node->references++;
    pthread_mutex_unlock(&table);
    if (known || node == NULL)
        close(fd);
    return node;
}

void node_hold(struct node *node)
{
    pthread_mutex_lock(&table);
    node->references++;
    pthread_mutex_unlock(&table);
}

void node_drop(struct node *node, uint64_t references)
{
    struct node **link = bucket_of(node->dev, node->ino);
    bool last = false;

    pthread_mutex_lock(&table);
    node->references -= references;
    last = node->references == 0;
    if (last) {
        while (*link != node)
            link = &(*link)->next;
        *link = node->next;
    }
    pthread_mutex_unlock(&table);
    if (!last)
        return;
    close(node->fd);
    pthread_mutex_destroy(&node->lock);
    free(node);
}

void nodes_visit(void (*visit)(struct node *node))
{
    for (size_t i = 0; i < 1U << BUCKET_BITS; i++)
        for (struct node *node = buckets[i]; node; node = node->next)
            visit(node);
}

int node_root(const char *directory)
{
    const int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        const int error = errno;

        close(fd);
        return -error;
    }
    root = node_take(fd, &st);
    return root ? 0 : -ENOMEM;
}

struct node *node_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? root
                               : (struct node *)(uintptr_t)ino; // NOLINT(performance-no-int-to-ptr)
}

fuse_ino_t node_name(const struct node *node)
{
    return node == root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

const char *node_path(const struct node *node, char path[static NODE_PATH_SIZE])
{
    (void)snprintf(path, NODE_PATH_SIZE, "/proc/self/fd/%d", node->fd);
    return path;
}
