/* SPDX-License-Identifier: MIT */
/* Operations on names and attributes. */
#include "same.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static long open_missing(void)
{
    return answer(open("missing", O_RDONLY));
}

static long open_exclusive(void)
{
    close(make("file", O_RDONLY));
    return answer(open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
}

static long open_directory_to_write(void)
{
    return answer(open(".", O_RDWR));
}

static long open_file_as_directory(void)
{
    close(make("file", O_RDONLY));
    return answer(open("file", O_RDONLY | O_DIRECTORY));
}

static long open_below_file(void)
{
    close(make("file", O_RDONLY));
    return answer(open("file/more", O_RDONLY | O_CREAT, 0644));
}

static long open_link_nofollow(void)
{
    (void)symlink("target", "link");
    return answer(open("link", O_RDONLY | O_NOFOLLOW));
}

static long open_link_loop(void)
{
    (void)symlink("two", "one");
    (void)symlink("one", "two");
    return answer(open("one", O_RDONLY));
}

static long open_through_dangling_link(void)
{
    (void)symlink("target", "link");
    (void)open("link", O_WRONLY | O_CREAT, 0600);
    return answer(access("target", W_OK));
}

static long open_fifo(void)
{
    (void)mkfifo("fifo", 0600);
    return answer(open("fifo", O_WRONLY | O_NONBLOCK));
}

static long open_socket(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return answer(-1);
    return answer(open("socket", O_RDWR));
}

static long name_too_long(void)
{
    char name[300];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    return answer(open(name, O_RDWR | O_CREAT, 0644));
}

static long name_longest(void)
{
    char name[256];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    return open(name, O_RDWR | O_CREAT, 0644) >= 0;
}

static long mkdir_exists(void)
{
    (void)mkdir("d", 0755);
    return answer(mkdir("d", 0755));
}

static long mkdir_below_missing(void)
{
    return answer(mkdir("missing/d", 0755));
}

static long mkdir_mode(void)
{
    struct stat st;

    (void)mkdir("d", 02777);
    return answer(stat("d", &st)) + (long)st.st_mode;
}

static long modes_without_umask(void)
{
    struct stat d, a;
    const mode_t mask = umask(0);
    const int result = mkdir("d", 0777) | mkfifo("a", 0666);

    (void)umask(mask);
    if (result != 0 || stat("d", &d) < 0 || stat("a", &a) < 0)
        return answer(-1);
    return (long)(d.st_mode & 0777) << 9U | (long)(a.st_mode & 0777);
}

static long mknod_exists(void)
{
    close(make("file", O_RDONLY));
    return answer(mknod("file", S_IFREG | 0600, 0));
}

static long mknod_device(void)
{
    struct stat st;

    if (mknod("null", S_IFCHR | 0666, 0x0103) < 0 || stat("null", &st) < 0)
        return answer(-1);
    return (long)st.st_rdev;
}

static long rmdir_not_empty(void)
{
    (void)mkdir("d", 0755);
    (void)mkdir("d/e", 0755);
    return answer(rmdir("d"));
}

static long rmdir_file(void)
{
    close(make("file", O_RDONLY));
    return answer(rmdir("file"));
}

static long rmdir_dot(void)
{
    return answer(rmdir("."));
}

static long unlink_directory(void)
{
    (void)mkdir("d", 0755);
    return answer(unlink("d"));
}

static long unlink_missing(void)
{
    return answer(unlink("missing"));
}

static long create_in_removed_directory(void)
{
    (void)mkdir("d", 0755);
    if (chdir("d") < 0 || rmdir("../d") < 0)
        return 1;
    return answer(open("file", O_RDWR | O_CREAT, 0644));
}

static long rename_missing(void)
{
    return answer(rename("missing", "there"));
}

static long rename_onto_full_directory(void)
{
    (void)mkdir("d", 0755);
    (void)mkdir("e", 0755);
    (void)mkdir("e/f", 0755);
    return answer(rename("d", "e"));
}

static long rename_directory_onto_file(void)
{
    (void)mkdir("d", 0755);
    close(make("file", O_RDONLY));
    return answer(rename("d", "file"));
}

static long rename_file_onto_directory(void)
{
    (void)mkdir("d", 0755);
    close(make("file", O_RDONLY));
    return answer(rename("file", "d"));
}

static long rename_into_itself(void)
{
    (void)mkdir("d", 0755);
    return answer(rename("d", "d/e"));
}

static long rename_noreplace(void)
{
    close(make("a", O_RDONLY));
    close(make("b", O_RDONLY));
    return answer(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
}

static long rename_exchange(void)
{
    close(make("a", O_RDONLY));
    (void)mkdir("d", 0755);
    (void)mkdir("d/e", 0755);
    if (renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE) < 0)
        return answer(-1);
    return access("a/e", F_OK) == 0 && rmdir("d") < 0 && errno == ENOTDIR;
}

static long rename_exchange_missing(void)
{
    close(make("a", O_RDONLY));
    return answer(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
}

static long rename_bad_flags(void)
{
    close(make("a", O_RDONLY));
    return answer(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
}

static long link_missing(void)
{
    return answer(link("missing", "there"));
}

static long link_directory(void)
{
    (void)mkdir("d", 0755);
    return answer(link("d", "e"));
}

static long link_exists(void)
{
    close(make("a", O_RDONLY));
    close(make("b", O_RDONLY));
    return answer(link("a", "b"));
}

static long link_counts(void)
{
    struct stat st;

    close(make("a", O_RDONLY));
    if (link("a", "b") < 0 || link("b", "c") < 0 || unlink("a") < 0 || stat("b", &st) < 0)
        return answer(-1);
    return (long)st.st_nlink;
}

static long link_of_link(void)
{
    struct stat st;

    (void)symlink("target", "a");
    if (link("a", "b") < 0 || lstat("b", &st) < 0)
        return answer(-1);
    return S_ISLNK(st.st_mode) && st.st_nlink == 2;
}

static long symlink_exists(void)
{
    close(make("a", O_RDONLY));
    return answer(symlink("b", "a"));
}

static long readlink_file(void)
{
    char target[16];

    close(make("a", O_RDONLY));
    return answer(readlink("a", target, sizeof(target)));
}

static long readlink_short(void)
{
    char target[4];

    (void)symlink("a long target", "a");
    return answer(readlink("a", target, sizeof(target)));
}

static long chmod_missing(void)
{
    return answer(chmod("missing", 0644));
}

static long chmod_set_id(void)
{
    struct stat st;

    close(make("a", O_RDONLY));
    (void)chmod("a", 06755);
    (void)chown("a", 1, 1);
    return answer(stat("a", &st)) + (long)st.st_mode;
}

static long create_mode(void)
{
    struct stat st;
    const int fd = open("a", O_RDWR | O_CREAT, 04111);

    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) < 0)
        return answer(-1);
    return (long)st.st_mode;
}

static long group_of_directory(void)
{
    struct stat st;

    if (chown(".", 0, 7) < 0 || chmod(".", 02775) < 0 || mkdir("d", 0755) < 0)
        return answer(-1);
    close(make("d/a", O_RDONLY));
    return answer(stat("d/a", &st)) + (long)st.st_gid;
}

static long times(void)
{
    const struct timespec set[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
    struct stat st;
    const int fd = make("a", O_RDWR);

    if (write(fd, "x", 1) != 1 || futimens(fd, set) < 0 || close(fd) < 0 || stat("a", &st) < 0)
        return answer(-1);
    return (long)(st.st_atim.tv_sec * 10 + st.st_atim.tv_nsec + st.st_mtim.tv_sec * 10 +
                  st.st_mtim.tv_nsec);
}

static long write_changes_times(void)
{
    const struct timespec set[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
    struct stat st;
    const int fd = make("a", O_RDWR);

    if (futimens(fd, set) < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) < 0)
        return answer(-1);
    return st.st_mtim.tv_sec != 2000;
}

static long xattr_missing(void)
{
    char value[8];

    close(make("a", O_RDONLY));
    return answer(getxattr("a", "user.none", value, sizeof(value)));
}

static long xattr_exists(void)
{
    close(make("a", O_RDONLY));
    (void)setxattr("a", "user.x", "1", 1, 0);
    return answer(setxattr("a", "user.x", "2", 1, XATTR_CREATE));
}

static long xattr_replace_missing(void)
{
    close(make("a", O_RDONLY));
    return answer(setxattr("a", "user.x", "2", 1, XATTR_REPLACE));
}

static long xattr_short_buffer(void)
{
    char value[2];

    close(make("a", O_RDONLY));
    (void)setxattr("a", "user.x", "12345", 5, 0);
    return answer(getxattr("a", "user.x", value, sizeof(value)));
}

static long xattr_value(void)
{
    char value[8];

    close(make("a", O_RDONLY));
    (void)setxattr("a", "user.x", "12345", 5, 0);
    return answer(getxattr("a", "user.x", NULL, 0)) * 100 +
           answer(getxattr("a", "user.x", value, sizeof(value)));
}

static long xattr_list(void)
{
    char names[64];

    close(make("a", O_RDONLY));
    (void)setxattr("a", "user.x", "1", 1, 0);
    (void)setxattr("a", "user.yy", "1", 1, 0);
    return answer(listxattr("a", names, sizeof(names)));
}

static long xattr_remove_missing(void)
{
    close(make("a", O_RDONLY));
    return answer(removexattr("a", "user.x"));
}

static long xattr_other_namespace(void)
{
    close(make("a", O_RDONLY));
    return answer(setxattr("a", "nonsense.x", "1", 1, 0));
}

static long xattr_of_link(void)
{
    (void)symlink("a", "b");
    (void)lsetxattr("b", "trusted.x", "123", 3, 0);
    return answer(lgetxattr("b", "trusted.x", NULL, 0));
}

static long list_directory(void)
{
    char name[32];
    long count = 0;
    int fd = 0;

    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "a file, the %d.", i);
        fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || close(fd) < 0)
            return answer(-1);
    }
    FILE *list = popen("find . -type f -size 0 | sort -u | wc -l", "r");

    if (list == NULL || fscanf(list, "%ld", &count) != 1) // NOLINT(cert-err34-c)
        return -1;
    pclose(list);
    return count;
}

