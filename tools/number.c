/* SPDX-License-Identifier: MIT */
/* Numbers and sizes: each way of getting them wrong has its own message. */
#include "number.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char units[] = "kmgt"; /* 1024 to the power of the place */

/* strtod takes more than people mean by a number: blanks, hexadecimal, nan. */
static bool begins_number(const char *text)
{
    return isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]));
}

double parse_number(const char *text, const char *what, double least, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (!begins_number(text) || *end != '\0' || !(value >= least && value <= most))
        die("%s: '%s' is not a number from %g to %g", what, text, least, most);
    return value;
}

/* Decimal, whatever it begins with; seeds may be hexadecimal. */
static int base_of(const char *text)
{
    return *text == '0' && tolower((unsigned char)text[1]) == 'x' ? 16 : 10;
}

uint64_t parse_integer(const char *text, const char *what, uint64_t least, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, base_of(text));

    if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || value < least ||
        value > most)
        die("%s: '%s' is not a whole number from %llu to %llu", what, text,
            (unsigned long long)least, (unsigned long long)most);
    return value;
}

/* The power of 1024 that the unit stands for, or -1: "", k, K, ki, KiB, ... and B. */
static int power_of(const char *unit)
{
    const char *found = *unit ? strchr(units, tolower((unsigned char)*unit)) : NULL;

    if (*unit == '\0' || strcmp(unit, "B") == 0)
        return 0;
    if (found == NULL)
        return -1;
    return unit[1] == '\0' || strcasecmp(unit + 1, "i") == 0 || strcasecmp(unit + 1, "ib") == 0
               ? (int)(found - units) + 1
               : -1;
}

/* As it would be typed. */
static const char *size_text(int64_t size, char buffer[32])
{
    static const char *const typed[] = {"", "k", "M", "G", "T"};
    unsigned power = 0;

    while (power < 4 && size >= 1024 && size % 1024 == 0) {
        size /= 1024;
        power++;
    }
    snprintf(buffer, 32, "%lld%s", (long long)size, typed[power]);
    return buffer;
}

__attribute__((noreturn)) static void bad_unit(const char *text, const char *what, const char *unit)
{
    if (strlen(unit) == 2 && strchr(units, tolower((unsigned char)*unit)) != NULL &&
        tolower((unsigned char)unit[1]) == 'b')
        die("%s: '%s' may mean powers of 1000 or of 1024; %.1s and %.1siB are the latter", what,
            text, unit, unit);
    die("%s: '%s' is not a size: '%s' is no unit; k, M, G and T (or KiB, MiB, ...) are", what, text,
        unit);
}

int64_t parse_size(const char *text, const char *what, int64_t least, int64_t most)
{
    char *unit, bound[32];
    double value = strtod(text, &unit);

    if (*text == '-' && begins_number(text + 1))
        die("%s: '%s' is negative", what, text);
    if (!begins_number(text) || (*text == '0' && tolower((unsigned char)text[1]) == 'x'))
        die("%s: '%s' is not a size like 4096, 4k, 1.5M or 1GiB", what, text);
    int power = power_of(unit);

    if (power < 0)
        bad_unit(text, what, unit);
    value = ldexp(value, 10 * power);
    if (value < (double)least)
        die("%s: '%s' is too small: at least %s", what, text, size_text(least, bound));
    if (value > (double)most)
        die("%s: '%s' is too large: at most %s", what, text, size_text(most, bound));
    if (floor(value) != value)
        die("%s: '%s' is not a whole number of bytes", what, text);
    return (int64_t)value;
}
