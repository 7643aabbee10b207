/* SPDX-License-Identifier: MIT */
/* Operations on the data of files, with errors and with what they leave behind. */
#include "same.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* All of a file as one number. */
static long sum(int fd)
{
    unsigned char bytes[4096];
    off_t at = 0;
    uint64_t hash = 1;

    for (ssize_t n = 0; (n = pread(fd, bytes, sizeof(bytes), at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++)
            hash = hash * 31 + bytes[i];
    return (long)(hash & 0xffffff) + (long)at;
}

static long write_to_read_only(void)
{
    return answer(write(make("a", O_RDONLY), "x", 1));
}

static long read_from_write_only(void)
{
    char c = 0;

    return answer(read(make("a", O_WRONLY), &c, 1));
}

static long read_directory(void)
{
    char c = 0;

    return answer(read(open(".", O_RDONLY), &c, 1));
}

static long read_negative(void)
{
    char c = 0;

    return answer(pread(make("a", O_RDWR), &c, 1, -1));
}

static long read_at_end(void)
{
    char bytes[20];
    const int fd = make("a", O_RDWR);

    return answer(pread(fd, bytes, 20, 10)) + answer(pread(fd, bytes, 20, 5)) * 10 +
           answer(pread(fd, bytes, 20, INT64_MAX - 30)) * 100;
}

static long write_nothing(void)
{
    const int fd = make("a", O_RDWR);

    return answer(pwrite(fd, "", 0, 100)) + answer(lseek(fd, 0, SEEK_END));
}

static long write_too_far(void)
{
    return answer(pwrite(make("a", O_RDWR), "x", 1, INT64_C(1) << 50));
}

static long write_at_the_last_byte(void)
{
    return answer(pwrite(make("a", O_RDWR), "xx", 2, INT64_MAX - 1));
}

static long truncate_too_far(void)
{
    return answer(ftruncate(make("a", O_RDWR), INT64_C(1) << 50));
}

static long truncate_negative(void)
{
    return answer(ftruncate(make("a", O_RDWR), -1));
}

static long truncate_read_only(void)
{
    return answer(ftruncate(make("a", O_RDONLY), 1));
}

static long truncate_directory(void)
{
    return answer(truncate(".", 1));
}

static long truncate_both_ways(void)
{
    const int fd = make("a", O_RDWR);

    if (truncate("a", 3) < 0 || ftruncate(fd, 6000) < 0 || pwrite(fd, "x", 1, 5000) != 1)
        return answer(-1);
    return sum(fd);
}

static long open_truncates(void)
{
    struct stat st;
    const int fd = make("a", O_RDWR);
    const int other = open("a", O_WRONLY | O_TRUNC);

    return answer(other) < 0 || fstat(fd, &st) < 0 ? answer(-1) : (long)st.st_size;
}

/* The limit's signal is off for it. */
static long beyond_limit(void)
{
    struct rlimit old, limit;
    const int fd = make("a", O_RDWR);
    long result = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    limit.rlim_cur = 8192;
    setrlimit(RLIMIT_FSIZE, &limit);
    result = answer(pwrite(fd, "xxxx", 4, 8190)) + 100 * answer(pwrite(fd, "x", 1, 8192));
    setrlimit(RLIMIT_FSIZE, &old);
    return result;
}

static long append(void)
{
    const int one = make("a", O_WRONLY | O_APPEND), two = open("a", O_RDWR | O_APPEND);

    if (write(one, "abc", 3) != 3 || write(two, "def", 3) != 3 || write(one, "ghi", 3) != 3 ||
        pwrite(two, "jkl", 3, 0) != 3)
        return answer(-1);
    return sum(two) + lseek(one, 0, SEEK_CUR);
}

static long seek_data(void)
{
    const int fd = make("a", O_RDWR);

    if (ftruncate(fd, 10 << 20) < 0 || pwrite(fd, "x", 1, 5 << 20) != 1 || fsync(fd) < 0)
        return answer(-1);
    return answer(lseek(fd, 1 << 20, SEEK_DATA)) + answer(lseek(fd, 5 << 20, SEEK_HOLE));
}

static long seek_past_end(void)
{
    return answer(lseek(make("a", O_RDWR), 11, SEEK_DATA));
}

static long seek_negative(void)
{
    return answer(lseek(make("a", O_RDWR), -1, SEEK_SET));
}

static long fallocate_nothing(void)
{
    return answer(fallocate(make("a", O_RDWR), 0, 0, 0));
}

static long fallocate_read_only(void)
{
    return answer(fallocate(make("a", O_RDONLY), 0, 0, 4096));
}

static long fallocate_too_far(void)
{
    return answer(fallocate(make("a", O_RDWR), 0, INT64_C(1) << 50, 4096));
}

static long fallocate_punch_and_extend(void)
{
    return answer(fallocate(make("a", O_RDWR), FALLOC_FL_PUNCH_HOLE, 0, 4096));
}

static long fallocate_sizes(void)
{
    struct stat st;
    const int fd = make("a", O_RDWR);

    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) < 0 || fstat(fd, &st) < 0 ||
        st.st_size != 10)
        return answer(-1);
    if (fallocate(fd, 0, 0, 1 << 20) < 0 || fstat(fd, &st) < 0 || st.st_size != 1 << 20)
        return answer(-1);
    return sum(fd);
}

