/* SPDX-License-Identifier: MIT */
/* Reading directories, with the attributes of what is in them where the kernel asks for these. */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct directory {
    DIR *stream;
    struct dirent *next; /* read, but had no room in the last answer */
    off_t position;      /* before it */
};

static struct directory *directory_of(const struct fuse_file_info *fi)
{
    return (struct directory *)(uintptr_t)fi->fh; // NOLINT(performance-no-int-to-ptr)
}

static int open_directory(const struct node *node, struct directory *directory)
{
    const int fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;

    if (fd < 0)
        return -errno;
    directory->stream = fdopendir(fd);
    if (directory->stream == NULL) {
        result = -errno;
        close(fd);
    }
    return result;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct directory *directory = calloc(1, sizeof(*directory));
    const int result = directory ? open_directory(node_of(ino), directory) : -ENOMEM;

    if (result) {
        free(directory);
        fuse_reply_err(req, -result);
        return;
    }
    fi->fh = (uintptr_t)directory;
    if (fuse_reply_open(req, fi) == -ENOENT) {
        closedir(directory->stream);
        free(directory);
    }
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct directory *directory = directory_of(fi);

    (void)ino;
    closedir(directory->stream);
    free(directory);
    fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
    const int fd = dirfd(directory_of(fi)->stream);

    (void)ino;
    fuse_reply_err(req, (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}

/* The next entry: NULL at the end, with *error 0, or on an error. */
static struct dirent *peek(struct directory *directory, int *error)
{
    if (directory->next == NULL) {
        errno = 0;
        directory->next = readdir(directory->stream);
        *error = directory->next ? 0 : errno;
    }
    return directory->next;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* With what the directory itself says: for "." and "..", which the kernel does not look up here. */
static struct fuse_entry_param plain_entry(const struct dirent *from)
{
    return (struct fuse_entry_param){
        .attr = {.st_ino = from->d_ino, .st_mode = (mode_t)from->d_type << 12U}};
}

/* Returns its size; more than room: it did not fit, and nothing was done. */
static size_t add(fuse_req_t req, const struct node *node, char *at, size_t room,
                  const struct dirent *from, bool plus)
{
    struct fuse_entry_param entry = plain_entry(from);
    size_t size = 0;

    if (!plus)
        return fuse_add_direntry(req, at, room, from->d_name, &entry.attr, from->d_off);
    size = fuse_add_direntry_plus(req, NULL, 0, from->d_name, NULL, 0);
    if (size > room)
        return size;
    /* What can't be looked up, because it is gone by now, is listed without attributes. */
    if (!is_dots(from->d_name) && look_up(node, from->d_name, &entry) != 0)
        entry = plain_entry(from);
    return fuse_add_direntry_plus(req, at, room, from->d_name, &entry, from->d_off);
}

static void list(fuse_req_t req, const struct node *node, size_t size, off_t offset,
                 struct directory *directory, bool plus)
{
    char *buffer = malloc(size);
    struct dirent *next = NULL;
    size_t used = 0;
    int error = buffer ? 0 : ENOMEM;

    if (buffer && offset != directory->position) {
        seekdir(directory->stream, (long)offset);
        directory->next = NULL;
        directory->position = offset;
    }
    while (buffer && (next = peek(directory, &error)) != NULL) {
        const size_t length = add(req, node, buffer + used, size - used, next, plus);

        if (length > size - used)
            break;
        used += length;
        directory->position = next->d_off;
        directory->next = NULL;
    }
    if (error && used == 0)
        fuse_reply_err(req, error);
    else
        fuse_reply_buf(req, buffer, used);
    free(buffer);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
    list(req, node_of(ino), size, offset, directory_of(fi), false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    list(req, node_of(ino), size, offset, directory_of(fi), true);
}
