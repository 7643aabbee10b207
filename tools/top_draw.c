/* SPDX-License-Identifier: MIT */
/* What `twostate-io top` shows of an engine: a line or two, then a table for each file. */
#include "top.h"
#include "util.h"

#include <inttypes.h>
#include <string.h>

static json_t *member(const json_t *object, const char *path)
{
    json_t *value = NULL;
    char copy[96], *rest = copy;
    const char *key;

    snprintf(copy, sizeof(copy), "%s", path);
    while ((key = strsep(&rest, ".")) != NULL) {
        value = json_object_get(object, key);
        object = value;
    }
    return value;
}

static int64_t number(const json_t *object, const char *path)
{
    return json_integer_value(member(object, path));
}

static const char *text(const json_t *object, const char *path)
{
    const char *value = json_string_value(member(object, path));

    return value ? value : "";
}

/* What a terminal might obey is left out: a path may have it, and so may whoever answered. */
static void put_plain(FILE *out, const char *string)
{
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++) {
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) { /* C1 controls, in UTF-8 */
            fputc('?', out);
            c++;
        } else {
            fputc(*c < ' ' || *c == 0x7f ? '?' : *c, out);
        }
    }
}

static double seconds_since(const struct look *look)
{
    return look->earlier ? (double)(look->at_ns - look->earlier_ns) / (double)NS_PER_S : 0;
}

/* Of the growth of a number since the last look; a dash: there was none. */
static void put_rate(FILE *out, const struct look *look, const json_t *now, const json_t *before,
                     const char *path, double unit, int width)
{
    const double seconds = seconds_since(look);

    if (before == NULL || seconds <= 0)
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.1f", width,
                (double)(number(now, path) - number(before, path)) / unit / seconds);
}

static void put_process(FILE *out, pid_t pid)
{
    char path[48], name[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(name, sizeof(name), file) != NULL)
            name[strcspn(name, "\n")] = '\0';
        fclose(file);
    }
    fprintf(out, "%s %d", *name ? "process" : "pid", (int)pid);
    if (*name) {
        fputs(" (", out);
        put_plain(out, name);
        fputs(")", out);
    }
}

static void draw_engine(const struct look *look, FILE *out)
{
    const json_t *now = look->state;
    const double mib = 1 << 20;

    put_process(out, look->pid);
    fputs(", backend ", out);
    put_plain(out, text(now, "backend"));
    fprintf(out, "%s, files open %" PRId64 ", asynchronous requests %" PRId64 "\n",
            json_is_true(member(now, "polled")) ? ", polled" : "", number(now, "files_open"),
            number(now, "requests"));
    if (number(now, "cache_limit") == 0)
        return;
    fprintf(out, "user cache, MiB: %.1f of %.1f used, %.1f dirty; a second:",
            (double)number(now, "cache_used") / mib, (double)number(now, "cache_limit") / mib,
            (double)number(now, "cache_dirty") / mib);
    put_rate(out, look, now, look->earlier, "cache_misses", 1, 0);
    fputs(" misses,", out);
    put_rate(out, look, now, look->earlier, "cache_evicted", 1, 0);
    fputs(" evicted,", out);
    put_rate(out, look, now, look->earlier, "written_back", mib, 0);
    fputs(" MiB written back\n", out);
}

static void draw_waits(const struct look *look, const json_t *file, const json_t *before,
                       const char *kind, FILE *out)
{
    const json_t *waits = member(member(file, "waits"), kind);
    const json_t *old = before ? member(member(before, "waits"), kind) : NULL;
    const double count = (double)number(waits, "count");

    fprintf(out, "  %-10s %10.0f", kind, count);
    put_rate(out, look, waits, old, "count", 1, 9);
    fprintf(out, " %10.1f %10.1f %10.1f %10.1f\n",
            count > 0 ? (double)number(waits, "total_ns") / count / 1000 : 0,
            (double)number(waits, "p50_ns") / 1000, (double)number(waits, "p99_ns") / 1000,
            (double)number(waits, "max_ns") / 1000);
}

static void draw_file(const struct look *look, const json_t *file, const json_t *before, FILE *out)
{
    fputc('\n', out);
    put_plain(out, text(file, "path"));
    fprintf(out, "\n  cache ");
    put_plain(out, text(file, "cache"));
    fprintf(out, ", %.1f MiB, requests now %" PRId64 "%s\n",
            (double)number(file, "size") / (1 << 20), number(file, "requests"),
            json_is_true(member(file, "remapping")) ? ", remapping" : "");
    fputs("  mode ", out);
    put_plain(out, text(file, "mode"));
    fprintf(out,
            "%s: holders %" PRId64 ", waiting: BUFFERED %" PRId64 ", DIRECT %" PRId64
            ", drain %" PRId64 "\n",
            json_is_true(member(file, "lease")) ? " (lease)" : "", number(file, "iotype.holders"),
            number(file, "iotype.waiting.buffered"), number(file, "iotype.waiting.direct"),
            number(file, "iotype.waiting.drain"));
    fputs("  IOLOCK ", out);
    put_plain(out, text(file, "iolock.mode"));
    fprintf(out, ": holders %" PRId64 ", waiting: shared %" PRId64 ", exclusive %" PRId64 "\n",
            number(file, "iolock.holders"), number(file, "iolock.waiting.shared"),
            number(file, "iolock.waiting.exclusive"));
    fprintf(out, "  %-10s %10s %9s %10s %10s %10s %10s\n", "waits", "count", "a second", "mean us",
            "p50 us", "p99 us", "max us");
    draw_waits(look, file, before, "buffered", out);
    draw_waits(look, file, before, "direct", out);
    draw_waits(look, file, before, "exclusive", out);
}

static bool same_file(const json_t *a, const json_t *b)
{
    return number(a, "inode") == number(b, "inode") && number(a, "major") == number(b, "major") &&
           number(a, "minor") == number(b, "minor");
}

/* The file in the look before. One inode may be open twice: then the first of them, by its order. */
static const json_t *earlier_of(const struct look *look, const json_t *file, size_t place)
{
    json_t *files = member(look->earlier, "files");
    const json_t *there = json_array_get(files, place);
    json_t *other;
    size_t i;

    if (there != NULL && same_file(there, file))
        return there;
    json_array_foreach(files, i, other) if (same_file(other, file)) return other;
    return NULL;
}

void top_draw(const struct looks *looks, FILE *out)
{
    for (unsigned n = 0; n < looks->count; n++) {
        const struct look *look = &looks->looks[n];
        json_t *files = member(look->state, "files"), *file;
        size_t i;

        if (n > 0)
            fputc('\n', out);
        draw_engine(look, out);
        json_array_foreach(files, i, file) if (looks_wants(looks, file))
            draw_file(look, file, earlier_of(look, file, i), out);
    }
}
