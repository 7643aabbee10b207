/* SPDX-License-Identifier: MIT */
/*
 * Drivers: the same operations on a file under each way of locking.
 *
 *   twostate  the engine, with the kernel's page cache or its own
 *   rwlock    system calls under a pthread_rwlock, as one would write it today: direct IO shares
 *             it, everything else takes it alone
 *   none      the system calls: the kernel alone
 *
 * Results are bytes or 0, or -errno. Any thread may call anything but open and close.
 */
#ifndef TOOL_DRIVER_H
#define TOOL_DRIVER_H

#include <twostate/io.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    bool write, direct;
    void *buffer;
    size_t length;
    int64_t offset;
    /* Called when one of several has been submitted; it may be over by then. NULL: not. */
    void (*submitted)(struct request *request);
    /* Called once when the transfer is over, in any thread; result and times are set. */
    void (*done)(struct request *request);
    void *arg;
    int64_t result;
    int64_t begun_ns, ended_ns, waited_ns;
};

/* The head of each driver's own struct. */
struct driver_file {
    const struct driver *driver;
};

struct driver_options {
    enum twostate_backend backend;
    unsigned depth;
    uint64_t cache_bytes; /* of the user cache; 0: the engine's default */
    bool serve;           /* let others look at the engine */
    const char *name;     /* where; NULL: the usual place */
};

struct driver {
    const char *name;  /* of the lock */
    const char *cache; /* what buffered IO goes through: "kernel" or "user" */
    const char *title; /* both, for a sentence */
    /* The file exists. */
    int (*open)(const char *path, const struct driver_options *options, struct driver_file **file);
    /* Makes all the transfers at once and waits for them. All are direct, or none is. */
    void (*transfer)(struct driver_file *file, struct request *requests, unsigned count);
    /* *offset: where, or -1 if the driver cannot tell. */
    int64_t (*append)(struct driver_file *file, const void *buffer, size_t length, bool direct,
                      int64_t *offset);
    int (*truncate)(struct driver_file *file, int64_t length);
    int (*punch)(struct driver_file *file, int64_t offset, int64_t length);
    int64_t (*remap)(struct driver_file *file, int64_t from, int64_t to, int64_t length);
    int (*fsync)(struct driver_file *file);
    int64_t (*size)(struct driver_file *file);
    /* How long this thread's last call but transfer waited for its turn, in nanoseconds. */
    int64_t (*waited_ns)(void);
    /* What a user cache did. NULL: there is none. */
    void (*query)(struct driver_file *file, struct twostate_engine_info *info);
    int (*close)(struct driver_file *file);
};

extern const struct driver driver_user, driver_kernel, driver_rwlock, driver_none;

/* All of them, as they are compared. The first two are the engine. */
enum { DRIVER_USER, DRIVER_KERNEL, DRIVER_RWLOCK, DRIVER_NONE, DRIVER_COUNT };

extern const struct driver *const drivers[DRIVER_COUNT];

/* What open adds to an error of serving the engine, which is not one of the file. */
#define DRIVER_SERVE_ERROR (-10000)

/* Why a file could not be opened: what strerror says, or more where that is no help. One thread's. */
const char *driver_open_error(int error);

/* Ends a request: the result, the time, the callback. */
void request_end(struct request *request, int64_t result, int64_t waited_ns);

#endif
