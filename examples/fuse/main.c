/* SPDX-License-Identifier: MIT */
/* twostate-fuse: a directory tree, mounted again, with all IO on its files done by the engine. */
#include "file.h"
#include "ops.h"
#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <twostate/version.h>

#define LEAST_READ    4096       /* the kernel takes no less */
#define LEAST_CACHE   (4U << 20) /* what an engine takes */
#define MOST_REQUESTS 64 /* of asynchronous callers, and threads of ours, if not said otherwise */

struct mount_options mount_options = {.timeout = 1.0};

struct options {
    char *directory;
    char *cache;
    char *cache_bytes;
    char *mapped;
    double timeout;
    unsigned max_read;
};

static const struct fuse_opt option_table[] = {
    {"cache=%s", offsetof(struct options, cache), 0},
    {"cache_bytes=%s", offsetof(struct options, cache_bytes), 0},
    {"mapped=%s", offsetof(struct options, mapped), 0},
    {"timeout=%lf", offsetof(struct options, timeout), 0},
    {"max_read=%u", offsetof(struct options, max_read), 0},
    FUSE_OPT_END,
};

static void init(void *unused, struct fuse_conn_info *connection)
{
    (void)unused;
    connection->max_background = MOST_REQUESTS;
    connection->max_read = mount_options.max_read;                /* what the mount was told too */
    connection->want |= connection->capable & FUSE_CAP_POSIX_ACL; /* else modes alone decide */
}

static const struct fuse_lowlevel_ops operations = {
    .init = init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .release = op_release,
    .fsync = op_fsync,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .copy_file_range = op_copy_file_range,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
};

static void help(const char *program)
{
    printf("usage: %s DIRECTORY MOUNTPOINT [OPTION]...\n"
           "Mounts DIRECTORY a second time, with the IO on its files done by twostate's engine.\n\n"
           "    -o cache=kernel        buffered IO goes through the kernel's cache (default)\n"
           "    -o cache=user          or through one of the engine's own\n"
           "    -o cache_bytes=SIZE    memory of the engine's cache, 4M or more (default: 256M)\n"
           "    -o timeout=SECONDS     the kernel keeps names and attributes so long (default: 1)\n"
           "    -o max_read=BYTES      longer reads are done in parts, 4096 or more each\n"
           "    -o mapped=PATTERN      files of such names have FUSE's cache (default: '*-shm',\n"
           "                           before Linux 6.6; then none)\n",
           program);
    fuse_cmdline_help();
    fuse_lowlevel_help();
    printf("\nmax_threads is %d if it is not said.\n", MOST_REQUESTS);
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "twostate-fuse: %s: %s\n", what, strerror(error));
    return 1;
}

/* The first argument that is no option is ours, the second libfuse's. */
static int take_argument(void *data, const char *argument, int key, struct fuse_args *rest)
{
    struct options *options = data;

    (void)rest;
    if (key != FUSE_OPT_KEY_NONOPT || options->directory != NULL)
        return 1;
    options->directory = realpath(argument, NULL);
    if (options->directory == NULL)
        return -fail(argument, errno);
    return 0;
}

/* A number with K, M or G, or nothing, behind it; 0: it is none. */
static uint64_t parse_size(const char *text)
{
    static const char units[] = "KMG";
    char *end = NULL;
    uint64_t size = 0;
    unsigned shift = 0;
    const char *unit = NULL;

    if (*text < '0' || *text > '9')
        return 0;
    size = strtoull(text, &end, 10);
    if (*end == '\0')
        return size;
    unit = strchr(units, *end & ~0x20);
    if (unit == NULL || *unit == '\0' || end[1] != '\0')
        return 0;
    shift = 10 * (unsigned)(unit - units + 1);
    return size <= UINT64_MAX >> shift ? size << shift : 0;
}

struct setup {
    struct twostate_engine_options engine;
    enum twostate_cache cache;
};

/* A trial of the engine too: once the program is in the background nobody hears what it says. */
static int check(const struct options *options, struct setup *setup)
{
    struct twostate_engine *engine = NULL;
    int result = 0;

    if (options->cache && strcmp(options->cache, "user") == 0)
        setup->cache = TWOSTATE_CACHE_USER;
    else if (options->cache && strcmp(options->cache, "kernel") != 0)
        return fail("cache is to be user or kernel", EINVAL);
    if (options->cache_bytes) {
        setup->engine.cache_bytes = parse_size(options->cache_bytes);
        if (setup->engine.cache_bytes < LEAST_CACHE)
            return fail("cache_bytes is to be a size of 4M or more", EINVAL);
    }
    result = twostate_engine_create(&setup->engine, &engine);
    if (result)
        return fail("the engine", -result);
    twostate_engine_destroy(engine);
    if (options->timeout < 0)
        return fail("timeout is to be 0 or more", EINVAL);
    if (options->max_read != 0 && options->max_read < LEAST_READ)
        return fail("max_read is to be 4096 or more", EINVAL);
    mount_options.max_read = options->max_read;
    mount_options.timeout = options->timeout;
    mount_options.mapped = options->mapped;
    result = node_root(options->directory);
    return result ? fail(options->directory, -result) : 0;
}

