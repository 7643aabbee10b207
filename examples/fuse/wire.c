/* SPDX-License-Identifier: MIT */
/* See wire.h: FOPEN_PARALLEL_DIRECT_WRITES (Linux 6.0), FUSE_DIRECT_IO_ALLOW_MMAP (Linux 6.6). */
#include "wire.h"

#include <linux/fuse.h>
#include <math.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
#endif

#define ALLOW_MMAP (uint32_t)(FUSE_DIRECT_IO_ALLOW_MMAP >> 32)

/* The kernel's first request, while it is not answered; 0 else. All others wait for its answer. */
static uint64_t init_request;
static bool can_map;

static ssize_t read_request(int fd, void *buffer, size_t size, void *unused)
{
    const ssize_t length = read(fd, buffer, size);
    const struct fuse_in_header *header = buffer;

    (void)unused;
    if (length >= (ssize_t)(sizeof(*header) + sizeof(struct fuse_init_in)) &&
        header->opcode == FUSE_INIT) {
        const struct fuse_init_in *init = (const void *)(header + 1);

        can_map = (init->flags & FUSE_INIT_EXT) && (init->flags2 & ALLOW_MMAP);
        __atomic_store_n(&init_request, header->unique, __ATOMIC_RELEASE);
    }
    return length;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *unused)
{
    const uint64_t waiting = __atomic_load_n(&init_request, __ATOMIC_ACQUIRE);
    const struct fuse_out_header *header = iov[0].iov_base;

    (void)unused;
    if (waiting != 0 && header->unique == waiting) {
        if (can_map && header->error == 0 && count > 1 &&
            iov[1].iov_len == sizeof(struct fuse_init_out)) {
            struct fuse_init_out *init = iov[1].iov_base;

            init->flags |= FUSE_INIT_EXT;
            init->flags2 |= ALLOW_MMAP;
        } else {
            can_map = false;
        }
        __atomic_store_n(&init_request, 0, __ATOMIC_RELEASE);
    }
    return writev(fd, iov, count);
}

int wire_offer_mapping(struct fuse_session *session)
{
    static const struct fuse_custom_io io = {.writev = write_reply, .read = read_request};

    return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}

bool wire_can_map(void)
{
    return can_map;
}

static uint64_t seconds(double timeout)
{
    return (uint64_t)timeout;
}

static uint32_t nanoseconds(double timeout)
{
    return (uint32_t)((timeout - floor(timeout)) * 1e9);
}

static void fill_entry(struct fuse_entry_out *out, const struct fuse_entry_param *entry)
{
    const struct stat *st = &entry->attr;

    *out = (struct fuse_entry_out){
        .nodeid = entry->ino,
        .generation = entry->generation,
        .entry_valid = seconds(entry->entry_timeout),
        .entry_valid_nsec = nanoseconds(entry->entry_timeout),
        .attr_valid = seconds(entry->attr_timeout),
        .attr_valid_nsec = nanoseconds(entry->attr_timeout),
        .attr =
            {
                .ino = st->st_ino,
                .size = (uint64_t)st->st_size,
                .blocks = (uint64_t)st->st_blocks,
                .atime = (uint64_t)st->st_atim.tv_sec,
                .mtime = (uint64_t)st->st_mtim.tv_sec,
                .ctime = (uint64_t)st->st_ctim.tv_sec,
                .atimensec = (uint32_t)st->st_atim.tv_nsec,
                .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
                .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
                .mode = st->st_mode,
                .nlink = (uint32_t)st->st_nlink,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .blksize = (uint32_t)st->st_blksize,
            },
    };
}

int wire_reply_open(fuse_req_t req, const struct fuse_entry_param *entry,
                    const struct fuse_file_info *fi, bool cached)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {.open = {.fh = fi->fh}};

    /* Without NOFLUSH every close would be a request, which has nothing to do here. */
    out.open.open_flags =
        cached ? 0 : FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH;
    if (entry == NULL)
        return fuse_reply_buf(req, (const char *)&out.open, sizeof(out.open));
    fill_entry(&out.entry, entry);
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}