static long punch(void)
{
    char bytes[20000];
    const int fd = make("a", O_RDWR);
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    memset(bytes, 'x', sizeof(bytes));
    if (pwrite(fd, bytes, sizeof(bytes), 0) < 0 || fallocate(fd, mode, 4000, 9000) < 0)
        return answer(-1);
    return sum(fd);
}

static long zero_range(void)
{
    char bytes[20000];
    const int fd = make("a", O_RDWR);

    memset(bytes, 'x', sizeof(bytes));
    if (pwrite(fd, bytes, sizeof(bytes), 0) < 0 ||
        fallocate(fd, FALLOC_FL_ZERO_RANGE, 15000, 9000) < 0)
        return answer(-1);
    return sum(fd);
}

static long copy_range(void)
{
    off_t in = 2, out = 4;
    const int from = make("a", O_RDWR), to = make("b", O_RDWR);

    return answer(copy_file_range(from, &in, to, &out, 5, 0)) + sum(to) + in + out;
}

static long copy_range_at_end(void)
{
    off_t in = 10, out = 0;

    return answer(copy_file_range(make("a", O_RDWR), &in, make("b", O_RDWR), &out, 5, 0));
}

static long copy_range_overlaps(void)
{
    off_t in = 0, out = 4;
    const int fd = make("a", O_RDWR);

    return answer(copy_file_range(fd, &in, fd, &out, 8, 0));
}

static long copy_range_to_append(void)
{
    return answer(
        copy_file_range(make("a", O_RDWR), NULL, make("b", O_WRONLY | O_APPEND), NULL, 5, 0));
}

static long copy_range_flags(void)
{
    return answer(copy_file_range(make("a", O_RDWR), NULL, make("b", O_RDWR), NULL, 5, 1));
}

static long copy_large(void)
{
    static char bytes[1 << 20];
    const int from = make("a", O_RDWR), to = make("b", O_RDWR);
    off_t in = 0, out = 1;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 / 4096);
    if (pwrite(from, bytes, sizeof(bytes), 0) != sizeof(bytes))
        return answer(-1);
    while (copy_file_range(from, &in, to, &out, 300000, 0) > 0)
        continue;
    return sum(to);
}

static long vectors(void)
{
    char one[3], two[5];
    struct iovec iov[2] = {{.iov_base = one, .iov_len = 3}, {.iov_base = two, .iov_len = 5}};
    const int fd = make("a", O_RDWR);

    return answer(preadv(fd, iov, 2, 1)) + 10 * answer(pwritev(fd, iov, 2, 7)) + sum(fd);
}

static long unlink_while_open(void)
{
    struct stat st;
    const int fd = make("a", O_RDWR);

    if (unlink("a") < 0 || pwrite(fd, "more", 4, 8) != 4 || fsync(fd) < 0 || fstat(fd, &st) < 0)
        return answer(-1);
    return sum(fd) + (long)st.st_nlink;
}

