/* SPDX-License-Identifier: MIT */
/* A file: its size, and the locks of a path. */
#include "engine.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* Also a buffered writer: if he waits for the end of a remap, he wants the IOLOCK alone. */
static void wait_for(struct twostate_file *file, enum twostate_iopath path,
                     struct twostate_hold *hold)
{
    const int64_t start = waited_now_();
    const int64_t before = twostate_waited_ns();

    lease_call_in_(&file->lease);
    backend_recall_(file->engine->backend);
    twostate_iopair_begin(&file->pair, path, hold);
    lease_allow_(&file->lease);
    waited_since_(start);
    waits_add_(&file->waits[wait_kind_(path)], twostate_waited_ns() - before);
}

int file_begin_(struct twostate_file *file, enum twostate_iopath path, struct twostate_hold *hold,
                bool nowait)
{
    const bool buffered = path == TWOSTATE_BUFFERED_READ || path == TWOSTATE_BUFFERED_WRITE;
    bool held = false;

    if (!buffered)
        lease_call_in_(&file->lease);
    held = twostate_iopair_try_begin(&file->pair, path, hold);
    if (!held && !nowait)
        wait_for(file, path, hold);
    if (!buffered)
        lease_allow_(&file->lease);
    return held || !nowait ? 0 : -EAGAIN;
}

/* It lets go in between: a lease that began there would keep it out. */
bool file_retry_unaligned_(struct twostate_file *file, struct twostate_hold *hold, bool nowait)
{
    bool held = true;

    lease_call_in_(&file->lease);
    if (nowait) {
        held = twostate_iopair_try_retry_unaligned(hold);
    } else {
        backend_recall_(file->engine->backend);
        twostate_iopair_retry_unaligned(hold);
    }
    lease_allow_(&file->lease);
    return held;
}

int64_t file_known_size_(const struct twostate_file *file)
{
    return __atomic_load_n(&file->known_size, __ATOMIC_ACQUIRE);
}

void file_set_size_(struct twostate_file *file, int64_t size)
{
    __atomic_store_n(&file->known_size, size, __ATOMIC_RELEASE);
}

void file_raise_size_(struct twostate_file *file, int64_t size)
{
    int64_t known = file_known_size_(file);

    while (known < size && !__atomic_compare_exchange_n(&file->known_size, &known, size, false,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

int64_t file_disk_size_(const struct twostate_file *file)
{
    const int saved = errno;
    uint64_t device_size = 0;
    struct stat st;
    int64_t size = 0;

    if (file->block_device)
        size = ioctl(file->fd, BLKGETSIZE64, &device_size) < 0 ? -errno : (int64_t)device_size;
    else
        size = fstat(file->fd, &st) < 0 ? -errno : st.st_size;
    errno = saved;
    return size;
}

int64_t file_ask_size_(const struct twostate_file *file)
{
    return file->cache->ops->knows_size ? file_known_size_(file) : file_disk_size_(file);
}

int64_t file_size_(struct twostate_file *file)
{
    const int64_t size = file_ask_size_(file);

    file_raise_size_(file, size);
    return size;
}

int twostate_stat(struct twostate_file *file, struct twostate_file_stat *stat)
{
    struct stat st;
    int64_t size = 0;
    int result = stat == NULL ? -EINVAL : file_enter_async_(file);

    if (result)
        return result;
    size = file_ask_size_(file);
    if (size < 0 || fstat(file->fd, &st) < 0) {
        result = size < 0 ? (int)size : -errno;
    } else {
        *stat = (struct twostate_file_stat){
            .size = size,
            .allocated = (int64_t)st.st_blocks * 512,
            .block = (uint32_t)st.st_blksize,
            .direct_memory = file->direct_fd >= 0 ? file->direct_memory : 0,
            .direct_offset = file->direct_fd >= 0 ? file->direct_offset : 0,
        };
    }
    file_leave_(file);
    return result;
}
