/* SPDX-License-Identifier: MIT */
/* The operations of the file system, one for each request of the kernel, and what they share. */
#ifndef TWOSTATE_FUSE_OPS_H
#define TWOSTATE_FUSE_OPS_H

#include "fuse3.h"
#include "node.h"

/* What the mount was asked for, and what the kernel has; they don't change once it is mounted. */
struct mount_options {
    double timeout;     /* seconds for which the kernel keeps names and attributes */
    unsigned max_read;  /* bytes of a read request; 0: as many as the kernel likes */
    const char *mapped; /* names of files that are opened through FUSE's own cache; NULL: default */
    bool kernel_maps;   /* the kernel can map files with direct_io */
};

extern struct mount_options mount_options;

/* attr.c: attributes of an inode as programs are to see them. 0 or -errno. */
int node_stat(struct node *node, struct stat *st);

/* Without S_ISUID and S_ISGID, which a write by anyone but root takes away. */
void node_drop_set_id(struct node *node);

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi);

/* names.c */
int look_up(const struct node *parent, const char *name, struct fuse_entry_param *entry);
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags);
void op_readlink(fuse_req_t req, fuse_ino_t ino);

/* open.c */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* Gives a new name to the caller, with the mode that he asked for. 0 or -errno. */
int give(fuse_req_t req, const struct node *parent, const char *name, mode_t mode);

/* data.c */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_offset,
                        struct fuse_file_info *in_fi, fuse_ino_t out, off_t out_offset,
                        struct fuse_file_info *out_fi, size_t length, int flags);

/* directory.c */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);

/* xattr.c */
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

#endif
