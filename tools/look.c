/* SPDX-License-Identifier: MIT */
/* The sockets are found in /proc/net/unix. Who answers on one is not trusted: it may be anybody. */
#include "look.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX      "@twostate/"
#define PATIENCE_MS 5000
#define ANSWER_MAX  (64 << 20)

/* Only what belongs to us or to root may tell us something, unless we are root. */
static bool is_trusted(int fd, pid_t *pid)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        return false;
    *pid = peer.pid;
    return peer.uid == geteuid() || peer.uid == 0 || geteuid() == 0;
}

/* A descriptor, or -errno. */
static int connect_to(const char *name, pid_t *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    int fd, error = 0;

    if (size >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, name, size);
    if (*name == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) != 0)
        error = -errno; /* EAGAIN: too many wait already */
    else if (!is_trusted(fd, pid))
        error = -EPERM;
    if (error)
        close(fd);
    return error ? error : fd;
}

/* The next line, without its end, to be freed; NULL: it does not come. */
static char *read_line(int fd)
{
    size_t length = 0, room = 65536;
    char *line = zalloc(1, room);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    const int64_t until = now_ns() + PATIENCE_MS * INT64_C(1000000); /* for all of it */

    for (int64_t left; (left = until - now_ns()) > 0 && !load_interrupted;) {
        int found = poll(&ready, 1, (int)(left / 1000000) + 1);

        if (found < 0 && errno == EINTR)
            continue;
        if (found != 1)
            break;
        ssize_t n = recv(fd, line + length, room - length - 1, MSG_DONTWAIT);

        if (n <= 0)
            break;
        length += (size_t)n;
        line[length] = '\0';
        if (line[length - 1] == '\n')
            return line;
        if (length + 1 < room)
            continue;
        if (room >= ANSWER_MAX)
            break;
        room *= 2;
        line = realloc(line, room);
        if (line == NULL)
            die("out of memory");
    }
    free(line);
    return NULL;
}

static bool ask(struct look *look)
{
    char *line = NULL;
    json_t *state = NULL;

    if (send(look->fd, "\n", 1, MSG_NOSIGNAL) == 1)
        line = read_line(look->fd);
    if (line != NULL)
        state = json_loads(line, 0, NULL);
    free(line);
    if (!json_is_array(json_object_get(state, "files"))) {
        json_decref(state);
        return false;
    }
    json_decref(look->earlier);
    look->earlier = look->state;
    look->earlier_ns = look->at_ns;
    look->state = state;
    look->at_ns = now_ns();
    return true;
}

static void let_go(struct look *look)
{
    close(look->fd);
    json_decref(look->state);
    json_decref(look->earlier);
}

bool looks_wants(const struct looks *looks, const json_t *file)
{
    return !looks->one_file ||
           (json_integer_value(json_object_get(file, "major")) == major(looks->dev) &&
            json_integer_value(json_object_get(file, "minor")) == minor(looks->dev) &&
            (ino_t)json_integer_value(json_object_get(file, "inode")) == looks->inode);
}

static bool has_wanted(const struct looks *looks, const struct look *look)
{
    json_t *files = json_object_get(look->state, "files"), *file;
    size_t i;

    json_array_foreach(files, i, file) if (looks_wants(looks, file)) return true;
    return !looks->one_file;
}

/* Adds the engine, if it answers and has what is wanted. 0 or -errno; *refused: it did not. */
static int add(struct looks *looks, const char *name, bool *refused)
{
    struct look look = {0};

    if (looks->count == LOOKS_MAX)
        return -E2BIG;
    look.fd = connect_to(name, &look.pid);
    if (look.fd == -EPERM || look.fd == -EAGAIN)
        *refused = true;
    if (look.fd < 0)
        return look.fd;
    if (!ask(&look)) {
        *refused = true;
        let_go(&look);
        return -EACCES;
    }
    if (!has_wanted(looks, &look)) {
        let_go(&look);
        return -ENOENT;
    }
    looks->looks[looks->count++] = look;
    return 0;
}

/* The name in a line of /proc/net/unix, if it is of somebody who listens; or NULL. */
static const char *listener_of(char *line)
{
    char *at = strstr(line, " " PREFIX);
    unsigned flags = 0;

    line[strcspn(line, "\n")] = '\0';
    if (at == NULL || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & 0x10000))
        return NULL;
    return at + 1;
}

/* PID of "@twostate/PID" or "@twostate/PID.2". */
static bool is_of(const char *name, const char *pid)
{
    const size_t length = strlen(pid);

    name += strlen(PREFIX);
    return strncmp(name, pid, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

/* Of all that listen; of one process, if pid is not NULL. */
static void add_all(struct looks *looks, const char *pid, bool *refused)
{
    FILE *list = fopen("/proc/net/unix", "r");
    char line[512];

    if (list == NULL)
        die("/proc/net/unix: %s", strerror(errno));
    while (fgets(line, sizeof(line), list) != NULL) {
        const char *name = listener_of(line);

        if (name != NULL && (pid == NULL || is_of(name, pid)))
            (void)add(looks, name, refused);
    }
    fclose(list);
}

static bool is_pid(const char *target)
{
    return *target != '\0' && target[strspn(target, "0123456789")] == '\0';
}

void looks_find(struct looks *looks, const char *target)
{
    bool refused = false;
    struct stat stat_of = {0};

    *looks = (struct looks){0};
    if (is_pid(target)) {
        add_all(looks, target, &refused);
    } else if (*target == '@' || (stat(target, &stat_of) == 0 && S_ISSOCK(stat_of.st_mode))) {
        int error = add(looks, target, &refused);

        if (error && !refused)
            die("%s: %s", target, strerror(-error));
    } else {
        if (stat(target, &stat_of) != 0)
            die("%s: %s", target, strerror(errno));
        looks->one_file = true;
        looks->dev = stat_of.st_dev;
        looks->inode = stat_of.st_ino;
        add_all(looks, NULL, &refused);
    }
    if (looks->count > 0)
        return;
    if (refused)
        die("%s: no engine that serves it gave an answer: only its user and root may look, "
            "and 16 at once",
            target);
    die("%s: no engine %s is served here; a program serves its engine by twostate_engine_serve, "
        "`twostate-io run` by --serve",
        target, is_pid(target) ? "of this process" : "that has this file open");
}

bool looks_again(struct looks *looks)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < looks->count; i++) {
        if (ask(&looks->looks[i]))
            looks->looks[kept++] = looks->looks[i];
        else
            let_go(&looks->looks[i]);
    }
    looks->count = kept;
    return kept > 0;
}

void looks_end(struct looks *looks)
{
    for (unsigned i = 0; i < looks->count; i++)
        let_go(&looks->looks[i]);
    looks->count = 0;
}
