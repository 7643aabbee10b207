/* SPDX-License-Identifier: MIT */
/*
 * The thread waits for visitors and for their lines, and answers each with the engine's state. It
 * never waits for a visitor: what he doesn't take stays until he does, and then he may ask again.
 */
#include "serve.h"
#include "engine.h"
#include "state.h"
#include "workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define VISITORS 16
#define NAMES    64   /* that are tried for engines of one process */
#define PAUSE_MS 1000 /* until the next one is accepted, when there was no descriptor */

struct visitor {
    int fd;       /* -1: nobody */
    char *answer; /* NULL: none is under way */
    size_t length;
    size_t sent;
};

struct server {
    struct twostate_engine *engine;
    pthread_t thread;
    int listener;
    int stop; /* eventfd */
    bool pause;
    struct sockaddr_un address;
    int directory; /* where a path began when it was bound; -1: the name is no path */
    dev_t dev;     /* of the file that bind made */
    ino_t inode;   /* 0: none */
    struct visitor visitors[VISITORS];
};

static void see_off(struct visitor *visitor)
{
    close(visitor->fd);
    free(visitor->answer);
    *visitor = (struct visitor){.fd = -1};
}

static bool may_look(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static struct visitor *place(struct server *server)
{
    for (unsigned i = 0; i < VISITORS; i++)
        if (server->visitors[i].fd < 0)
            return &server->visitors[i];
    return NULL;
}

static void let_in(struct server *server)
{
    struct visitor *visitor = place(server);
    const int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        server->pause = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    else if (may_look(fd))
        visitor->fd = fd;
    else
        close(fd);
}

static void answer(struct visitor *visitor)
{
    const ssize_t sent = send(visitor->fd, visitor->answer + visitor->sent,
                              visitor->length - visitor->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            see_off(visitor);
        return;
    }
    visitor->sent += (size_t)sent;
    if (visitor->sent == visitor->length) {
        free(visitor->answer);
        visitor->answer = NULL;
    }
}

static void listen_to(struct server *server, struct visitor *visitor)
{
    char text[256];
    const ssize_t length = recv(visitor->fd, text, sizeof(text), MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        see_off(visitor);
        return;
    }
    if (memchr(text, '\n', (size_t)length) == NULL)
        return;
    visitor->answer = state_line_(server->engine, &visitor->length);
    visitor->sent = 0;
    if (visitor->answer == NULL)
        see_off(visitor);
    else
        answer(visitor);
}

/* In order: to stop, the listener, the visitors. Those below zero are not looked at. */
static void prepare(const struct server *server, bool full, struct pollfd fds[2 + VISITORS])
{
    fds[0] = (struct pollfd){.fd = server->stop, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = full || server->pause ? -1 : server->listener, .events = POLLIN};
    for (unsigned i = 0; i < VISITORS; i++)
        fds[2 + i] = (struct pollfd){.fd = server->visitors[i].fd,
                                     .events = server->visitors[i].answer ? POLLOUT : POLLIN};
}

static void *serve(void *arg)
{
    struct server *server = arg;
    struct pollfd fds[2 + VISITORS];

    for (;;) {
        prepare(server, place(server) == NULL, fds);
        if (poll(fds, 2 + VISITORS, server->pause ? PAUSE_MS : -1) < 0) {
            if (errno != EINTR) /* no memory, or a limit of descriptors below these */
                (void)poll(NULL, 0, PAUSE_MS);
            continue;
        }
        server->pause = false;
        if (fds[0].revents)
            return NULL;
        for (unsigned i = 0; i < VISITORS; i++) {
            struct visitor *visitor = &server->visitors[i];

            if (fds[2 + i].revents && visitor->answer)
                answer(visitor);
            else if (fds[2 + i].revents)
                listen_to(server, visitor);
        }
        if (fds[1].revents)
            let_in(server);
    }
}

static bool is_abstract(const struct sockaddr_un *address)
{
    return address->sun_path[0] == '\0';
}

/* "@NAME" has a zero where a path begins, and none at its end. */
static int set_address(struct sockaddr_un *address, const char *name, socklen_t *length)
{
    const size_t size = strlen(name);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (size == 0 || strcmp(name, "@") == 0)
        return -EINVAL;
    if (size >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    memcpy(address->sun_path, name, size);
    if (name[0] == '@')
        address->sun_path[0] = '\0';
    *length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (is_abstract(address) ? 0 : 1));
    return 0;
}

/* What is at the path now, wherever the process has gone since. */
static bool find_file(const struct server *server, struct stat *found)
{
    return fstatat(server->directory, server->address.sun_path, found, AT_SYMLINK_NOFOLLOW) == 0;
}

static int bind_to(struct server *server, const char *name)
{
    struct stat made;
    socklen_t length = 0;
    int result = set_address(&server->address, name, &length);

    if (result)
        return result;
    if (!is_abstract(&server->address))
        server->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if ((!is_abstract(&server->address) && server->directory < 0) ||
        bind(server->listener, (struct sockaddr *)&server->address, length) < 0)
        return -errno;
    if (server->directory >= 0 && find_file(server, &made)) {
        server->dev = made.st_dev;
        server->inode = made.st_ino;
    }
    return 0;
}

static int bind_somewhere(struct server *server)
{
    int result = -EADDRINUSE;

    for (unsigned i = 1; i <= NAMES && result == -EADDRINUSE; i++) {
        char name[64];

        if (i == 1)
            (void)snprintf(name, sizeof(name), "@twostate/%d", (int)getpid());
        else
            (void)snprintf(name, sizeof(name), "@twostate/%d.%u", (int)getpid(), i);
        result = bind_to(server, name);
    }
    return result;
}

/* While the socket is open, no other file has its inode. */
static void remove_file(const struct server *server)
{
    struct stat found;

    if (server->inode != 0 && find_file(server, &found) && found.st_dev == server->dev &&
        found.st_ino == server->inode)
        unlinkat(server->directory, server->address.sun_path, 0);
}

static void close_listener(struct server *server)
{
    remove_file(server);
    if (server->listener >= 0)
        close(server->listener);
    if (server->directory >= 0)
        close(server->directory);
    if (server->stop >= 0)
        close(server->stop);
    free(server);
}

int server_create_(struct twostate_engine *engine, const char *name, struct server **created)
{
    struct server *server = calloc(1, sizeof(*server));
    int result = 0;

    if (server == NULL)
        return -ENOMEM;
    server->engine = engine;
    server->directory = -1;
    for (unsigned i = 0; i < VISITORS; i++)
        server->visitors[i].fd = -1;
    server->stop = eventfd(0, EFD_CLOEXEC);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->stop < 0 || server->listener < 0)
        result = -errno;
    if (result == 0)
        result = name ? bind_to(server, name) : bind_somewhere(server);
    if (result == 0 && listen(server->listener, VISITORS) < 0)
        result = -errno;
    if (result == 0)
        result = thread_start_(&server->thread, serve, server);
    if (result)
        close_listener(server);
    else
        *created = server;
    return result;
}

void server_destroy_(struct server *server)
{
    const uint64_t one = 1;

    while (write(server->stop, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(server->thread, NULL);
    for (unsigned i = 0; i < VISITORS; i++)
        if (server->visitors[i].fd >= 0)
            see_off(&server->visitors[i]);
    close_listener(server);
}

int twostate_engine_serve(struct twostate_engine *engine, const char *name)
{
    const int saved = errno;
    int result = 0;

    if (engine == NULL)
        return -EINVAL;
    pthread_mutex_lock(&engine->files_mutex);
    result = engine->server ? -EBUSY : server_create_(engine, name, &engine->server);
    pthread_mutex_unlock(&engine->files_mutex);
    errno = saved;
    return result;
}
