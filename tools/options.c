/* SPDX-License-Identifier: MIT */
/* The command line. Every value is checked here, so that nothing behind needs to. */
#include "options.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define THREADS_MAX 64

enum {
    OPTION_KIND = 256, /* and one for each kind */
    OPTION_THREADS = OPTION_KIND + KIND_COUNT,
    OPTION_BLOCK_SIZES,
    OPTION_UNALIGNED,
    OPTION_OPS,
    OPTION_SIZE,
    OPTION_ASYNC,
    OPTION_LOAD_LAST = OPTION_ASYNC, /* up to here they say what the load is */
    OPTION_LOCK,
    OPTION_BACKEND,
    OPTION_CACHE,
    OPTION_CACHE_BYTES,
    OPTION_SECONDS,
    OPTION_SEED,
    OPTION_COMPARE,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_KEEP,
    OPTION_OVERWRITE,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"buffered-read", required_argument, NULL, OPTION_KIND + KIND_BUFFERED_READ},
    {"buffered-write", required_argument, NULL, OPTION_KIND + KIND_BUFFERED_WRITE},
    {"direct-read", required_argument, NULL, OPTION_KIND + KIND_DIRECT_READ},
    {"direct-write", required_argument, NULL, OPTION_KIND + KIND_DIRECT_WRITE},
    {"append", required_argument, NULL, OPTION_KIND + KIND_APPEND},
    {"truncate", required_argument, NULL, OPTION_KIND + KIND_TRUNCATE},
    {"punch", required_argument, NULL, OPTION_KIND + KIND_PUNCH},
    {"remap", required_argument, NULL, OPTION_KIND + KIND_REMAP},
    {"fsync", required_argument, NULL, OPTION_KIND + KIND_FSYNC},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"lock", required_argument, NULL, OPTION_LOCK},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"cache", required_argument, NULL, OPTION_CACHE},
    {"cache-bytes", required_argument, NULL, OPTION_CACHE_BYTES},
    {"block-sizes", required_argument, NULL, OPTION_BLOCK_SIZES},
    {"unaligned", required_argument, NULL, OPTION_UNALIGNED},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"ops", required_argument, NULL, OPTION_OPS},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"async", required_argument, NULL, OPTION_ASYNC},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"compare", optional_argument, NULL, OPTION_COMPARE},
    {"json", required_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"overwrite", no_argument, NULL, OPTION_OVERWRITE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* %s: what set_defaults says of the kinds. */
static const char help[] =
    "usage: twostate-io run FILE [options]\n"
    "\n"
    "Drives a mixed load on FILE, checks every read, and reports what was torn, stale or lost.\n"
    "What FILE holds is overwritten; it is made if it is not there, and then removed at the end.\n"
    "\n"
    "The load\n"
    "  --threads LIST        KIND=THREADS[@RATE],...: how many threads of each kind, and how many\n"
    "                        operations a second they do together (else as many as possible).\n"
    "                        KIND is one of these, or all. \"all=0,direct_read=2\" is only that.\n"
    "                        (%s)\n"
    "  --buffered-read N[@RATE], --direct-write N[@RATE], ...   the same for one kind\n"
    "  --block-sizes LIST    of reads and writes, 64 to 1M, at most 8 (4k,64k)\n"
    "  --unaligned PERCENT   of reads and writes that have odd offsets and lengths; on, off (20)\n"
    "  --size SIZE           of the file, without what is appended (64M)\n"
    "  --async N             reads and writes in flight by each thread, 1 to 256 (1)\n"
    "  --seconds S           how long (10, or no limit with --ops)\n"
    "  --ops N               how many operations in all\n"
    "  --seed N              of the random choices (a new one each time)\n"
    "\n"
    "The lock and the cache\n"
    "  --lock NAME           twostate: the engine; rwlock: a pthread_rwlock around system calls;\n"
    "                        none: system calls (twostate)\n"
    "  --cache NAME          of the engine: kernel, the page cache; user, its own, where buffered\n"
    "                        writes to one file run in parallel (kernel)\n"
    "  --cache-bytes SIZE    memory of the user cache, 4M to 1T (256M)\n"
    "  --backend NAME        of the engine's direct requests: auto, uring or threads (auto)\n"
    "  --compare             the load given above under the engine with each cache, the rwlock "
    "and\n"
    "                        no lock in turn, side by side; if none is given, as\n"
    "                        --compare=lost,torn,slow. With --cache kernel no user cache is\n"
    "                        compared. --seconds is for all of it (30), --ops for each\n"
    "  --compare=PARTS       loads made to show what a lock is for: lost, on disk; torn, of "
    "reads;\n"
    "                        slow, buffered IO alone and beside direct. Of the options above\n"
    "                        only --cache, --cache-bytes, --backend, --seconds and --seed apply\n"
    "\n"
    "Other\n"
    "  --json FILE           the results as JSON; - is the standard output, which has nothing "
    "else\n"
    "                        then: the tables go to the standard error\n"
    "  --quiet               no progress line\n"
    "  --keep                leave the file behind\n"
    "  --overwrite           even if FILE holds data that is not from here\n"
    "\n"
    "Sizes take k, M or G (powers of 1024). Exit status: 0, nothing torn, stale or lost (what\n"
    "--lock none finds is expected and does not count); 1, something was, or IO failed; 2, the\n"
    "command could not be carried out, or a signal cut it short before it could tell.\n";

static double parse_number(const char *text, const char *what, double least, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= least && value <= most))
        die("%s: '%s' is not a number from %g to %g", what, text, least, most);
    return value;
}

