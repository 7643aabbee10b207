/* SPDX-License-Identifier: MIT */
/* Who may look at an engine that is served, and where; and that no visitor does it any harm. */
#include "visit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define VISITORS 16 /* that the engine listens to at once */

static void names(void **context)
{
    struct fixture *f = *context;
    struct twostate_engine *engine = engine_new(0, 0);
    char path[4096 + 32];
    char long_name[200];

    assert_int_equal(twostate_engine_serve(NULL, NULL), -EINVAL);
    assert_int_equal(twostate_engine_serve(engine, ""), -EINVAL);
    assert_int_equal(twostate_engine_serve(engine, "@"), -EINVAL);
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(twostate_engine_serve(engine, long_name), -ENAMETOOLONG);
    assert_int_equal(twostate_engine_serve(engine, "no/such/directory"), -ENOENT);
    assert_int_equal(twostate_engine_serve(engine, usual_name(1)), -EADDRINUSE);
    assert_int_equal(twostate_engine_serve(f->engine, "@another"), -EBUSY);
    assert_int_equal(twostate_engine_serve(engine, NULL), 0);
    int fd = visit(usual_name(2));

    json_decref(state_of(fd));
    close(fd);
    assert_int_equal(twostate_engine_destroy(engine), 0);
    assert_int_equal(visit(usual_name(2)), -ECONNREFUSED);

    engine = engine_new(0, 0);
    (void)snprintf(path, sizeof(path), "serve-%d", (int)getpid());
    assert_int_equal(twostate_engine_serve(engine, path), 0);
    struct twostate_engine *other = engine_new(0, 0);

    assert_int_equal(twostate_engine_serve(other, path), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0); /* whose it is */
    assert_int_equal(twostate_engine_destroy(other), 0);
    fd = visit(path);
    json_decref(state_of(fd));
    assert_int_equal(twostate_engine_destroy(engine), 0);
    assert_true(hung_up(fd));
    close(fd);
    assert_int_equal(access(path, F_OK), -1);
}

/* The path is where it was bound, and only the socket that was bound there is removed. */
static void moved(void **context)
{
    const int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char directory[64];
    char path[64];

    (void)context;
    (void)snprintf(directory, sizeof(directory), "moved-%d", (int)getpid());
    (void)snprintf(path, sizeof(path), "serve-%d", (int)getpid());
    CHECK(mkdir(directory, 0755) == 0);
    for (unsigned replaced = 0; replaced < 2; replaced++) {
        struct twostate_engine *engine = engine_new(0, 0);

        assert_int_equal(twostate_engine_serve(engine, path), 0);
        if (replaced)
            CHECK(unlink(path) == 0 && mknod(path, S_IFREG | 0644, 0) == 0);
        CHECK(chdir(directory) == 0 && mknod(path, S_IFREG | 0644, 0) == 0);
        assert_int_equal(twostate_engine_destroy(engine), 0);
        CHECK(unlink(path) == 0); /* of the same name, but not the engine's */
        CHECK(fchdir(here) == 0);
        assert_int_equal(unlink(path), replaced ? 0 : -1);
    }
    CHECK(rmdir(directory) == 0);
    close(here);
}

