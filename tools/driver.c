/* SPDX-License-Identifier: MIT */
/* What the drivers share: how a request ends. */
#include "driver.h"
#include "util.h"

void request_end(struct request *request, int64_t result, int64_t waited_ns)
{
    request->result = result;
    request->waited_ns = waited_ns;
    if (request->ended_ns == 0)
        request->ended_ns = now_ns();
    if (request->done)
        request->done(request);
}
