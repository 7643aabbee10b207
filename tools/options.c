/* SPDX-License-Identifier: MIT */
/* The command line. Every value is checked here, so that nothing behind needs to. */
#include "options.h"
#include "help.h"
#include "number.h"
#include "option_table.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define THREADS_MAX 64

/* Calls each for the items of a list that is separated by commas. */
static void parse_list(const char *text, void (*each)(struct load_options *, const char *),
                       struct load_options *load)
{
    char *copy = strdup(text), *rest = copy, *item;

    if (copy == NULL)
        die("out of memory");
    while ((item = strsep(&rest, ",")) != NULL)
        each(load, item);
    free(copy);
}

static void add_block_size(struct load_options *load, const char *item)
{
    struct layout_options *layout = &load->layout;

    if (layout->block_size_count == BLOCK_SIZES_MAX)
        die("--block-sizes: more than %d", BLOCK_SIZES_MAX);
    layout->block_sizes[layout->block_size_count++] =
        (uint32_t)parse_size(item, "--block-sizes", BLOCK_MIN, BLOCK_SIZE_MAX);
}

static void add_parts(struct options *options, const char *names)
{
    static const char *const known[] = {"lost", "torn", "slow"}; /* by bit */

    while (names != NULL) {
        const char *comma = strchr(names, ',');
        size_t length = comma ? (size_t)(comma - names) : strlen(names);
        unsigned part = 0;

        for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
            if (length == strlen(known[i]) && strncmp(names, known[i], length) == 0)
                part = 1U << i;
        if (part == 0)
            die("--compare: '%.*s' is not lost, torn or slow", (int)length, names);
        options->parts |= part;
        names = comma ? comma + 1 : NULL;
    }
}

/* THREADS[@RATE] */
static void set_kind(struct load_options *load, unsigned kind, const char *text)
{
    char count[16] = "";
    const char *at = strchr(text, '@');
    size_t length = at ? (size_t)(at - text) : strlen(text);

    if (snprintf(count, sizeof(count), "%.*s", (int)length, text) >= (int)sizeof(count))
        die("%s: '%.*s' is too long for a number of threads", kind_names[kind], (int)length, text);
    load->threads[kind] = (unsigned)parse_integer(count, kind_names[kind], 0, THREADS_MAX);
    load->rate[kind] = at ? parse_number(at + 1, kind_names[kind], 1e-3, 1e9) : 0;
}

static void add_threads(struct load_options *load, const char *item)
{
    const char *equals = strchr(item, '=');
    size_t length = equals ? (size_t)(equals - item) : 0;
    bool all = length == 3 && strncmp(item, "all", 3) == 0, found = false;

    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (all ||
            (length == strlen(kind_names[kind]) && strncmp(item, kind_names[kind], length) == 0)) {
            set_kind(load, kind, equals + 1);
            found = true;
        }
    }
#define X(enumerator, name, count, rate) #name ", "
    if (!found)
        die("--threads: '%s' is not KIND=THREADS[@RATE]; KIND is " KINDS(X) "or all", item);
#undef X
}

static void set_driver(struct options *options, const char *name)
{
    for (unsigned i = DRIVER_KERNEL; i < DRIVER_COUNT; i++) {
        if (strcmp(name, drivers[i]->name) == 0) {
            options->driver = drivers[i];
            return;
        }
    }
    die("--lock: '%s' is not twostate, rwlock or none", name);
}

static void set_cache(struct options *options, const char *name)
{
    options->user_cache = strcmp(name, "user") == 0;
    options->kernel_cache = strcmp(name, "kernel") == 0;
    if (!options->user_cache && !options->kernel_cache)
        die("--cache: '%s' is not user or kernel", name);
}

static void set_backend(struct load_options *load, const char *name)
{
    static const char *const names[] = {
        [TWOSTATE_BACKEND_AUTO] = "auto",
        [TWOSTATE_BACKEND_URING] = "uring",
        [TWOSTATE_BACKEND_THREADS] = "threads",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(name, names[i]) == 0) {
            load->driver.backend = (enum twostate_backend)i;
            return;
        }
    }
    die("--backend: '%s' is not auto, uring or threads", name);
}

static unsigned parse_unaligned(const char *text)
{
    if (strcmp(text, "on") == 0)
        return 20;
    if (strcmp(text, "off") == 0)
        return 0;
    return (unsigned)parse_integer(text, "--unaligned", 0, 100);
}

static void set_load_option(struct load_options *load, int option, const char *value)
{
    switch (option) {
    case OPTION_THREADS:
        parse_list(value, add_threads, load);
        break;
    case OPTION_BACKEND:
        set_backend(load, value);
        break;
    case OPTION_BLOCK_SIZES:
        load->layout.block_size_count = 0;
        parse_list(value, add_block_size, load);
        break;
    case OPTION_UNALIGNED:
        load->layout.unaligned_pct = parse_unaligned(value);
        break;
    case OPTION_SECONDS:
        load->seconds = parse_number(value, "--seconds", 0.01, 1e6);
        break;
    case OPTION_OPS:
        load->ops = parse_integer(value, "--ops", 1, UINT64_MAX);
        break;
    case OPTION_SIZE:
        load->layout.size = parse_size(value, "--size", 4096, INT64_C(1) << 40);
        break;
    case OPTION_ASYNC:
        load->depth = (unsigned)parse_integer(value, "--async", 1, DEPTH_MAX);
        break;
    case OPTION_SEED:
        load->seed = parse_integer(value, "--seed", 0, INT64_MAX);
        break;
    case OPTION_QUIET:
        load->progress = false;
        break;
    default:
        set_kind(load, (unsigned)(option - OPTION_KIND), value);
    }
}

