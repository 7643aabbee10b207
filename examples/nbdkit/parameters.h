/* SPDX-License-Identifier: MIT */
/* What the plugin is told on nbdkit's command line. */
#ifndef TWOSTATE_NBDKIT_PARAMETERS_H
#define TWOSTATE_NBDKIT_PARAMETERS_H

#include <stdint.h>

#include <twostate/io.h>

#define DIRECT_AUTO  (-1) /* the plugin chooses, once it knows the file's size: */
#define DIRECT_LARGE (4 << 20)
#define DIRECT_NEVER INT64_MAX

#define CACHE_SIZE_DEFAULT (256 << 20) /* the engine's */

struct parameters {
    char *path; /* absolute: nbdkit changes its directory */
    struct twostate_engine_options engine;
    struct twostate_file_options file;
    int64_t direct_min; /* aligned requests of at least so many bytes go past the cache */
};

extern struct parameters parameters;
extern const char parameters_help[];

/* nbdkit's config and config_complete: 0, or -1 after nbdkit_error. */
int parameters_take(const char *key, const char *value);
int parameters_check(void);

#endif
