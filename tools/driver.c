/* SPDX-License-Identifier: MIT */
/* What the drivers share: the list of them, what errors mean, and how a request ends. */
#include "driver.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct driver *const drivers[DRIVER_COUNT] = {
    [DRIVER_USER] = &driver_user,
    [DRIVER_KERNEL] = &driver_kernel,
    [DRIVER_RWLOCK] = &driver_rwlock,
    [DRIVER_NONE] = &driver_none,
};

const char *driver_open_error(int error)
{
    static char text[128];

    if (error == -EBUSY)
        return "somebody has it open through an engine already, and a user cache shares a file "
               "with "
               "nobody (EBUSY)";
    if (error == -EOPNOTSUPP)
        return "the user cache needs a file system with O_DIRECT, in units of at most 4096 bytes "
               "(EOPNOTSUPP); --cache kernel works everywhere";
    if (error < DRIVER_SERVE_ERROR) {
        (void)snprintf(text, sizeof(text), "the engine can't be served as --serve says: %s",
                       strerror(DRIVER_SERVE_ERROR - error));
        return text;
    }
    return strerror(-error);
}

void request_end(struct request *request, int64_t result, int64_t waited_ns)
{
    request->result = result;
    request->waited_ns = waited_ns;
    if (request->ended_ns == 0)
        request->ended_ns = now_ns();
    if (request->done)
        request->done(request);
}