static uint64_t parse_integer(const char *text, const char *what, uint64_t least, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);

    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || value < least ||
        value > most)
        die("%s: '%s' is not a whole number from %llu to %llu", what, text,
            (unsigned long long)least, (unsigned long long)most);
    return value;
}

static int64_t parse_size(const char *text, const char *what, int64_t least, int64_t most)
{
    static const char units[] = "kmgt";
    char *end;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;

    if (end == text || (*end != '\0' && (unit == NULL || end[1] != '\0')))
        die("%s: '%s' is not a size like 4096, 4k, 1M or 1G", what, text);
    if (unit != NULL)
        value = ldexp(value, 10 * (int)(unit - units + 1));
    if (!(value >= (double)least && value <= (double)most) || floor(value) != value)
        die("%s: %s is not from %lld to %lld bytes", what, text, (long long)least, (long long)most);
    return (int64_t)value;
}

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

    memcpy(count, text, length < sizeof(count) ? length : sizeof(count) - 1);
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
    if (!found)
        die("--threads: '%s' is not KIND=THREADS[@RATE]", item);
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

static void print_help(void);

static void set_option(struct options *options, int option, const char *value)
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
    case OPTION_JSON:
        options->json = value;
        break;
    case OPTION_KEEP:
        options->keep = true;
        break;
    case OPTION_OVERWRITE:
        options->overwrite = true;
        break;
    case OPTION_HELP:
        print_help();
        exit(status_of_output(0));
    case OPTION_VERSION:
        puts("twostate-io " TWOSTATE_VERSION);
        exit(status_of_output(0));
    case '?':
    case ':':
        fputs("Try twostate-io --help.\n", stderr);
        exit(2);
    default:
        options->own_load = options->own_load || option <= OPTION_LOAD_LAST;
        set_load_option(&options->load, option, value);
    }
}

static void set_defaults(struct options *options)
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

static void print_help(void)
{
    struct options defaults;
    char kinds[400] = "";

    set_defaults(&defaults);
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        const size_t length = strlen(kinds);
        const double rate = defaults.load.rate[i];
        char at[32] = "";

        if (rate > 0)
            snprintf(at, sizeof(at), "@%g", rate);
        snprintf(kinds + length, sizeof(kinds) - length, "%s%s=%u%s",
                 i == 0  ? ""
                 : i % 4 ? ","
                         : ",\n                         ",
                 kind_names[i], defaults.load.threads[i], at);
    }
    printf(help, kinds);
}

static void finish_cache(struct options *options)
{
    const bool engine = options->driver == &driver_kernel;

    if (options->user_cache && !options->compare && !engine)
        die("--cache user: only the engine has one, not --lock %s", options->driver->name);
    if (options->load.driver.cache_bytes > 0 &&
        (options->compare ? options->kernel_cache : !options->user_cache))
        die("--cache-bytes: without --cache user there is no such memory");
    if (options->user_cache && engine)
        options->driver = &driver_user;
    options->first = options->kernel_cache ? DRIVER_KERNEL : DRIVER_USER;
}

static void finish(struct options *options)
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

void options_parse(struct options *options, int argc, char **argv)
{
    int option;

    set_defaults(options);
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        set_option(options, option, optarg);
    if (argc - optind != 2 || strcmp(argv[optind], "run") != 0) {
        fputs("usage: twostate-io run FILE [options]\nTry twostate-io --help.\n", stderr);
        exit(2);
    }
    options->name = options->path = argv[optind + 1];
    finish(options);
}
