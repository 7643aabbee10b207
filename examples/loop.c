/* SPDX-License-Identifier: MIT */
/*
 * A daemon of one thread: it serves a file over a Unix socket to many clients, a thousand requests at
 * a time, and waits nowhere but in epoll_wait.
 *
 * A packet to or from it is a struct message, then data: of a write, or in the reply to a read. Replies
 * come in any order. A snapshot is a copy of the file as it was while no request was under way.
 *
 * What could make the loop wait, and what it does instead:
 *   - file IO: asynchronous calls of a polled engine, called back in twostate_engine_poll, which is
 *     called when the engine's descriptor is readable;
 *   - the lock that keeps requests and snapshots apart, an IO pair of the daemon's own: asynchronous
 *     begins, whose grants are taken when the grants' descriptor is readable;
 *   - an engine that has enough (-EBUSY): the request waits in a list; it keeps its place among the
 *     SLOTS, and when those are all taken no socket is read, which makes the clients wait;
 *   - sockets: a reply that finds no room waits in its client's list.
 */
#define _GNU_SOURCE 1 /* accept4. NOLINT(bugprone-reserved-identifier) */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <twostate/async.h>
#include <twostate/io.h>

#define IN_FLIGHT 1000 /* what the engine takes at once */
#define SLOTS     1024 /* requests in hand: in the engine, or waiting for it, the pair or a socket */
#define SHARE     64 /* of them that one client may have: one that reads no replies keeps its own */
#define CLIENTS   500 /* connections at once; more wait to be accepted */
#define PIECE     4096

enum operation { READ, WRITE, SNAPSHOT };

struct message {
    uint64_t tag;    /* the client's: comes back as it is */
    int64_t offset;  /* in a reply: bytes moved, or -errno */
    uint32_t length; /* at most PIECE */
    uint16_t operation;
    uint16_t flags; /* TWOSTATE_IO_DIRECT, TWOSTATE_IO_DSYNC */
};

/* What epoll waits for. */
struct source {
    void (*ready)(struct source *source, uint32_t events);
    int fd;
};

struct list {
    struct request *first, **end;
};

struct client {
    struct source source;
    uint32_t events;     /* that epoll waits for */
    struct list replies; /* for which the socket had no room */
    unsigned requests;   /* in hand */
    bool ended;          /* sends no more */
    bool hung_up;        /* takes no more either; epoll does not look at it any longer */
    bool deaf;           /* is not read for want of slots */
    struct client *next;
};

struct request {
    struct twostate_waiter waiter; /* for the pair; first, so that one is the other */
    struct twostate_hold hold;
    struct client *client;
    struct request *next;
    int64_t offset, copied; /* of a snapshot */
    struct message message;
    unsigned char *data; /* PIECE bytes */
};

static struct twostate_engine *engine;
static struct twostate_file *file, *copy;
static struct twostate_iopair pair; /* requests share it, a snapshot has it alone */
static struct twostate_grants grants;
static struct request slots[SLOTS];
static struct request *idle;
static struct list refused; /* by the engine; tried again when a request has ended */
static struct client places[CLIENTS], *vacant;
static struct client *deaf;    /* clients to read when there are slots again */
static struct client *leaving; /* their places are vacant at the end of the turn */
static struct source listener, signals, engine_due, granted;
static int epoll;
static bool stopping;
static unsigned in_hand, unsent, most; /* unsent replies are in hand too */
static unsigned long served, refusals;

static void push(struct list *list, struct request *request)
{
    request->next = NULL;
    if (list->first == NULL)
        list->end = &list->first;
    *list->end = request;
    list->end = &request->next;
}

