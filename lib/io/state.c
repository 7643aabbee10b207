/* SPDX-License-Identifier: MIT */
/* The state of an engine as JSON: snapshots of its locks, taken while everything goes on. */
#include "state.h"
#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <twostate/stats.h>

/* The length of the UTF-8 character at text; 0: there is none. */
static unsigned character(const unsigned char *text)
{
    const unsigned length = *text < 0x80   ? 1
                            : *text < 0xc2 ? 0
                            : *text < 0xe0 ? 2
                            : *text < 0xf0 ? 3
                            : *text < 0xf5 ? 4
                                           : 0;

    for (unsigned i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    /* overlong, surrogates, and beyond the last one */
    if ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f) ||
        (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

/* A path is bytes: those that are no UTF-8 become U+FFFD, so that the line is JSON. */
static void put_string(FILE *out, const char *string)
{
    const unsigned char *text = (const unsigned char *)string;

    fputc('"', out);
    while (*text != '\0') {
        const unsigned length = character(text);

        if (length == 0)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if (*text < ' ' || *text == 0x7f)
            fprintf(out, "\\u%04x", *text);
        else
            fwrite(text, 1, length, out);
        text += length ? length : 1;
    }
    fputc('"', out);
}

/* Where the file is now, whatever it was opened as. */
static void put_path(FILE *out, int fd)
{
    char link[32];
    char path[4096 + 16] = ""; /* " (deleted)" may follow */
    ssize_t length = 0;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    put_string(out, path);
}

static const char *mode_name(const struct twostate_lock_info *iotype)
{
    if (iotype->frozen)
        return "frozen";
    if (iotype->holders == 0)
        return "unlocked";
    return iotype->state == TWOSTATE_BUFFERED_STATE ? "BUFFERED" : "DIRECT";
}

static const char *iolock_name(const struct twostate_iolock_info *iolock)
{
    if (iolock->holders == 0)
        return "unlocked";
    return iolock->mode == TWOSTATE_SHARED ? "shared" : "exclusive";
}

static void put_waits(FILE *out, const char *name, const struct waits *waits)
{
    fprintf(out,
            "\"%s\": {\"count\": %" PRIu64 ", \"total_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64
            ", \"p50_ns\": %" PRIu64 ", \"p99_ns\": %" PRIu64 "}",
            name, __atomic_load_n(&waits->count, __ATOMIC_RELAXED),
            __atomic_load_n(&waits->total_ns, __ATOMIC_RELAXED),
            __atomic_load_n(&waits->max_ns, __ATOMIC_RELAXED), waits_percentile_(waits, 0.5),
            waits_percentile_(waits, 0.99));
}

/* The lease is one hold of the pair and of users: what counts is those who are in by it. */
static uint32_t without_lease(uint32_t holders, bool lease)
{
    return lease && holders > 0 ? holders - 1 : holders;
}

static void put_locks(FILE *out, struct twostate_file *file)
{
    const bool lease = __atomic_load_n(&file->lease.state, __ATOMIC_ACQUIRE) >= LEASE_ON;
    const uint32_t leased = lease ? lease_count_(&file->lease) : 0;
    const struct twostate_iopair_info pair = twostate_iopair_query(&file->pair);
    const struct twostate_iolock_info users = twostate_iolock_query(&file->users);

    fprintf(out,
            "\"mode\": \"%s\", \"requests\": %" PRIu32 ", \"lease\": %s, \"leased\": %" PRIu32
            ", \"remapping\": %s, ",
            mode_name(&pair.iotype), without_lease(users.holders, lease) + leased,
            lease ? "true" : "false", leased, pair.remapping ? "true" : "false");
    fprintf(out,
            "\"iotype\": {\"holders\": %" PRIu32 ", \"waiting\": {\"buffered\": %" PRIu32
            ", \"direct\": %" PRIu32 ", \"drain\": %" PRIu32 "}}, ",
            without_lease(pair.iotype.holders, lease) + leased, pair.iotype.waiting_a,
            pair.iotype.waiting_b, pair.iotype.draining);
    fprintf(out,
            "\"iolock\": {\"mode\": \"%s\", \"holders\": %" PRIu32
            ", \"waiting\": {\"shared\": %" PRIu32 ", \"exclusive\": %" PRIu32 "}}, ",
            iolock_name(&pair.iolock), without_lease(pair.iolock.holders, lease) + leased,
            pair.iolock.waiting_shared, pair.iolock.waiting_exclusive);
}

/* Of numbers, readers of JSON may have 63 bits and a sign. */
static void put_file(FILE *out, struct twostate_file *file)
{
    struct stat st = {0};

    (void)fstat(file->fd, &st);
    fputs("{\"path\": ", out);
    put_path(out, file->fd);
    fprintf(out,
            ", \"major\": %u, \"minor\": %u, \"inode\": %" PRId64
            ", \"cache\": \"%s\", \"size\": %" PRId64 ", ",
            major(st.st_dev), minor(st.st_dev), (int64_t)st.st_ino,
            file->cache->ops->knows_size ? "user" : "kernel", file_ask_size_(file));
    put_locks(out, file);
    fputs("\"waits\": {", out);
    put_waits(out, "buffered", &file->waits[WAIT_BUFFERED]);
    fputs(", ", out);
    put_waits(out, "direct", &file->waits[WAIT_DIRECT]);
    fputs(", ", out);
    put_waits(out, "exclusive", &file->waits[WAIT_EXCLUSIVE]);
    fputs("}}", out);
}

static void put_engine(FILE *out, struct twostate_engine *engine)
{
    struct twostate_engine_info info = {0};

    (void)twostate_engine_query(engine, &info);
    fprintf(out,
            "{\"pid\": %d, \"backend\": \"%s\", \"polled\": %s, \"files_open\": %" PRIu32
            ", \"requests\": %" PRIu32 ", ",
            (int)getpid(), engine->kind == TWOSTATE_BACKEND_URING ? "io_uring" : "threads",
            engine->due ? "true" : "false", info.files, info.requests);
    fprintf(out,
            "\"cache_limit\": %" PRIu64 ", \"cache_used\": %" PRIu64 ", \"cache_dirty\": %" PRIu64
            ", \"cache_misses\": %" PRIu64 ", \"cache_evicted\": %" PRIu64
            ", \"written_back\": %" PRIu64 ", ",
            info.cache_limit, info.cache_used, info.cache_dirty, info.cache_misses,
            info.cache_evicted, info.written_back);
}

static void put_files(FILE *out, struct twostate_engine *engine)
{
    const char *comma = "";
    struct twostate_file *file = NULL;

    fputs("\"files\": [", out);
    pthread_mutex_lock(&engine->files_mutex);
    cds_list_for_each_entry(file, &engine->open_files, node)
    {
        fputs(comma, out);
        put_file(out, file);
        comma = ", ";
    }
    pthread_mutex_unlock(&engine->files_mutex);
    fputs("], \"stats\": ", out);
}

char *state_line_(struct twostate_engine *engine, size_t *length)
{
    char *line = NULL;
    FILE *out = open_memstream(&line, length);
    bool failed = false;

    if (out == NULL)
        return NULL;
    put_engine(out, engine);
    put_files(out, engine);
    (void)twostate_stats_print(out, TWOSTATE_STATS_JSON);
    fputs("}", out);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(line);
        return NULL;
    }
    /* The statistics are several lines. What is in a string is escaped. */
    for (size_t i = 0; i < *length; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[*length] = '\n'; /* where the zero was */
    ++*length;
    return line;
}
