/* SPDX-License-Identifier: MIT */
/* What the drivers share: how a request ends, and the list of them. */
#include "driver.h"
#include "util.h"

const struct driver *const drivers[DRIVER_COUNT] = {
    [DRIVER_TWOSTATE] = &driver_twostate,
    [DRIVER_RWLOCK] = &driver_rwlock,
    [DRIVER_NONE] = &driver_none,
};

void request_end(struct request *request, int64_t result, int64_t waited_ns)
{
    request->result = result;
    request->waited_ns = waited_ns;
    if (request->ended_ns == 0)
        request->ended_ns = now_ns();
    if (request->done)
        request->done(request);
}
