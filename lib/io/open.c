/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a file.
 *
 * Who has a file open through an engine holds a lock on one byte of it, far behind any data: shared
 * with a kernel cache, exclusive, and of all those bytes, with a user cache. It is of the open file (an OFD lock), so it keeps
 * out other processes and other files of this one, and ends with the process.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <twostate/class.h>
#include <twostate/validate.h>

#define OPEN_FLAGS (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_CLOEXEC)

/* Bits of statx that the libc's headers may not have yet. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif

#define DEFAULT_FOLIO 16384
#define OWNER_BYTE    INT64_C(0x74776f7374617465) /* "twostate" */
#define MOST_WRITERS  65536                       /* that may not read */

/* A thread may be in two files, of a remap, in whatever order. */
static const struct twostate_class users_class = {.name = "users", .ordered = true};

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

/*
 * The same of a file that O_CREAT may have made: open(2) gives whoever makes a file the access that he
 * asks for, whatever its mode says, but a second open doesn't. The mode is the owner's, so it lets
 * him in for as long as that takes. (A file with this mode that was there before would not have been
 * opened at all.)
 */
static int reopen_made(int fd, int flags, bool made)
{
    struct stat st;
    int again = reopen(fd, flags);

    if (again != -EACCES || !made || fstat(fd, &st) < 0 ||
        fchmod(fd, (st.st_mode & 07777) | S_IRUSR | S_IWUSR) < 0)
        return again;
    again = reopen(fd, flags);
    if (fchmod(fd, st.st_mode & 07777) < 0 && again >= 0) {
        const int error = -errno;

        close(again);
        return error;
    }
    return again;
}

