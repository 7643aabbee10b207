/* SPDX-License-Identifier: MIT */
/* Writing the statistics: a table for people, JSON for programs. */
#include <twostate/stats.h>

#include <errno.h>
#include <inttypes.h>

static const char *group_name(const struct twostate_stats *stats, unsigned group)
{
    static const char *const names[2][3] = {{"A", "B", "drain"}, {"shared", "exclusive", "drain"}};

    return names[stats->iolock][group];
}

/* An IOLOCK has no drains. */
static unsigned group_count(const struct twostate_stats *stats)
{
    return stats->iolock ? TWOSTATE_STATS_DRAIN : TWOSTATE_STATS_DRAIN + 1;
}

/* The table: a line of counts for each group, then a line for each kind of time that there is. */

static void text_counts(FILE *file, const char *name, const struct twostate_stats_group *group)
{
    const uint64_t counts[] = {group->acquires, group->waits, group->refused, group->impatient,
                               group->grants,   group->looks, group->sleeps,  group->mode_switches};

    fprintf(file, "  %-9s", name);
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        fprintf(file, " %10" PRIu64, counts[i]);
    fputc('\n', file);
}

static void text_times(FILE *file, const char *name, const char *what,
                       const struct twostate_stats_times *times)
{
    if (times->count == 0)
        return;
    fprintf(file, "  %-9s %-10s %10" PRIu64 " %10.1f %10.1f %10.1f %10.1f %10.1f\n", name, what,
            times->count, (double)times->total_ns / (double)times->count / 1000,
            (double)times->p50_ns / 1000, (double)times->p99_ns / 1000,
            (double)times->p999_ns / 1000, (double)times->max_ns / 1000);
}

static void text_class(FILE *file, const struct twostate_stats *stats)
{
    fprintf(file, "%s: longest queue %" PRIu64 "\n", stats->name, stats->longest_queue);
    fprintf(file, "  %-9s %10s %10s %10s %10s %10s %10s %10s %10s\n", "", "acquires", "waits",
            "refused", "impatient", "grants", "looks", "sleeps", "switches");
    for (unsigned i = 0; i < group_count(stats); i++)
        text_counts(file, group_name(stats, i), &stats->groups[i]);
    fprintf(file, "  %-9s %-10s %10s %10s %10s %10s %10s %10s\n", "", "us", "count", "mean", "p50",
            "p99", "p99.9", "max");
    for (unsigned i = 0; i < group_count(stats); i++) {
        text_times(file, group_name(stats, i), "wait", &stats->groups[i].wait);
        text_times(file, group_name(stats, i), "hold", &stats->groups[i].hold);
    }
}

/*
 * The JSON. Names are UTF-8; what a string may not have in it is escaped. Numbers are never above
 * 2^64, but may be above the 2^53 that some readers keep exactly.
 */

static void json_string(FILE *file, const char *string)
{
    fputc('"', file);
    for (const unsigned char *c = (const unsigned char *)string; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(file, "\\%c", *c);
        else if (*c < ' ')
            fprintf(file, "\\u%04x", *c);
        else
            fputc(*c, file);
    }
    fputc('"', file);
}

static void json_number(FILE *file, const char *name, uint64_t number)
{
    fprintf(file, "\"%s\": %" PRIu64 ", ", name, number);
}

/* Of the buckets, those that are not empty, as [from, count]. */
static void json_times(FILE *file, const char *name, const struct twostate_stats_times *times)
{
    const char *comma = "";

    fprintf(file, "\"%s\": {", name);
    json_number(file, "count", times->count);
    json_number(file, "total_ns", times->total_ns);
    json_number(file, "max_ns", times->max_ns);
    json_number(file, "p50_ns", times->p50_ns);
    json_number(file, "p99_ns", times->p99_ns);
    json_number(file, "p999_ns", times->p999_ns);
    fprintf(file, "\"buckets\": [");
    for (unsigned i = 0; i < TWOSTATE_STATS_BUCKETS; i++) {
        if (times->buckets[i] == 0)
            continue;
        fprintf(file, "%s[%" PRIu64 ", %" PRIu64 "]", comma, i == 0 ? 0 : UINT64_C(1) << i,
                times->buckets[i]);
        comma = ", ";
    }
    fprintf(file, "]}");
}

static void json_group(FILE *file, const char *name, const struct twostate_stats_group *group)
{
    fprintf(file, "      {\"name\": \"%s\", ", name);
    json_number(file, "acquires", group->acquires);
    json_number(file, "waits", group->waits);
    json_number(file, "refused", group->refused);
    json_number(file, "impatient", group->impatient);
    json_number(file, "grants", group->grants);
    json_number(file, "looks", group->looks);
    json_number(file, "sleeps", group->sleeps);
    json_number(file, "mode_switches", group->mode_switches);
    fprintf(file, "\n       ");
    json_times(file, "wait", &group->wait);
    fprintf(file, ",\n       ");
    json_times(file, "hold", &group->hold);
    fprintf(file, "}");
}

static void json_class(FILE *file, const struct twostate_stats *stats)
{
    fprintf(file, "    {\"name\": ");
    json_string(file, stats->name);
    fprintf(file, ", \"iolock\": %s, ", stats->iolock ? "true" : "false");
    json_number(file, "longest_queue", stats->longest_queue);
    fprintf(file, "\"groups\": [\n");
    for (unsigned i = 0; i < group_count(stats); i++) {
        json_group(file, group_name(stats, i), &stats->groups[i]);
        fprintf(file, i + 1 < group_count(stats) ? ",\n" : "]}");
    }
}

int twostate_stats_print(FILE *file, enum twostate_stats_format format)
{
    const bool json = format == TWOSTATE_STATS_JSON;
    struct twostate_stats stats;

    if (!json && format != TWOSTATE_STATS_TEXT)
        return -EINVAL;
    if (json)
        fprintf(file, "{\"classes\": [\n");
    for (unsigned i = 0; twostate_stats_snapshot(i, &stats); i++) {
        if (json && i > 0)
            fprintf(file, ",\n");
        if (json)
            json_class(file, &stats);
        else
            text_class(file, &stats);
    }
    if (json)
        fprintf(file, "]}\n");
    return ferror(file) ? -EIO : 0;
}
