/* SPDX-License-Identifier: MIT */
/* Job files. Read here: what Debian has to read such files does not tell the line of a value. */
#include "jobs.h"
#include "option_table.h"
#include "report.h"
#include "run.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 64

/* The command line, which is valid, and goes before what the file says. */
struct command_line {
    const char *job_file;
    const char *file; /* NULL: the jobs say which */
    unsigned count, sections;
    struct {
        int id;
        const char *value;
    } set[ARGUMENTS_MAX];
    const char *section[ARGUMENTS_MAX]; /* that are to run; none: all */
};

struct reader {
    struct jobs *jobs;
    struct options global;
    struct options *current; /* of the section that is being read; NULL: there is none yet */
};

static void parse_arguments(struct command_line *line, int argc, char **argv)
{
    struct options checked;
    struct option known[OPTIONS_MAX];
    int option;

    options_default(&checked);
    option_table_getopt(OF_JOB, known);
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        options_common(OF_JOB, option);
        if (line->count == ARGUMENTS_MAX || line->sections == ARGUMENTS_MAX)
            die("more than %d options", ARGUMENTS_MAX);
        if (option == OPTION_SECTION) {
            line->section[line->sections++] = optarg;
            continue;
        }
        options_set(&checked, option, optarg);
        line->set[line->count].id = option;
        line->set[line->count++].value = optarg;
    }
    if (argc - optind < 1 || argc - optind > 2) {
        fputs("usage: twostate-io job JOBFILE [FILE] [OPTION...]\nTry twostate-io help jobs.\n",
              stderr);
        exit(2);
    }
    line->job_file = argv[optind];
    line->file = argv[optind + 1];
}