static long rename_over_open(void)
{
    const int old = make("a", O_RDWR), new = make("b", O_RDWR);

    if (pwrite(new, "new", 3, 0) != 3 || rename("b", "a") < 0 || pwrite(old, "old", 3, 0) != 3)
        return answer(-1);
    return sum(old) * 3 + sum(open("a", O_RDONLY));
}

static long links_share_data(void)
{
    const int fd = make("a", O_RDWR);

    if (link("a", "b") < 0 || pwrite(open("b", O_RDWR), "other", 5, 0) != 5)
        return answer(-1);
    return sum(fd);
}

static long map_shared(void)
{
    const int fd = make("a", O_RDWR);
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return answer(-1);
    memory[2] = 'm';
    if (pwrite(fd, "w", 1, 5) != 1 || memory[5] != 'w' || msync(memory, 4096, MS_SYNC) < 0)
        return 1;
    munmap(memory, 4096);
    return sum(fd);
}

static long map_private(void)
{
    const int fd = make("a", O_RDONLY);
    const char *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

    return memory == MAP_FAILED ? answer(-1) : memory[3];
}

static long map_write_only(void)
{
    return mmap(NULL, 4096, PROT_READ, MAP_SHARED, make("a", O_WRONLY), 0) == MAP_FAILED ? -errno
                                                                                         : 0;
}

static long record_locks(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 5};
    const int one = make("a", O_RDWR), two = open("a", O_RDWR);

    if (fcntl(one, F_OFD_SETLK, &lock) < 0)
        return answer(-1);
    return answer(fcntl(two, F_OFD_SETLK, &lock));
}

static long whole_locks(void)
{
    const int one = make("a", O_RDWR), two = open("a", O_RDWR);

    if (flock(one, LOCK_EX) < 0)
        return answer(-1);
    return answer(flock(two, LOCK_SH | LOCK_NB));
}

static long direct_and_buffered(void)
{
    static char aligned[8192] __attribute__((aligned(4096)));
    const int fd = make("a", O_RDWR), direct = open("a", O_RDWR | O_DIRECT);

    memset(aligned, 'd', sizeof(aligned));
    if (pwrite(fd, aligned, 8192, 0) != 8192 || pwrite(direct, aligned, 4096, 4096) != 4096 ||
        pwrite(fd, "buffered", 8, 4090) != 8 || pread(direct, aligned, 8192, 0) != 8192)
        return answer(-1);
    return sum(fd) + aligned[4091] * 100L;
}

static long sync_flags(void)
{
    const int fd = make("a", O_RDWR | O_SYNC), other = open("a", O_RDWR | O_DSYNC);

    if (write(fd, "abc", 3) != 3 || pwrite(other, "d", 1, 20) != 1 || fdatasync(fd) < 0 ||
        fsync(open("a", O_RDONLY)) < 0)
        return answer(-1);
    return sum(fd);
}

#define SAME(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

const struct same same_data[] = {
    SAME(write_to_read_only),
    SAME(read_from_write_only),
    SAME(read_directory),
    SAME(read_negative),
    SAME(read_at_end),
    SAME(write_nothing),
    SAME(write_too_far),
    SAME(write_at_the_last_byte),
    SAME(truncate_too_far),
    SAME(truncate_negative),
    SAME(truncate_read_only),
    SAME(truncate_directory),
    SAME(truncate_both_ways),
    SAME(open_truncates),
    SAME(beyond_limit),
    SAME(append),
    SAME(seek_data),
    SAME(seek_past_end),
    SAME(seek_negative),
    SAME(fallocate_nothing),
    SAME(fallocate_read_only),
    SAME(fallocate_too_far),
    SAME(fallocate_punch_and_extend),
    SAME(fallocate_sizes),
    SAME(punch),
    SAME(zero_range),
    SAME(copy_range),
    SAME(copy_range_at_end),
    SAME(copy_range_overlaps),
    SAME(copy_range_to_append),
    SAME(copy_range_flags),
    SAME(copy_large),
    SAME(vectors),
    SAME(unlink_while_open),
    SAME(rename_over_open),
    SAME(links_share_data),
    SAME(map_shared),
    SAME(map_private),
    SAME(map_write_only),
    SAME(record_locks),
    SAME(whole_locks),
    SAME(direct_and_buffered),
    SAME(sync_flags),
    {NULL, NULL},
};
