/* SPDX-License-Identifier: MIT */
/* Operations of a user who is not root: what he may, what he may not, whose files he makes. */
#include "same.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define USER  12345
#define GROUP 12346

/* The result of what the user does, in a process of his own. */
static long as_user(long (*run)(void))
{
    const gid_t others[] = {20};
    const pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        if (setgroups(1, others) < 0 || setgid(GROUP) < 0 || setuid(USER) < 0)
            _exit(255);
        _exit((int)(-run() & 0xff));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 1000;
    return WEXITSTATUS(status);
}

static long open_a(void)
{
    return answer(open("a", O_RDONLY));
}

static long open_others_file(void)
{
    close(make("a", O_RDONLY));
    (void)chmod("a", 0600);
    return as_user(open_a);
}

static long write_a(void)
{
    return answer(open("a", O_WRONLY | O_APPEND));
}

static long write_others_file(void)
{
    close(make("a", O_RDONLY));
    return as_user(write_a);
}

static long chmod_a(void)
{
    return answer(chmod("a", 0777));
}

static long chmod_others_file(void)
{
    close(make("a", O_RDONLY));
    return as_user(chmod_a);
}

static long chown_a(void)
{
    return answer(chown("a", USER, GROUP));
}

static long chown_others_file(void)
{
    close(make("a", O_RDONLY));
    return as_user(chown_a);
}

static long unlink_a(void)
{
    return answer(unlink("a"));
}

static long unlink_in_sticky(void)
{
    close(make("a", O_RDONLY));
    (void)chmod(".", 01777);
    return as_user(unlink_a);
}

static long unlink_in_others_directory(void)
{
    close(make("a", O_RDONLY));
    (void)chmod(".", 0755);
    return as_user(unlink_a);
}

static long make_unreadable(void)
{
    const int fd = open("b", O_RDWR | O_CREAT | O_EXCL, 0000);

    if (fd < 0 || write(fd, "x", 1) != 1)
        return answer(-1);
    return answer(open("b", O_RDONLY));
}

static long unreadable_at_once(void)
{
    struct stat st;
    const long result = as_user(make_unreadable);

    return answer(stat("b", &st)) < 0 ? answer(-1) : result + (long)st.st_mode + (long)st.st_uid;
}

static long make_all(void)
{
    close(make("file", O_RDONLY));
    return mkdir("directory", 0755) == 0 && symlink("x", "link") == 0 && mkfifo("fifo", 0600) == 0
               ? 0
               : -errno;
}

static long owners(void)
{
    static const char *const names[] = {"file", "directory", "link", "fifo"};
    struct stat st;
    long result = as_user(make_all);

    for (size_t i = 0; i < 4; i++)
        if (lstat(names[i], &st) == 0)
            result += (long)st.st_uid + (long)st.st_gid * 3;
    return result;
}

/* The group of a directory that lets it in, which is one of the user's others. */
static long other_group(void)
{
    struct stat st;
    long result = 0;

    if (chown(".", 0, 20) < 0 || chmod(".", 02770) < 0)
        return answer(-1);
    result = as_user(make_all);
    return answer(stat("file", &st)) < 0 ? answer(-1) : result + (long)st.st_gid;
}

static long overwrite_a(void)
{
    return answer(pwrite(open("a", O_RDWR), "x", 1, 0)) == 1 ? 0 : -errno;
}

static long write_drops_set_id(void)
{
    struct stat st;

    close(make("a", O_RDONLY));
    (void)chmod("a", 06777);
    if (as_user(overwrite_a) != 0 || stat("a", &st) < 0)
        return answer(-1);
    return (long)st.st_mode;
}

static long open_truncated_a(void)
{
    return answer(open("a", O_WRONLY | O_TRUNC)) < 0 ? -errno : 0;
}

static long open_truncated_drops_set_id(void)
{
    struct stat st;

    close(make("a", O_RDONLY));
    (void)chmod("a", 06777);
    if (as_user(open_truncated_a) != 0 || stat("a", &st) < 0)
        return answer(-1);
    return (long)st.st_mode;
}

static long open_to_read(void)
{
    return answer(open("a", O_RDONLY)) < 0 ? -errno : 0;
}

/* The mode lets the group read, the list lets `reader`: version; tag, rights and who of each entry. */
static long read_with_list(uint32_t reader)
{
    const struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t who;
        } entries[5];
    } list = {2,
              {{0x01, 6, UINT32_MAX},
               {0x02, 4, reader},
               {0x04, 0, UINT32_MAX},
               {0x10, 4, UINT32_MAX},
               {0x20, 0, UINT32_MAX}}};

    close(make("a", O_RDONLY));
    if (chown("a", 0, GROUP) < 0 || chmod("a", 0640) < 0 ||
        setxattr("a", "system.posix_acl_access", &list, sizeof(list), 0) < 0)
        return answer(-1);
    return as_user(open_to_read);
}

static long list_permits(void)
{
    return read_with_list(USER);
}

static long list_refuses(void)
{
    return read_with_list(USER + 1);
}

static long truncate_a(void)
{
    return answer(truncate("a", 3));
}

static long truncate_drops_set_id(void)
{
    struct stat st;

    close(make("a", O_RDONLY));
    (void)chmod("a", 06777);
    if (as_user(truncate_a) != 0 || stat("a", &st) < 0)
        return answer(-1);
    return (long)st.st_mode;
}

static long root_keeps_set_id(void)
{
    struct stat st;
    const int fd = make("a", O_RDWR);

    if (fchmod(fd, 06777) < 0 || pwrite(fd, "x", 1, 0) != 1 || fstat(fd, &st) < 0)
        return answer(-1);
    return (long)st.st_mode;
}

#define SAME(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

const struct same same_users[] = {
    SAME(open_others_file),
    SAME(write_others_file),
    SAME(chmod_others_file),
    SAME(chown_others_file),
    SAME(unlink_in_sticky),
    SAME(unlink_in_others_directory),
    SAME(unreadable_at_once),
    SAME(owners),
    SAME(other_group),
    SAME(write_drops_set_id),
    SAME(open_truncated_drops_set_id),
    SAME(list_permits),
    SAME(list_refuses),
    SAME(truncate_drops_set_id),
    SAME(root_keeps_set_id),
    {NULL, NULL},
};
