/* SPDX-License-Identifier: MIT */
/*
 * Does the same operations in two directories and compares their results and errors: the one is in a
 * mount, the other on the file system below. test_fuse_same DIRECTORY DIRECTORY; it leaves what it
 * makes in a directory "same" in each.
 */
#include "same.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(2);
}

int make(const char *name, int flags)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

    if (fd < 0 || write(fd, "0123456789", 10) != 10 || close(fd) < 0)
        die(name);
    fd = open(name, flags);
    if (fd < 0)
        die(name);
    return fd;
}

long answer(long result)
{
    return result < 0 ? -errno : result;
}

/* The directories stay, so that an operation can't disturb the next one. */
static long run_in(const char *directory, const struct same *same)
{
    if (chdir(directory) < 0 || (mkdir("same", 0755) < 0 && errno != EEXIST) || chdir("same") < 0 ||
        mkdir(same->name, 0777) < 0 || chmod(same->name, 0777) < 0 || chdir(same->name) < 0)
        die(directory);
    return same->run();
}

static int compare(const struct same *same, char **directories, int *count)
{
    int failed = 0;

    for (; same->name; same++, (*count)++) {
        const long mine = run_in(directories[0], same);
        const long theirs = run_in(directories[1], same);

        if (mine == theirs)
            continue;
        printf("%s: %ld (%s), where it should be %ld (%s)\n", same->name, mine,
               mine < 0 ? strerror((int)-mine) : "", theirs,
               theirs < 0 ? strerror((int)-theirs) : "");
        failed++;
    }
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0, count = 0;

    if (argc != 3 || geteuid() != 0) {
        fprintf(stderr, "usage, as root: test_fuse_same DIRECTORY DIRECTORY (absolute)\n");
        return 2;
    }
    umask(022);
    failed += compare(same_names, argv + 1, &count);
    failed += compare(same_data, argv + 1, &count);
    failed += compare(same_users, argv + 1, &count);
    printf("%d operations, %d of them with another result\n", count, failed);
    return failed > 0;
}
