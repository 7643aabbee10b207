/* SPDX-License-Identifier: MIT */
/* The thread that tells others, over a Unix socket, what an engine is doing. */
#ifndef TS_IO_SERVE_H
#define TS_IO_SERVE_H

struct server;
struct twostate_engine;

/* 0 or -errno; name as in twostate_engine_serve. */
int server_create_(struct twostate_engine *engine, const char *name, struct server **server);
void server_destroy_(struct server *server);

#endif
