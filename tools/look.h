/* SPDX-License-Identifier: MIT */
/* Looking at engines that serve their state (twostate_engine_serve): finding them, and asking. */
#ifndef TOOL_LOOK_H
#define TOOL_LOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define LOOKS_MAX 64

struct look {
    int fd;
    pid_t pid;       /* as the kernel says */
    json_t *state;   /* the last answer */
    json_t *earlier; /* the one before; NULL: there is none */
    int64_t at_ns, earlier_ns;
};

/* What is looked for: all files of the engines, or one. */
struct looks {
    struct look looks[LOOKS_MAX];
    unsigned count;
    bool one_file;
    dev_t dev;
    ino_t inode;
};

/*
 * Connects to the engines that target, a FILE, a PID or a SOCKET, stands for, and asks each. Ends
 * the program, with a message, if there is none.
 */
void looks_find(struct looks *looks, const char *target);

/* Asks them all again. False, and those are let go, if none of them answers any more. */
bool looks_again(struct looks *looks);

void looks_end(struct looks *looks);

/* Whether a file of a state is what is looked for. */
bool looks_wants(const struct looks *looks, const json_t *file);

#endif