/* All of it, with a zero behind. */
static void read_text(char **text, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    size_t length = 0, room = 4096;

    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    *text = zalloc(1, room);
    for (;;) {
        length += fread(*text + length, 1, room - length - 1, file);
        if (length + 1 < room)
            break;
        room *= 2;
        *text = realloc(*text, room);
        if (*text == NULL)
            die("out of memory");
    }
    if (ferror(file))
        die("%s: %s", path, strerror(errno));
    (*text)[length] = '\0';
    if (strlen(*text) != length)
        die("%s: is not a text", path);
    if (file != stdin)
        fclose(file);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *trim(char *text)
{
    size_t length;

    while (is_blank(*text))
        text++;
    for (length = strlen(text); length > 0 && is_blank(text[length - 1]); length--)
        text[length - 1] = '\0';
    return text;
}

/* From # or ; on, at the beginning or behind a blank. */
static void cut_comment(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        if ((*c == '#' || *c == ';') && (c == line || is_blank(c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static bool is_one_of(const char *value, const char *const words[4])
{
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(value, words[i]) == 0)
            return true;
    return false;
}

static void read_setting(struct options *options, char *line)
{
    static const char *const yes[] = {"yes", "on", "true", "1"};
    static const char *const no[] = {"no", "off", "false", "0"};
    char *equals = strchr(line, '='), *value = NULL;

    if (equals != NULL) {
        *equals = '\0';
        value = trim(equals + 1);
    }
    const char *key = trim(line);
    const struct option_entry *entry = option_table_key(key);

    if (strcmp(key, "file") == 0 && value != NULL && *value != '\0')
        options->name = options->path = value;
    else if (entry == NULL)
        die("'%s' is not an option of a job; see twostate-io help run", key);
    else if (entry->has_argument == required_argument && value == NULL)
        die("%s: a value is missing", key);
    else if (entry->has_argument != required_argument && (value == NULL || is_one_of(value, yes)))
        options_set(options, entry->id, NULL);
    else if (entry->has_argument != required_argument && is_one_of(value, no))
        options_unset(options, entry->id);
    else if (entry->has_argument == no_argument)
        die("%s: '%s' is not yes or no", key, value);
    else
        options_set(options, entry->id, value);
}

static void begin_section(struct reader *reader, char *line)
{
    struct jobs *jobs = reader->jobs;
    size_t length = strlen(line);
    char *name;

    if (line[length - 1] != ']')
        die("'%s': the ] is missing", line);
    line[length - 1] = '\0';
    name = trim(line + 1);
    if (*name == '\0')
        die("a section without a name");
    reader->current = &reader->global;
    if (strcmp(name, "global") == 0)
        return;
    for (unsigned i = 0; i < jobs->count; i++)
        if (strcmp(jobs->sections[i].name, name) == 0)
            die("there is a job '%s' already", name);
    jobs->sections = realloc(jobs->sections, (jobs->count + 1) * sizeof(*jobs->sections));
    if (jobs->sections == NULL)
        die("out of memory");
    jobs->sections[jobs->count] = (struct job_section){name, reader->global};
    reader->current = &jobs->sections[jobs->count++].options;
}

static void read_lines(struct reader *reader, const char *path)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf"; /* which some editors begin with */
    char *rest = reader->jobs->text, *line;
    unsigned number = 0;

    if (strncmp(rest, byte_order_mark, strlen(byte_order_mark)) == 0)
        rest += strlen(byte_order_mark);
    while ((line = strsep(&rest, "\n")) != NULL) {
        die_at(path, ++number);
        cut_comment(line);
        line = trim(line);
        if (*line == '[')
            begin_section(reader, line);
        else if (*line != '\0' && reader->current == NULL)
            die("'%s' is in no section: begin with [global] or [NAME]", line);
        else if (*line != '\0')
            read_setting(reader->current, line);
    }
    die_at(NULL, 0);
}

static void keep_sections(struct jobs *jobs, const struct command_line *line)
{
    unsigned kept = 0;

    for (unsigned s = 0; s < line->sections; s++) {
        bool found = false;

        for (unsigned i = 0; i < jobs->count; i++)
            found = found || strcmp(jobs->sections[i].name, line->section[s]) == 0;
        if (!found)
            die("%s: there is no job '%s' in it", line->job_file, line->section[s]);
    }
    for (unsigned i = 0; i < jobs->count && line->sections > 0; i++)
        for (unsigned s = 0; s < line->sections; s++)
            if (strcmp(jobs->sections[i].name, line->section[s]) == 0) {
                jobs->sections[kept++] = jobs->sections[i];
                break;
            }
    if (line->sections > 0)
        jobs->count = kept;
}

static void finish(struct jobs *jobs, const struct command_line *line)
{
    if (jobs->count == 0)
        die("%s: there is no job in it", line->job_file);
    keep_sections(jobs, line);
    for (unsigned i = 0; i < jobs->count; i++) {
        struct options *options = &jobs->sections[i].options;

        die_in(line->job_file, jobs->sections[i].name);
        for (unsigned n = 0; n < line->count; n++)
            options_set(options, line->set[n].id, line->set[n].value);
        if (line->file != NULL)
            options->name = options->path = line->file;
        if (options->name == NULL)
            die("neither file= nor a FILE on the command line");
        options_finish(options);
        jobs->json = options->json;
    }
    die_at(NULL, 0);
}

void jobs_parse(struct jobs *jobs, int argc, char **argv)
{
    struct command_line line = {0};
    struct reader reader = {.jobs = jobs};

    *jobs = (struct jobs){0};
    parse_arguments(&line, argc, argv);
    options_default(&reader.global);
    read_text(&jobs->text, line.job_file);
    read_lines(&reader, line.job_file);
    finish(jobs, &line);
}

/* 1 before 2 before 0. */
static int worse(int a, int b)
{
    return a == 1 || b == 1 ? 1 : a > b ? a : b;
}

static void add_runs(json_t *all, json_t *root, const char *job)
{
    json_t *runs = json_object_get(root, "runs"), *run;
    size_t i;

    json_array_foreach(runs, i, run)
    {
        json_object_set_new(run, "job", json_string(job));
        json_array_append(all, run);
    }
    json_decref(root);
}

int jobs_run(struct jobs *jobs, json_t **root)
{
    json_t *all = json_array();
    int status = 0;

    for (unsigned i = 0; i < jobs->count; i++) {
        json_t *one = NULL;

        if (load_interrupted) {
            printf("interrupted: job %s and those after it did not run.\n", jobs->sections[i].name);
            status = worse(status, 2);
            break;
        }
        printf("%sjob %s\n", i > 0 ? "\n" : "", jobs->sections[i].name);
        fflush(stdout);
        status = worse(status, run_file(&jobs->sections[i].options, &one));
        if (one != NULL)
            add_runs(all, one, jobs->sections[i].name);
    }
    *root = report_root(all);
    return status;
}

void jobs_free(struct jobs *jobs)
{
    free(jobs->sections);
    free(jobs->text);
}