void options_set(struct options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_LOCK:
        set_driver(options, value);
        break;
    case OPTION_CACHE:
        set_cache(options, value);
        break;
    case OPTION_CACHE_BYTES:
        options->load.driver.cache_bytes =
            (uint64_t)parse_size(value, "--cache-bytes", INT64_C(4) << 20, INT64_C(1) << 40);
        break;
    case OPTION_COMPARE:
        options->compare = true;
        add_parts(options, value);
        break;
    case OPTION_SERVE:
        options->load.driver.serve = true;
        options->load.driver.name = value;
        break;
    case OPTION_JSON:
        options->json = value;
        break;
    case OPTION_KEEP:
        options->keep = true;
        break;
    case OPTION_OVERWRITE:
        options->overwrite = true;
        break;
    default:
        options->own_load = options->own_load || option <= OPTION_LOAD_LAST;
        set_load_option(&options->load, option, value);
    }
}

void options_unset(struct options *options, int option)
{
    switch (option) {
    case OPTION_COMPARE:
        options->compare = false;
        options->parts = 0;
        break;
    case OPTION_SERVE:
        options->load.driver.serve = false;
        break;
    case OPTION_QUIET:
        options->load.progress = true;
        break;
    case OPTION_KEEP:
        options->keep = false;
        break;
    case OPTION_OVERWRITE:
        options->overwrite = false;
        break;
    default:
        break;
    }
}

void options_default(struct options *options)
{
    struct load_options *load = &options->load;

    memset(options, 0, sizeof(*options));
    options->driver = &driver_kernel;
#define X(enumerator, name, count, per_second)                                                     \
    load->threads[enumerator] = (count);                                                           \
    load->rate[enumerator] = (per_second);
    KINDS(X)
#undef X
    load->layout = (struct layout_options){
        .block_sizes = {4096, 65536},
        .block_size_count = 2,
        .size = INT64_C(64) << 20,
        .unaligned_pct = 20,
    };
    load->depth = 1;
    load->progress = true;
    if (getrandom(&load->seed, sizeof(load->seed), 0) != sizeof(load->seed))
        load->seed = (uint64_t)now_ns();
    load->seed &= UINT32_MAX; /* short enough to type */
}

static void finish_cache(struct options *options)
{
    const bool engine = options->driver == &driver_kernel;

    if (options->user_cache && !options->compare && !engine)
        die("--cache user: only the engine has one, not --lock %s", options->driver->name);
    if (options->load.driver.serve && !options->compare && !engine)
        die("--serve: only the engine can be looked at, not --lock %s", options->driver->name);
    if (options->load.driver.cache_bytes > 0 &&
        (options->compare ? options->kernel_cache : !options->user_cache))
        die("--cache-bytes: without --cache user there is no such memory");
    if (options->user_cache && engine)
        options->driver = &driver_user;
    options->first = options->kernel_cache ? DRIVER_KERNEL : DRIVER_USER;
}

void options_finish(struct options *options)
{
    struct load_options *load = &options->load;
    unsigned threads = 0;

    finish_cache(options);
    for (unsigned i = 0; i < KIND_COUNT; i++)
        threads += load->threads[i];
    if (threads == 0)
        die("no kind has a thread");
    if (options->parts && options->own_load)
        die("--compare=PARTS has loads of its own; without PARTS it compares the load given");
    if (load->seconds == 0 && load->ops == 0)
        load->seconds = options->compare ? 30 : 10;
    int64_t slots = layout_slots(&load->layout);

    if (slots > SLOTS_MAX)
        die("--size, --block-sizes: %lld blocks in the file; at most %lld", (long long)slots,
            (long long)SLOTS_MAX);
    load->layout.private_slots = load->threads[KIND_REMAP];
    if (load->depth > 128)
        load->driver.depth = load->depth;
}

void options_common(unsigned command, int option)
{
    const char *page = command == OF_RUN ? "run" : command == OF_JOB ? "jobs" : "top";

    switch (option) {
    case OPTION_HELP:
        exit(help_print(page));
    case OPTION_VERSION:
        puts("twostate-io " TWOSTATE_VERSION);
        exit(status_of_output(0));
    case '?':
    case ':':
        fprintf(stderr, "Try twostate-io help %s.\n", page);
        exit(2);
    default:
        break;
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    struct option known[OPTIONS_MAX];
    int option;

    option_table_getopt(OF_RUN, known);
    options_default(options);
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        options_common(OF_RUN, option);
        options_set(options, option, optarg);
    }
    if (argc - optind != 1) {
        fputs("usage: twostate-io run FILE [OPTION...]\nTry twostate-io help run.\n", stderr);
        exit(2);
    }
    options->name = options->path = argv[optind];
    options_finish(options);
}
