/* SPDX-License-Identifier: MIT */
/* One load, or one comparison: takes care of the file. */
#include "run.h"
#include "block.h"
#include "compare.h"
#include "compare_load.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether path, which need not be there, is this file by whatever name. */
static bool same_file(int fd, const char *path)
{
    struct stat own, other;

    return fstat(fd, &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

/* Whether what the file holds is nothing, or from an earlier run, so that none will miss it. */
static bool may_overwrite(int fd)
{
    struct stat stat;
    uint64_t first = 0;

    return fstat(fd, &stat) == 0 &&
           (stat.st_size == 0 ||
            (pread(fd, &first, sizeof(first), 0) == sizeof(first) && first == BLOCK_MAGIC));
}

static bool is_regular(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

/* Says why not, if the file may not be used. */
static bool check_file(const struct options *options, int fd)
{
    const bool to_file = options->json != NULL && strcmp(options->json, "-") != 0;

    if (!is_regular(fd))
        complain("%s: not a regular file", options->name);
    else if (!may_overwrite(fd) && !options->overwrite)
        complain("%s: holds data that is not from here; --overwrite to lose it", options->name);
    else if (to_file && same_file(fd, options->json))
        complain("--json %s: that is the file of the load", options->json);
    else
        return true;
    return false;
}

/* Opens the file, if it may be used; else -1, with a message. *made: it was made here. */
static int take_file(const struct options *options, bool *made)
{
    int fd = open(options->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    *made = fd >= 0;
    if (!*made && errno == EEXIST)
        fd = open(options->name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        complain("%s: %s", options->name, strerror(errno));
    } else if (!check_file(options, fd)) {
        if (*made)
            unlink(options->name);
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Whatever becomes of its name: all that follows opens the file that was taken. */
static void open_by_descriptor(struct options *options, int fd)
{
    static char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (same_file(fd, path)) /* not without /proc */
        options->path = path;
}

static int try_open(const struct options *options, const struct driver *driver)
{
    struct driver_options unseen = options->load.driver;
    struct driver_file *file;

    unseen.serve = false;
    int error = driver->open(options->path, &unseen, &file);

    return error ? error : driver->close(file);
}

/*
 * Before anything is overwritten: whether the file can have the cache it is to have, and is not
 * another engine's. A comparison that was not told to have a user cache goes without.
 */
static int check_cache(struct options *options)
{
    const struct driver *driver = options->compare ? drivers[options->first] : options->driver;
    const bool engine = driver == &driver_user || driver == &driver_kernel;
    int error = try_open(options, engine ? driver : &driver_kernel);

    if (!engine && error != -EBUSY)
        return 0;
    if (error == -EOPNOTSUPP && options->compare && !options->user_cache) {
        printf("no user cache in this comparison: %s\n", driver_open_error(error));
        options->first = DRIVER_KERNEL;
        error = try_open(options, &driver_kernel);
    }
    if (error)
        complain("%s: %s", options->name, driver_open_error(error));
    return error;
}

static void let_go(const struct options *options, int fd, bool made)
{
    if (!same_file(fd, options->name))
        complain("%s was removed or replaced meanwhile; the results are of the file that was there "
                 "at the start",
                 options->name);
    else if (made && !options->keep)
        unlink(options->name);
    close(fd);
}

static int run_one(const struct options *options, json_t **root)
{
    const struct load_options *load = &options->load;
    struct load_result *result = zalloc(1, sizeof(*result));
    int status = 2;

    printf("twostate-io run %s, seed %llu\n", options->name, (unsigned long long)load->seed);
    fflush(stdout);
    int error = load_run(options->path, options->driver, load, result);

    if (error == -EINTR && load_interrupted) {
        complain("interrupted before the load began");
    } else if (error) {
        complain("%s: %s", options->name, driver_open_error(error));
    } else {
        report_print(result);
        *root = report_root(json_pack("[o]", report_json(result, load)));
        status = report_status(result);
    }
    free(result);
    return status;
}

int run_file(struct options *options, json_t **root)
{
    bool made;
    int fd = take_file(options, &made);

    if (fd < 0)
        return 2;
    options->load.progress = options->load.progress && isatty(STDERR_FILENO);
    open_by_descriptor(options, fd);
    int status = check_cache(options) ? 2
                 : !options->compare  ? run_one(options, root)
                 : options->own_load  ? compare_load(options, root)
                                      : compare_run(options, root);

    let_go(options, fd, made);
    return status;
}