static long file_system(void)
{
    struct statvfs st;

    return answer(statvfs(".", &st)) + (long)st.f_namemax * 2 + (long)st.f_bsize;
}

static long sync_directory(void)
{
    return answer(fsync(open(".", O_RDONLY)));
}

#define SAME(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

const struct same same_names[] = {
    SAME(open_missing),
    SAME(open_exclusive),
    SAME(open_directory_to_write),
    SAME(open_file_as_directory),
    SAME(open_below_file),
    SAME(open_link_nofollow),
    SAME(open_link_loop),
    SAME(open_through_dangling_link),
    SAME(open_fifo),
    SAME(open_socket),
    SAME(name_too_long),
    SAME(name_longest),
    SAME(mkdir_exists),
    SAME(mkdir_below_missing),
    SAME(mkdir_mode),
    SAME(modes_without_umask),
    SAME(mknod_exists),
    SAME(mknod_device),
    SAME(rmdir_not_empty),
    SAME(rmdir_file),
    SAME(rmdir_dot),
    SAME(unlink_directory),
    SAME(unlink_missing),
    SAME(create_in_removed_directory),
    SAME(rename_missing),
    SAME(rename_onto_full_directory),
    SAME(rename_directory_onto_file),
    SAME(rename_file_onto_directory),
    SAME(rename_into_itself),
    SAME(rename_noreplace),
    SAME(rename_exchange),
    SAME(rename_exchange_missing),
    SAME(rename_bad_flags),
    SAME(link_missing),
    SAME(link_directory),
    SAME(link_exists),
    SAME(link_counts),
    SAME(link_of_link),
    SAME(symlink_exists),
    SAME(readlink_file),
    SAME(readlink_short),
    SAME(chmod_missing),
    SAME(chmod_set_id),
    SAME(create_mode),
    SAME(group_of_directory),
    SAME(times),
    SAME(write_changes_times),
    SAME(xattr_missing),
    SAME(xattr_exists),
    SAME(xattr_replace_missing),
    SAME(xattr_short_buffer),
    SAME(xattr_value),
    SAME(xattr_list),
    SAME(xattr_remove_missing),
    SAME(xattr_other_namespace),
    SAME(xattr_of_link),
    SAME(list_directory),
    SAME(file_system),
    SAME(sync_directory),
    {NULL, NULL},
};
