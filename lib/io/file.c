/* SPDX-License-Identifier: MIT */
/* A file: its descriptors, its size, opening and closing it, and the locks of a path. */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <twostate/validate.h>

#define OPEN_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_CLOEXEC)

/* Bits of statx that the libc's headers may not have yet. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif

/* Also a buffered writer: if he waits for the end of a remap, he wants the IOLOCK alone. */
static void wait_for(struct twostate_file *file, enum twostate_iopath path,
                     struct twostate_hold *hold)
{
    const int64_t start = waited_now_();

    lease_call_in_(&file->lease);
    twostate_iopair_begin(&file->pair, path, hold);
    lease_allow_(&file->lease);
    waited_since_(start);
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
    if (nowait)
        held = twostate_iopair_try_retry_unaligned(hold);
    else
        twostate_iopair_retry_unaligned(hold);
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

int64_t file_ask_size_(struct twostate_file *file)
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

int64_t file_size_(struct twostate_file *file)
{
    const int64_t size = file_ask_size_(file);

    file_raise_size_(file, size);
    return size;
}

/* Another descriptor of the same inode, whatever has become of its name. */
static int reopen(int fd, int flags)
{
    char path[64];
    const int length = snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = -1;

    if (length > 0)
        again = open(path, flags | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

/* Where direct IO takes the fast path. A kernel that does not say gets the block size. */
static void ask_alignment(struct twostate_file *file, const struct stat *st)
{
    struct statx stx;

    file->direct_memory = file->direct_offset = (uint32_t)st->st_blksize;
    if (statx(file->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
        (stx.stx_mask & STATX_DIOALIGN) == 0)
        return;
    if (stx.stx_dio_offset_align == 0) {
        close(file->direct_fd);
        file->direct_fd = -1;
        return;
    }
    file->direct_memory = stx.stx_dio_mem_align;
    file->direct_offset = stx.stx_dio_offset_align;
}

static bool holds_data(const struct stat *st)
{
    return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/* open(2) has errors of its own for a directory, a socket or a FIFO that nobody reads. */
static int open_error(const char *path)
{
    const int error = errno;
    struct stat st;

    if ((error == EISDIR || error == ENXIO) && stat(path, &st) == 0 && !holds_data(&st))
        return -EINVAL;
    return -error;
}

static int open_descriptors(struct twostate_file *file, const char *path, int flags, mode_t mode)
{
    const int access = flags & O_ACCMODE;
    struct stat st;

    /* O_NONBLOCK: opening a FIFO must not wait for its other end, only to be refused below. */
    file->fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, mode);
    if (file->fd < 0)
        return open_error(path);
    if (fcntl(file->fd, F_SETFL, 0) < 0 || fstat(file->fd, &st) < 0)
        return -errno;
    if (!holds_data(&st))
        return -EINVAL;
    file->block_device = S_ISBLK(st.st_mode);
    file->writable = access != O_RDONLY;
    file->sync_fd = reopen(file->fd, access);
    if (file->sync_fd < 0)
        return file->sync_fd;
    file->direct_fd = reopen(file->fd, access | O_DIRECT);
    if (file->direct_fd >= 0)
        ask_alignment(file, &st);
    else if (file->direct_fd != -EINVAL && file->direct_fd != -EOPNOTSUPP)
        return file->direct_fd;
    return 0;
}

static void free_file(struct twostate_file *file)
{
    if (file->cache)
        file->cache->ops->destroy(file->cache);
    if (file->direct_fd >= 0)
        close(file->direct_fd);
    if (file->sync_fd >= 0)
        close(file->sync_fd);
    if (file->fd >= 0)
        close(file->fd);
    pthread_mutex_destroy(&file->waiting.mutex);
    pthread_cond_destroy(&file->syncs.changed);
    pthread_mutex_destroy(&file->syncs.mutex);
    pthread_mutex_destroy(&file->size_lock);
    twostate_validate_free(file, sizeof(*file));
    free(file);
}

static int open_file(struct twostate_file *file, const char *path, int flags, mode_t mode)
{
    int64_t size = 0;
    int result = open_descriptors(file, path, flags, mode);

    if (result == 0)
        result = cache_kernel_create_(file->fd, file->sync_fd, &file->cache);
    if (result == 0) {
        size = file_size_(file);
        result = size < 0 ? (int)size : 0;
    }
    return result;
}

static int check_options(const struct twostate_file_options *o)
{
    const bool power = (o->folio & (o->folio - 1)) == 0;

    if ((unsigned)o->cache > TWOSTATE_CACHE_USER ||
        (o->folio != 0 && (!power || o->folio < 4096 || o->folio > 65536)))
        return -EINVAL;
    return o->cache == TWOSTATE_CACHE_USER ? -EOPNOTSUPP : 0;
}

int twostate_file_open_with(struct twostate_engine *engine, const char *path, int flags,
                            mode_t mode, const struct twostate_file_options *options,
                            struct twostate_file **opened)
{
    const int result = options ? check_options(options) : 0;

    return result ? result : twostate_file_open(engine, path, flags, mode, opened);
}

int twostate_file_open(struct twostate_engine *engine, const char *path, int flags, mode_t mode,
                       struct twostate_file **opened)
{
    const int saved = errno;
    struct twostate_file *file = NULL;
    int result = 0;

    if (engine == NULL || path == NULL || opened == NULL || (flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    if (flags & ~OPEN_FLAGS)
        return -EOPNOTSUPP;
    file = calloc(1, sizeof(*file));
    if (file == NULL)
        return -ENOMEM;
    file->engine = engine;
    lease_init_(&file->lease, engine->slots, &file->pair, &file->users);
    file->fd = file->direct_fd = file->sync_fd = -1;
    pthread_mutex_init(&file->size_lock, NULL);
    pthread_mutex_init(&file->syncs.mutex, NULL);
    pthread_cond_init(&file->syncs.changed, NULL);
    pthread_mutex_init(&file->waiting.mutex, NULL);
    CDS_INIT_LIST_HEAD(&file->waiting.requests);
    result = open_file(file, path, flags, mode);
    if (result) {
        free_file(file);
    } else {
        __atomic_add_fetch(&engine->files, 1, __ATOMIC_ACQ_REL);
        *opened = file;
    }
    errno = saved;
    return result;
}

int twostate_file_close(struct twostate_file *file)
{
    struct twostate_engine *engine = NULL;
    int result = file_enter_(file);

    if (result)
        return result;
    file_leave_(file);
    engine = file->engine;
    lease_call_in_(&file->lease);
    file_shut_(file);
    if (__atomic_load_n(&file->unsynced, __ATOMIC_ACQUIRE))
        result = file_sync_(file, true);
    twostate_iolock_release(&file->users, TWOSTATE_EXCLUSIVE);
    free_file(file);
    __atomic_sub_fetch(&engine->files, 1, __ATOMIC_ACQ_REL);
    return result;
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
