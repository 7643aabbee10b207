/* SPDX-License-Identifier: MIT */
/* Time and memory that do not fail, or the program ends. */
#include "util.h"
#include "kinds.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const kind_names[KIND_COUNT] = {
#define X(enumerator, name, threads, rate) #name,
    KINDS(X)
#undef X
};

atomic_int load_interrupted;

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

void *zalloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (memory == NULL)
        die("out of memory");
    return memory;
}

void *aligned_zalloc(size_t size)
{
    size_t rounded = (size + 4095) / 4096 * 4096;
    void *memory = aligned_alloc(4096, rounded ? rounded : 4096);

    if (memory == NULL)
        die("out of memory");
    memset(memory, 0, rounded ? rounded : 4096);
    return memory;
}

static char where[512]; /* what die puts before its message */

void die_at(const char *file, unsigned line)
{
    if (file == NULL)
        *where = '\0';
    else
        snprintf(where, sizeof(where), "%s:%u: ", file, line);
}

void die_in(const char *file, const char *section)
{
    snprintf(where, sizeof(where), "%s: [%s]: ", file, section);
}

static void print_message(const char *format, va_list arguments)
{
    fprintf(stderr, "twostate-io: %s", where);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    exit(2);
}

int status_of_output(int status)
{
    errno = EIO; /* should it have failed earlier */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "twostate-io: standard output: %s\n", strerror(errno));
    return 2;
}