static void watch(struct source *source, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(epoll, how, source->fd, &event) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

/* Clients and their replies. */

static void listen_to(struct client *client)
{
    const bool quiet = client->ended || client->deaf || stopping || client->requests >= SHARE;
    const uint32_t events = (quiet ? 0 : EPOLLIN) | (client->replies.first ? EPOLLOUT : 0);

    if (client->source.fd >= 0 && !client->hung_up && events != client->events)
        watch(&client->source, EPOLL_CTL_MOD, events);
    client->events = events;
}

static void leave_if_done(struct client *client)
{
    if (!client->ended || client->requests > 0 || client->deaf || client->source.fd < 0)
        return;
    close(client->source.fd);
    client->source.fd = -1;
    client->next = leaving;
    leaving = client;
}

/* Nothing in this turn refers to them any more. */
static void end_turn(void)
{
    struct client *client = NULL;

    while (idle && (client = deaf) != NULL) {
        deaf = client->next;
        client->deaf = false;
        listen_to(client);
        leave_if_done(client);
    }
    if (leaving && !vacant && !stopping)
        watch(&listener, EPOLL_CTL_MOD, EPOLLIN);
    while ((client = leaving) != NULL) {
        leaving = client->next;
        client->next = vacant;
        vacant = client;
    }
}

static void put_back(struct request *request)
{
    request->next = idle;
    idle = request;
    in_hand--;
    request->client->requests--;
    listen_to(request->client);
    leave_if_done(request->client);
}

/* False: the socket has no room. What a client doesn't want any more is dropped. */
static bool send_reply(struct request *request)
{
    const struct message *message = &request->message;
    const bool has_data = message->operation == READ && message->offset > 0;
    struct iovec iov[] = {{&request->message, sizeof(*message)},
                          {request->data, has_data ? (size_t)message->offset : 0}};
    const struct msghdr packet = {.msg_iov = iov, .msg_iovlen = 2};

    return sendmsg(request->client->source.fd, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void reply(struct request *request, int64_t result)
{
    struct client *client = request->client;

    served++;
    request->message.offset = result;
    if (client->replies.first == NULL && send_reply(request)) {
        put_back(request);
        return;
    }
    unsent++;
    push(&client->replies, request);
    listen_to(client);
}

static void go_on_replying(struct client *client)
{
    struct request *request = NULL;

    while ((request = client->replies.first) != NULL && send_reply(request)) {
        client->replies.first = request->next;
        unsent--;
        put_back(request);
    }
}

/* Requests: each of these is a step that is made when the one before it is done. */

static void finish(void *arg, ssize_t result)
{
    struct request *request = arg;

    twostate_iopair_end(&request->hold);
    reply(request, result);
}

/* Reads a piece, then writes it, until there are no more; then makes them durable. */
static void copied(void *arg, ssize_t result);
static void read_to_copy(void *arg, ssize_t result)
{
    struct request *request = arg;
    struct iovec iov = {request->data, result > 0 ? (size_t)result : 0};
    int error = (int)result;

    if (result > 0)
        error = twostate_pwritev_async(copy, &iov, 1, request->copied, 0, copied, request);
    else if (result == 0 && (error = twostate_fsync_async(copy, finish, request)) == 0)
        return;
    if (error)
        finish(request, error);
}

static int copy_piece(struct request *request)
{
    const struct iovec iov = {request->data, PIECE};

    return twostate_preadv_async(file, &iov, 1, request->copied, 0, read_to_copy, request);
}

static void copied(void *arg, ssize_t result)
{
    struct request *request = arg;
    int error = result < 0 ? (int)result : 0;

    request->copied += result > 0 ? result : 0;
    if (error || (error = copy_piece(request)) != 0)
        finish(request, error);
}

static void submit(struct request *request)
{
    const struct message *message = &request->message;
    const struct iovec iov = {request->data, message->length};
    int error = 0;

    if (message->operation == READ)
        error =
            twostate_preadv_async(file, &iov, 1, message->offset, message->flags, finish, request);
    else if (message->operation == WRITE)
        error =
            twostate_pwritev_async(file, &iov, 1, message->offset, message->flags, finish, request);
    else
        error = copy_piece(request);
    if (error == -EBUSY) {
        refusals++;
        push(&refused, request);
    } else if (error) {
        finish(request, error);
    }
}

static void begin(struct request *request, size_t length)
{
    static const enum twostate_iopath paths[] = {
        [READ] = TWOSTATE_BUFFERED_READ,
        [WRITE] = TWOSTATE_BUFFERED_WRITE,
        [SNAPSHOT] = TWOSTATE_EXCLUSIVE_IO,
    };
    const struct message *message = &request->message;
    int error = -EINVAL;

    request->copied = 0;
    if (length >= sizeof(*message) && message->operation <= SNAPSHOT && message->length <= PIECE &&
        (message->flags & ~(TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC)) == 0 &&
        length == sizeof(*message) + (message->operation == WRITE ? message->length : 0)) {
        request->waiter.done = twostate_grants_done;
        request->waiter.context = &grants;
        error = twostate_iopair_begin_async(&pair, paths[message->operation], &request->hold,
                                            &request->waiter);
    }
    if (error == 0)
        submit(request);
    else if (error != -EINPROGRESS) /* else the grants will have it */
        reply(request, error);
}

/* What epoll has. */

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = (struct client *)source;
    ssize_t n = 0;

    if (client->source.fd < 0)
        return;                           /* it left in this turn */
    if (events & (EPOLLHUP | EPOLLERR)) { /* which epoll would tell of again and again */
        client->ended = client->hung_up = true;
        epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
    }
    if (events & ~(uint32_t)EPOLLIN)
        go_on_replying(client);
    while ((events & EPOLLIN) && client->requests < SHARE && !client->ended && !stopping && idle) {
        struct request *request = idle;
        struct iovec iov[] = {{&request->message, sizeof(request->message)},
                              {request->data, PIECE}};
        struct msghdr packet = {.msg_iov = iov, .msg_iovlen = 2};

        request->message = (struct message){0};
        n = recvmsg(source->fd, &packet, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            client->ended = true;
            break;
        }
        idle = request->next;
        in_hand++;
        client->requests++;
        request->client = client;
        begin(request, (size_t)n);
    }
    if (!client->ended && !client->deaf && !idle) {
        client->deaf = true;
        client->next = deaf;
        deaf = client;
    }
    listen_to(client);
    leave_if_done(client);
}

static void accept_client(struct source *source, uint32_t events)
{
    struct client *client = vacant;
    const int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    vacant = client->next;
    *client = (struct client){.source = {client_ready, fd}, .events = EPOLLIN};
    watch(&client->source, EPOLL_CTL_ADD, EPOLLIN);
    if (!vacant)
        watch(&listener, EPOLL_CTL_MOD, 0);
}

static void engine_ready(struct source *source, uint32_t events)
{
    const unsigned long before = refusals;

    (void)source;
    (void)events;
    twostate_engine_poll(engine, SLOTS);
    while (refused.first && refusals == before) { /* until it is refused again */
        struct request *request = refused.first;

        refused.first = request->next;
        submit(request);
    }
}

static void take_grants(struct source *source, uint32_t events)
{
    struct twostate_waiter *waiter = NULL;

    (void)source;
    (void)events;
    while ((waiter = twostate_grants_next(&grants)) != NULL) {
        struct request *request = (struct request *)waiter;
        const int result = twostate_waiter_result(waiter);

        if (result == 0)
            submit(request);
        else
            reply(request, result); /* there is nothing to end */
    }
}

/* What is in hand is done first. */
static void stop(struct source *source, uint32_t events)
{
    (void)events;
    stopping = true;
    epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
    epoll_ctl(epoll, EPOLL_CTL_DEL, listener.fd, NULL);
}

static void loop(void)
{
    struct epoll_event events[CLIENTS + 4];
    struct twostate_engine_info info = {0};

    while (!stopping || in_hand > unsent) {
        const int n = epoll_wait(epoll, events, CLIENTS + 4, -1);

        for (int i = 0; i < n; i++) {
            struct source *source = events[i].data.ptr;

            source->ready(source, events[i].events);
        }
        if (twostate_engine_query(engine, &info) == 0 && info.requests > most)
            most = info.requests;
        end_turn();
    }
}

/* Everything from here on is before the loop or after it, and may wait. */

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, path, strlen(path));
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 128) == 0 ? fd
                                                                                               : -1;
}