/* Another user learns nothing. */
static void strangers(void **context)
{
    (void)context;
    if (getuid() != 0) {
        print_message("NOT TESTED: strangers: needs root, to be somebody else\n");
        skip();
    }
    const pid_t root = getpid();
    char name[64];
    int status = 0;

    (void)snprintf(name, sizeof(name), "@twostate/%d", (int)root);
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        const bool other = setgid(65534) == 0 && setuid(65534) == 0;
        const int fd = other ? visit(name) : -1;

        if (fd >= 0)
            (void)send(fd, "\n", 1, MSG_NOSIGNAL);
        _exit(fd >= 0 && hung_up(fd) ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    assert_int_equal(status, 0);
}

/* Those who ask and don't listen, and those who come and don't ask. */
static void rude_visitors(void **context)
{
    int fds[VISITORS + 1];

    (void)context;
    for (unsigned i = 0; i < VISITORS; i++) {
        fds[i] = visit(usual_name(1));
        CHECK(fds[i] >= 0);
    }
    const int deaf = fds[0];

    while (send(deaf, "\n\n\n\n\n\n\n\n", 8, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        ;
    json_decref(state_of(fds[1]));
    fds[VISITORS] = visit(usual_name(1)); /* in the queue, until another leaves */
    ask(fds[VISITORS]);
    json_decref(state_of(fds[1]));
    CHECK(send(fds[1], "x", 1, MSG_NOSIGNAL) == 1); /* no line yet */
    ask(fds[1]);
    json_decref(hear(fds[1]));
    struct pollfd waiting = {.fd = fds[VISITORS], .events = POLLIN};

    assert_int_equal(poll(&waiting, 1, 0), 0);
    close(fds[2]);
    json_decref(hear(fds[VISITORS]));
    close(deaf);
    fds[0] = fds[2] = -1;
    for (unsigned i = 0; i <= VISITORS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* He asks for more than fits between him and the engine, before he reads: every line is whole. */
static void slow_reader(void **context)
{
    struct fixture *f = *context;
    struct twostate_file *files[60];
    const int fd = visit(usual_name(1));
    char questions[4096]; /* of which the engine takes 256 at once */
    unsigned answers = 0;
    json_t *state = NULL;

    for (unsigned i = 0; i < 60; i++)
        files[i] = file_new(f->engine, &f->scratch, O_RDONLY);
    memset(questions, '\n', sizeof(questions));
    CHECK(send(fd, questions, sizeof(questions), MSG_NOSIGNAL) == sizeof(questions));
    CHECK(shutdown(fd, SHUT_WR) == 0);
    while ((state = hear(fd)) != NULL) {
        assert_int_equal(json_array_size(json_object_get(state, "files")), 61);
        json_decref(state);
        answers++;
    }
    assert_in_range(answers, sizeof(questions) / 256, sizeof(questions));
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(twostate_file_close(files[i]), 0);
    close(fd);
}

/* Without descriptors nobody is let in, until there are some again; and nobody is served anew. */
static void no_descriptors(void **context)
{
    struct twostate_engine *engine = engine_new(0, 0);
    const int first = visit(usual_name(1));
    const int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int length =
        snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "twostate/%d", (int)getpid());
    struct rlimit before;
    struct rlimit none;
    int fds[2 * VISITORS];
    unsigned taken = 0;

    (void)context;
    json_decref(state_of(first)); /* it is in */
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 2UL * VISITORS; /* enough for poll(2) */
    while (taken < 2 * VISITORS && (fds[taken] = dup(first)) < 2 * VISITORS - 1)
        taken++;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    assert_int_equal(twostate_engine_serve(engine, NULL), -EMFILE);
    CHECK(connect(second, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0);
    ask(second);
    ask(first);
    struct pollfd answered = {.fd = first, .events = POLLIN};

    assert_int_equal(poll(&answered, 1, 100000), 1); /* who is in is answered */
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    for (unsigned i = 0; i <= taken; i++)
        close(fds[i]);
    json_decref(hear(first));
    json_decref(hear(second));
    assert_int_equal(twostate_engine_serve(engine, NULL), 0);
    assert_int_equal(twostate_engine_destroy(engine), 0);
    close(first);
    close(second);
}

/* Files come and go under the eyes of a visitor. */
static void *open_and_close(void *arg)
{
    struct fixture *f = arg;

    for (unsigned i = 0; i < 100; i++) {
        struct twostate_file *file = file_new(f->engine, &f->scratch, O_RDWR);

        CHECK(twostate_pwrite(file, "x", 1, i, 0) == 1);
        CHECK(twostate_file_close(file) == 0);
    }
    return NULL;
}

static void comings_and_goings(void **context)
{
    const int fd = visit(usual_name(1));
    pthread_t threads[2];

    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, open_and_close, *context) == 0);
    for (unsigned i = 0; i < 100; i++) {
        json_t *state = state_of(fd);

        assert_in_range(json_array_size(json_object_get(state, "files")), 1, 3);
        json_decref(state);
    }
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    json_t *state = state_of(fd);

    assert_int_equal(json_array_size(json_object_get(state, "files")), 1);
    json_decref(state);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED_TEST(names),
        SERVED_TEST(moved),
        SERVED_TEST(strangers),
        SERVED_TEST(rude_visitors),
        SERVED_TEST(slow_reader),
        SERVED_TEST(no_descriptors),
        SERVED_TEST(comings_and_goings),
    };

    return RUN_WITH_BACKENDS(tests);
}
