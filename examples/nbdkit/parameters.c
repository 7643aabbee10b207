/* SPDX-License-Identifier: MIT */
/* The plugin's parameters: each is one row of a table, with the function that reads its value. */
#include "parameters.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <stdlib.h>
#include <string.h>

struct parameters parameters = {.direct_min = DIRECT_AUTO};

const char parameters_help[] =
    "[file=]<PATH>        (required) The file or block device to serve.\n"
    "cache=kernel|user    What buffered requests go through: the kernel's page cache (the\n"
    "                     default), or the engine's own, which takes writes to the file\n"
    "                     in parallel and wants the file for itself.\n"
    "cache-size=<SIZE>    Memory of the user cache, at least 4M (default: 256M).\n"
    "folio=<SIZE>         Its unit, a power of two from 4K to 64K (default: 16K).\n"
    "direct-min=<SIZE>|off|auto  Aligned requests of at least this size go past the cache with\n"
    "                     O_DIRECT (default: auto: off if the file fits into the user cache,\n"
    "                     or into half of the memory; else 4M).";

static int take_path(const char *value)
{
    free(parameters.path);
    parameters.path = nbdkit_realpath(value);
    return parameters.path != NULL ? 0 : -1;
}

static int take_cache(const char *value)
{
    if (strcmp(value, "kernel") != 0 && strcmp(value, "user") != 0) {
        nbdkit_error("cache=%s: expected kernel or user", value);
        return -1;
    }
    parameters.file.cache = value[0] == 'u' ? TWOSTATE_CACHE_USER : TWOSTATE_CACHE_KERNEL;
    return 0;
}

static int take_cache_size(const char *value)
{
    const int64_t size = nbdkit_parse_size(value);

    if (size < 0)
        return -1;
    if (size < 4 << 20) {
        nbdkit_error("cache-size=%s: at least 4M are needed", value);
        return -1;
    }
    parameters.engine.cache_bytes = (uint64_t)size;
    return 0;
}

static int take_folio(const char *value)
{
    const int64_t size = nbdkit_parse_size(value);

    if (size < 0)
        return -1;
    if (size < 4096 || size > 65536 || (size & (size - 1)) != 0) {
        nbdkit_error("folio=%s: expected a power of two from 4K to 64K", value);
        return -1;
    }
    parameters.file.folio = (unsigned)size;
    return 0;
}

static int take_direct_min(const char *value)
{
    int64_t size = DIRECT_AUTO;

    if (strcmp(value, "auto") != 0) {
        size = strcmp(value, "off") == 0 ? DIRECT_NEVER : nbdkit_parse_size(value);
        if (size < 0)
            return -1;
    }
    parameters.direct_min = size;
    return 0;
}

static const struct {
    const char *key;
    int (*take)(const char *value);
} table[] = {
    {"file", take_path},   {"cache", take_cache},           {"cache-size", take_cache_size},
    {"folio", take_folio}, {"direct-min", take_direct_min},
};

int parameters_take(const char *key, const char *value)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(key, table[i].key) == 0)
            return table[i].take(value);
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

int parameters_check(void)
{
    const bool user = parameters.file.cache == TWOSTATE_CACHE_USER;

    if (parameters.path == NULL) {
        nbdkit_error("the file to serve is missing: file=PATH");
        return -1;
    }
    if (!user && (parameters.engine.cache_bytes != 0 || parameters.file.folio != 0)) {
        nbdkit_error("cache-size and folio need cache=user");
        return -1;
    }
    return 0;
}
