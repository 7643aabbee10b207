/* SPDX-License-Identifier: MIT */
/* A visitor of an engine: over the socket, in JSON, as any program would. */
#include "visit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Connects: a descriptor, or -errno. */
int visit(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(name);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 100};

    CHECK(fd >= 0 && size < sizeof(address.sun_path));
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    memcpy(address.sun_path, name, size);
    if (*name == '@')
        address.sun_path[0] = '\0';
    if (connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) == 0)
        return fd;
    const int error = errno;

    close(fd);
    return -error;
}

const char *usual_name(unsigned number)
{
    static char name[64];

    if (number == 1)
        (void)snprintf(name, sizeof(name), "@twostate/%d", (int)getpid());
    else
        (void)snprintf(name, sizeof(name), "@twostate/%d.%u", (int)getpid(), number);
    return name;
}

void ask(int fd)
{
    CHECK(send(fd, "\n", 1, MSG_NOSIGNAL) == 1);
}

/* The next line, as JSON; NULL: hung up. */
json_t *hear(int fd)
{
    static char line[1 << 20];
    const char *end = NULL;
    size_t length = 0;

    /* Looked at first, so that what is behind its end stays for the next call. */
    while (end == NULL) {
        ssize_t n = recv(fd, line + length, sizeof(line) - length, MSG_PEEK);

        if (n > 0) {
            end = memchr(line + length, '\n', (size_t)n);
            n = recv(fd, line + length, end ? (size_t)(end + 1 - line) - length : (size_t)n, 0);
        }

        if (n < 0 && errno == EINTR) /* io_uring does that to threads that wait with a timeout */
            continue;
        if (n <= 0)
            return NULL;
        length += (size_t)n;
    }
    json_t *state = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

    CHECK(state);
    return state;
}

json_t *state_of(int fd)
{
    ask(fd);
    json_t *state = hear(fd);

    CHECK(state);
    return state;
}

bool hung_up(int fd)
{
    char byte;

    ssize_t n = 0;

    do
        n = recv(fd, &byte, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* What is at a path like "iotype.waiting.direct" of the file with that index. */
json_t *at(json_t *state, size_t index, const char *path)
{
    json_t *value = json_array_get(json_object_get(state, "files"), index);
    char copy[128];
    char *rest = copy;
    const char *key = NULL;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    while ((key = strsep(&rest, ".")) != NULL)
        value = json_object_get(value, key);
    CHECK(value);
    return value;
}

int64_t number_now(int fd, const char *path)
{
    json_t *state = state_of(fd);
    const int64_t number = json_integer_value(at(state, 0, path));

    json_decref(state);
    return number;
}

void check_text(int fd, const char *path, const char *text)
{
    json_t *state = state_of(fd);

    assert_string_equal(json_string_value(at(state, 0, path)), text);
    json_decref(state);
}

int served_enter(void **state)
{
    (void)fixture_enter(state);
    CHECK(twostate_engine_serve(((struct fixture *)*state)->engine, NULL) == 0);
    return 0;
}