static int open_all(const char *path, const char *snapshot)
{
    const struct twostate_engine_options options = {.polled = true, .requests = IN_FLIGHT};
    unsigned char *data = aligned_alloc(PIECE, (size_t)SLOTS * PIECE);
    int error = data ? twostate_engine_create(&options, &engine) : -ENOMEM;

    for (size_t i = 0; data && i < SLOTS; i++) {
        slots[i].data = data + i * PIECE;
        slots[i].next = idle;
        idle = &slots[i];
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        places[i].next = vacant;
        vacant = &places[i];
    }
    if (!error)
        error = twostate_grants_init(&grants);
    if (!error)
        error = twostate_file_open(engine, path, O_RDWR | O_CREAT, 0644, &file);
    if (!error)
        error = twostate_file_open(engine, snapshot, O_RDWR | O_CREAT | O_TRUNC, 0644, &copy);
    return error;
}

static int close_all(void)
{
    int error = twostate_file_close(file); /* 0: all of it is on disk */
    const int other = twostate_file_close(copy);

    error = error ? error : other;
    twostate_engine_destroy(engine);
    twostate_grants_destroy(&grants);
    free(slots[0].data);
    return error;
}

int main(int argc, char **argv)
{
    sigset_t stops;
    int error = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: %s SOCKET FILE SNAPSHOT\n", argv[0]);
        return 2;
    }
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stops, NULL); /* before the engine's threads, which inherit it */
    error = open_all(argv[2], argv[3]);
    if (error) {
        fprintf(stderr, "%s, %s: %s\n", argv[2], argv[3], strerror(-error));
        return 1;
    }
    listener = (struct source){accept_client, listen_at(argv[1])};
    signals = (struct source){stop, signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK)};
    engine_due = (struct source){engine_ready, twostate_engine_fd(engine)};
    granted = (struct source){take_grants, grants.fd};
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listener.fd < 0 || signals.fd < 0 || epoll < 0) {
        perror(argv[1]);
        return 1;
    }
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    watch(&signals, EPOLL_CTL_ADD, EPOLLIN);
    watch(&engine_due, EPOLL_CTL_ADD, EPOLLIN);
    watch(&granted, EPOLL_CTL_ADD, EPOLLIN);
    puts("serving");
    fflush(stdout);
    loop();
    printf("served %lu, most in the engine %u, refused for a time %lu\n", served, most, refusals);
    unlink(argv[1]);
    error = close_all();
    if (error)
        fprintf(stderr, "%s, %s: %s\n", argv[2], argv[3], strerror(-error));
    return error ? 1 : 0;
}
