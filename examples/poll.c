/* SPDX-License-Identifier: MIT */
/* An event loop: what comes in by a pipe is written to a file, and the loop never waits for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <twostate/io.h>

static char bytes[65536];
static size_t writing; /* so many of them are on their way; 0: room for more input */
static int64_t offset;
static bool ended, failed;

/* Called by twostate_engine_poll, in the loop: nothing here needs a lock. */
static void written(void *arg, ssize_t result)
{
    (void)arg;
    failed = failed || result != (ssize_t)writing;
    writing = 0;
}

static void take_input(struct twostate_file *file)
{
    ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
    struct iovec iov = {.iov_base = bytes, .iov_len = n > 0 ? (size_t)n : 0};

    ended = n <= 0;
    failed = failed || n < 0;
    if (ended)
        return;
    writing = (size_t)n;
    int error = twostate_pwritev_async(file, &iov, 1, offset, 0, written, NULL);

    if (error) /* refused: it is not called back */
        written(NULL, error);
    offset += n;
}

static int loop(struct twostate_engine *engine, struct twostate_file *file)
{
    struct epoll_event event, input = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = STDIN_FILENO};
    struct epoll_event done = {.events = EPOLLIN, .data.fd = twostate_engine_fd(engine)};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, done.data.fd, &done) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
        return -1; /* what is no pipe, socket or terminal can't be waited for */
    while (!ended || writing > 0) {
        if (!ended && writing == 0) /* else the input waits in the pipe */
            epoll_ctl(epoll, EPOLL_CTL_MOD, STDIN_FILENO, &input);
        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == STDIN_FILENO)
            take_input(file);
        else
            twostate_engine_poll(engine, 16);
    }
    return close(epoll);
}

int main(int argc, char **argv)
{
    struct twostate_engine_options options = {.polled = true, .cache_bytes = 16 << 20};
    struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER};
    const char *path = argc > 1 ? argv[1] : "example.dat";
    const int flags = O_RDWR | O_CREAT | O_TRUNC;
    struct twostate_engine *engine;
    struct twostate_file *file;

    if (twostate_engine_create(&options, &engine) != 0)
        return 1;
    int error = twostate_file_open_with(engine, path, flags, 0644, &user, &file);

    if (error == -EOPNOTSUPP) /* no O_DIRECT here: then with the kernel's cache */
        error = twostate_file_open(engine, path, flags, 0644, &file);
    if (error)
        return 1;
    failed = loop(engine, file) != 0 || failed;
    failed = twostate_file_close(file) != 0 || failed; /* 0: all of it is on disk */
    twostate_engine_destroy(engine);
    printf("%lld bytes%s\n", (long long)offset, failed ? ", but not all are in the file" : "");
    return failed ? 1 : 0;
}
