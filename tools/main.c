/* SPDX-License-Identifier: MIT */
/* twostate-io: the command. It takes care of the file, and has a load run on it or a comparison. */
#include "block.h"
#include "compare.h"
#include "compare_load.h"
#include "options.h"
#include "report.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_signal(int number)
{
    (void)number;
    atomic_store(&load_interrupted, 1);
}

/* Whether what the file holds is nothing, or from an earlier run, so that none will miss it. */
static bool may_overwrite(int fd, const char *path)
{
    struct stat stat;
    uint64_t first = 0;

    if (fstat(fd, &stat) || !S_ISREG(stat.st_mode))
        die("%s: not a regular file", path);
    return stat.st_size == 0 ||
           (pread(fd, &first, sizeof(first), 0) == sizeof(first) && first == BLOCK_MAGIC);
}

/* Whether path, which need not be there, is this file by whatever name. */
static bool same_file(int fd, const char *path)
{
    struct stat own, other;

    return fstat(fd, &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

/* Makes sure that there is a file that may be used, and opens it. *made: it was made here. */
static int take_file(const struct options *options, bool *made)
{
    int fd = open(options->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    *made = fd >= 0;
    if (!*made && errno == EEXIST)
        fd = open(options->name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        die("%s: %s", options->name, strerror(errno));
    if (!may_overwrite(fd, options->name) && !options->overwrite)
        die("%s: holds data that is not from here; --overwrite to lose it", options->name);
    if (options->json != NULL && strcmp(options->json, "-") != 0 && same_file(fd, options->json)) {
        if (*made)
            unlink(options->name);
        die("--json %s: that is the file of the load", options->json);
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
    struct driver_file *file;
    int error = driver->open(options->path, &options->load.driver, &file);

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
        fprintf(stderr, "twostate-io: %s: %s\n", options->name, driver_open_error(error));
    return error;
}

static void let_go(const struct options *options, int fd, bool made)
{
    if (!same_file(fd, options->name))
        fprintf(stderr,
                "twostate-io: %s was removed or replaced meanwhile; the results are of the file "
                "that was there at the start\n",
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
        fputs("twostate-io: interrupted before the load began\n", stderr);
    } else if (error) {
        fprintf(stderr, "twostate-io: %s: %s\n", options->name, driver_open_error(error));
    } else {
        report_print(result);
        *root = report_root(json_pack("[o]", report_json(result, load)));
        status = report_status(result);
    }
    free(result);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct sigaction action = {.sa_handler = on_signal};
    json_t *root = NULL;
    bool made;

    options_parse(&options, argc, argv);
    if (options.json != NULL && strcmp(options.json, "-") == 0 && report_json_only() != 0)
        die("the standard output: %s", strerror(errno));
    options.load.progress = options.load.progress && isatty(STDERR_FILENO);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int fd = take_file(&options, &made);

    open_by_descriptor(&options, fd);
    int status = check_cache(&options) ? 2
                 : !options.compare    ? run_one(&options, &root)
                 : options.own_load    ? compare_load(&options, &root)
                                       : compare_run(&options, &root);

    if (root != NULL && options.json == NULL)
        json_decref(root);
    if (root != NULL && options.json != NULL) {
        int error = report_write(root, options.json);

        if (error) {
            fprintf(stderr, "twostate-io: %s: %s\n", options.json, strerror(-error));
            status = 2;
        }
    }
    let_go(&options, fd, made);
    return status_of_output(status);
}