/* Below the directory the daemon would find itself, and hold the mount that holds it. */
static int check_mountpoint(const char *directory, const char *mountpoint)
{
    char *path = realpath(mountpoint, NULL);
    const size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    int result = 0;

    if (path == NULL)
        return fail(mountpoint, errno);
    if (strncmp(path, directory, length) == 0 && path[length] == '/' && path[length + 1] != '\0') {
        fprintf(stderr, "twostate-fuse: %s is inside %s\n", mountpoint, directory);
        result = 1;
    }
    free(path);
    return result;
}

/* Each inode that the kernel remembers has a descriptor, and each open file has three more. */
static void raise_descriptors(void)
{
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};

    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int loop(struct fuse_session *session, const struct fuse_cmdline_opts *cmdline,
                const struct setup *setup)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int result = files_start(&setup->engine, setup->cache);

    if (config == NULL || result)
        return fail("the engine", result ? -result : ENOMEM);
    fuse_loop_cfg_set_clone_fd(config, (unsigned)cmdline->clone_fd);
    if (cmdline->max_idle_threads != UINT_MAX) /* libfuse's default, which it does not accept */
        fuse_loop_cfg_set_idle_threads(config, cmdline->max_idle_threads);
    fuse_loop_cfg_set_max_threads(config, cmdline->max_threads);
    result =
        cmdline->singlethread ? fuse_session_loop(session) : fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    fuse_session_unmount(session);
    files_stop();
    return result < 0 ? fail("the kernel's requests", -result) : 0;
}

static int serve(struct fuse_args *args, const struct fuse_cmdline_opts *cmdline,
                 const struct setup *setup)
{
    struct fuse_session *session = fuse_session_new(args, &operations, sizeof(operations), NULL);
    int result = 1;

    if (session == NULL)
        return 1;
    if (fuse_set_signal_handlers(session) == 0) {
        if (fuse_session_mount(session, cmdline->mountpoint) == 0) {
            if (wire_offer_mapping(session) == 0 && fuse_daemonize(cmdline->foreground) == 0)
                result = loop(session, cmdline, setup);
            fuse_session_unmount(session);
        }
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    return result;
}

/* What libfuse is to be told besides what was said. */
static int add_options(struct fuse_args *args, const struct options *options)
{
    char text[32];

    if (fuse_opt_add_arg(args, "-odefault_permissions,subtype=twostate") != 0 ||
        fuse_opt_add_arg(args, "-ofsname=twostate") != 0)
        return 1;
    if (options->max_read == 0)
        return 0;
    (void)snprintf(text, sizeof(text), "-omax_read=%u", options->max_read);
    return fuse_opt_add_arg(args, text) != 0;
}

static int run(struct fuse_args *args, struct options *options)
{
    struct fuse_cmdline_opts cmdline = {0};
    struct setup setup = {0};
    char threads[32];

    (void)snprintf(threads, sizeof(threads), "-omax_threads=%d", MOST_REQUESTS);
    if (fuse_opt_parse(args, options, option_table, take_argument) != 0 ||
        fuse_opt_insert_arg(args, 1, threads) != 0 || fuse_parse_cmdline(args, &cmdline) != 0)
        return 1;
    if (cmdline.show_help) {
        help("twostate-fuse");
        return 0;
    }
    if (cmdline.show_version) {
        printf("twostate-fuse %s\n", twostate_version());
        fuse_lowlevel_version();
        return 0;
    }
    if (options->directory == NULL || cmdline.mountpoint == NULL) {
        fprintf(stderr, "usage: twostate-fuse DIRECTORY MOUNTPOINT [OPTION]... (or --help)\n");
        free(cmdline.mountpoint);
        return 1;
    }
    raise_descriptors();
    umask(0); /* the caller's is in the modes that the kernel sends */
    int result = check_mountpoint(options->directory, cmdline.mountpoint);

    if (result == 0)
        result = check(options, &setup);
    if (result == 0)
        result = add_options(args, options);
    if (result == 0)
        result = serve(args, &cmdline, &setup);
    free(cmdline.mountpoint);
    return result;
}

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    struct options options = {.timeout = 1.0};
    const int result = run(&args, &options);

    fuse_opt_free_args(&args);
    free(options.directory);
    free(options.cache);
    free(options.cache_bytes);
    free(options.mapped);
    return result;
}