/* Where direct IO takes the fast path. A kernel that does not say gets the block size. */
static void ask_alignment(struct twostate_file *file, const struct stat *st)
{
    struct statx stx;

    file->direct_memory = file->direct_offset = (uint32_t)st->st_blksize;
    if (statx(file->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN | STATX_MNT_ID, &stx) < 0 ||
        (stx.stx_mask & STATX_DIOALIGN) == 0)
        return;
    /* No mount has the number 0: an emulator passes the mask on, but no members that are new to it. */
    if ((stx.stx_mask & STATX_MNT_ID) && stx.stx_mnt_id == 0)
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

/*
 * O_NONBLOCK: opening a FIFO must not wait for its other end, only to be refused. But for the end of a lease
 * that another process has on a file (fcntl(2), F_SETLEASE) one waits, as open(2) does.
 */
static int open_path(const char *path, int flags, mode_t mode)
{
    struct stat st;
    int fd = open(path, flags | O_NONBLOCK, mode);

    if (fd >= 0 || errno != EWOULDBLOCK)
        return fd;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        errno = EWOULDBLOCK;
        return fd;
    }
    do {
        fd = open(path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* With a user cache nothing else that is done with the first descriptor hears of a failed write-back. */
static int open_descriptors(struct twostate_file *file, const char *path, int flags, mode_t mode,
                            bool user)
{
    const int access = flags & O_ACCMODE;
    const bool made = (flags & O_CREAT) != 0;
    struct stat st;

    file->fd = open_path(path, flags | O_CLOEXEC, mode);
    if (file->fd < 0)
        return open_error(path);
    if (fcntl(file->fd, F_SETFL, 0) < 0 || fstat(file->fd, &st) < 0)
        return -errno;
    if (!holds_data(&st))
        return -EINVAL;
    file->block_device = S_ISBLK(st.st_mode);
    file->writable = access != O_RDONLY;
    file->sync_fd = user ? file->fd : reopen_made(file->fd, access, made);
    if (file->sync_fd < 0)
        return file->sync_fd;
    file->direct_fd = reopen_made(file->fd, access | O_DIRECT, made);
    if (file->direct_fd >= 0)
        ask_alignment(file, &st);
    else if (file->direct_fd != -EINVAL && file->direct_fd != -EOPNOTSUPP)
        return file->direct_fd;
    return 0;
}

static void close_parts(struct twostate_file *file)
{
    if (file->cache)
        file->cache->ops->destroy(file->cache);
    if (file->direct_fd >= 0)
        close(file->direct_fd);
    if (file->sync_fd >= 0 && file->sync_fd != file->fd)
        close(file->sync_fd);
    if (file->fd >= 0)
        close(file->fd);
}

static void free_file(struct twostate_file *file)
{
    pthread_mutex_destroy(&file->waiting.mutex);
    commit_destroy_(&file->syncs);
    pthread_mutex_destroy(&file->size_lock);
    twostate_validate_free(file, sizeof(*file));
    free(file);
}

static int lock_bytes(const struct twostate_file *file, short type, int64_t first, int64_t count)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = count};

    if (fcntl(file->sync_fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* Who may not read the file can't share a lock: each has a byte of his own, behind the shared one. */
static int own_as_writer(const struct twostate_file *file)
{
    int result = -EBUSY;

    for (int64_t i = 1; i <= MOST_WRITERS && result == -EBUSY; i++) {
        struct flock all = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = OWNER_BYTE, .l_len = 1};

        result = lock_bytes(file, F_WRLCK, OWNER_BYTE + i, 1);
        if (result == -EBUSY && fcntl(file->sync_fd, F_OFD_GETLK, &all) == 0 &&
            all.l_type == F_WRLCK)
            break;
    }
    return result;
}

/* 0, -EBUSY, or why it can't be locked. */
static int own(const struct twostate_file *file, int access, bool alone)
{
    int result = 0;

    if (alone)
        return lock_bytes(file, F_WRLCK, OWNER_BYTE, 1 + MOST_WRITERS);
    result = access == O_WRONLY ? own_as_writer(file) : lock_bytes(file, F_RDLCK, OWNER_BYTE, 1);
    /* If the file system has no locks it has no user cache either. */
    return result == -EBUSY ? result : 0;
}

/* The engine's part of the user caches is made for the first of them. */
static int share_user(struct twostate_engine *engine)
{
    const struct user_options options = {
        .bytes = engine->cache_bytes,
        .dirty_percent = engine->dirty_percent,
        .writeback_ms = engine->writeback_ms,
    };
    int result = 0;

    pthread_mutex_lock(&engine->user_mutex);
    if (engine->user == NULL)
        result = user_create_(&options, engine->backend, &engine->user);
    pthread_mutex_unlock(&engine->user_mutex);
    return result;
}

static int create_user_cache(struct twostate_file *file, unsigned folio)
{
    const struct user_file of = {
        .fd = file->fd,
        .direct_fd = file->direct_fd,
        .sync_fd = file->sync_fd,
        .size = &file->known_size,
        .read_ahead = readahead_start_,
        .context = file,
        .folio = folio ? folio : DEFAULT_FOLIO,
        .block_device = file->block_device,
    };
    const int result = share_user(file->engine);

    return result ? result : cache_user_create_(file->engine->user, &of, &file->cache);
}

static int create_cache(struct twostate_file *file, int access,
                        const struct twostate_file_options *options)
{
    const bool user = options->cache == TWOSTATE_CACHE_USER;
    int result = 0;

    if (user && (file->direct_fd < 0 || file->direct_offset > FOLIO_BLOCK ||
                 file->direct_memory > FOLIO_BLOCK))
        return -EOPNOTSUPP;
    result = own(file, access, user);
    if (result)
        return result;
    result = user ? create_user_cache(file, options->folio)
                  : cache_kernel_create_(file->fd, file->sync_fd, &file->cache);
    if (result == 0) {
        file->piece = file->cache->ops->piece;
        file->hits = file->cache->ops->hit != NULL;
    }
    return result;
}

/* What is cut off belongs to whoever has the file: so it is not until it is known that nobody does. */
static int cut_off(const struct twostate_file *file, int flags)
{
    const int fd = reopen_made(file->fd, (flags & O_ACCMODE) | O_TRUNC, (flags & O_CREAT) != 0);

    return fd < 0 ? fd : close(fd);
}

static int open_file(struct twostate_file *file, const char *path, int flags, mode_t mode,
                     const struct twostate_file_options *options)
{
    int64_t size = 0;
    int result =
        open_descriptors(file, path, flags & ~O_TRUNC, mode, options->cache == TWOSTATE_CACHE_USER);

    if (result == 0)
        result = create_cache(file, flags & O_ACCMODE, options);
    if (result == 0 && (flags & O_TRUNC))
        result = cut_off(file, flags);
    if (result == 0) {
        size = file_disk_size_(file);
        result = size < 0 ? (int)size : 0;
        file_set_size_(file, size);
    }
    return result;
}

static int check(const struct twostate_engine *engine, const char *path, int flags,
                 const struct twostate_file_options *o)
{
    const bool power = (o->folio & (o->folio - 1)) == 0;
    const bool fits = power && o->folio >= FOLIO_BLOCK && o->folio <= FOLIO_MOST_SIZE;

    if (engine == NULL || path == NULL || (flags & O_ACCMODE) == O_ACCMODE ||
        (unsigned)o->cache > TWOSTATE_CACHE_USER || (o->folio != 0 && !fits) ||
        (o->reserved[0] | o->reserved[1] | o->reserved[2]) != 0)
        return -EINVAL;
    if (o->cache == TWOSTATE_CACHE_USER && (flags & O_ACCMODE) != O_RDWR)
        return -EINVAL;
    return flags & ~OPEN_FLAGS ? -EOPNOTSUPP : 0;
}

static struct twostate_file *new_file(struct twostate_engine *engine)
{
    struct twostate_file *file = calloc(1, sizeof(*file));

    if (file == NULL)
        return NULL;
    file->engine = engine;
    lease_init_(&file->lease, &file->pair, &file->users);
    (void)twostate_iolock_set_class(&file->users,
                                    &users_class); /* without, if there are too many */
    file->fd = file->direct_fd = file->sync_fd = -1;
    pthread_mutex_init(&file->size_lock, NULL);
    commit_init_(&file->syncs, file_sync_disk_);
    pthread_mutex_init(&file->waiting.mutex, NULL);
    CDS_INIT_LIST_HEAD(&file->waiting.requests);
    return file;
}

int twostate_file_open_with(struct twostate_engine *engine, const char *path, int flags,
                            mode_t mode, const struct twostate_file_options *options,
                            struct twostate_file **opened)
{
    const struct twostate_file_options defaults = {0};
    const struct twostate_file_options *o = options ? options : &defaults;
    const int saved = errno;
    struct twostate_file *file = NULL;
    int result = opened ? check(engine, path, flags, o) : -EINVAL;

    if (result)
        return result;
    file = new_file(engine);
    if (file == NULL)
        return -ENOMEM;
    result = open_file(file, path, flags, mode, o);
    if (result) {
        close_parts(file);
        free_file(file);
    } else {
        __atomic_add_fetch(&engine->files, 1, __ATOMIC_ACQ_REL);
        pthread_mutex_lock(&engine->files_mutex);
        cds_list_add_tail(&file->node, &engine->open_files);
        pthread_mutex_unlock(&engine->files_mutex);
        *opened = file;
    }
    errno = saved;
    return result;
}

int twostate_file_open(struct twostate_engine *engine, const char *path, int flags, mode_t mode,
                       struct twostate_file **opened)
{
    return twostate_file_open_with(engine, path, flags, mode, NULL, opened);
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
    pthread_mutex_lock(&engine->files_mutex);
    cds_list_del(&file->node);
    pthread_mutex_unlock(&engine->files_mutex);
    close_parts(file); /* who comes now is still refused */
    twostate_iolock_release(&file->users, TWOSTATE_EXCLUSIVE);
    free_file(file);
    __atomic_sub_fetch(&engine->files, 1, __ATOMIC_ACQ_REL);
    return result;
}
