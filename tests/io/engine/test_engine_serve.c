/* SPDX-License-Identifier: MIT */
/* An engine that is served says what it is doing, to those who may know, and to nobody's harm. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <twostate/stats.h>

#define VISITORS 16 /* that the engine listens to at once */

/* Connects: a descriptor, or -errno. */
static int visit(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(name);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 30};

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

static const char *usual_name(unsigned number)
{
    static char name[64];

    if (number == 1)
        (void)snprintf(name, sizeof(name), "@twostate/%d", (int)getpid());
    else
        (void)snprintf(name, sizeof(name), "@twostate/%d.%u", (int)getpid(), number);
    return name;
}

static void ask(int fd)
{
    CHECK(send(fd, "\n", 1, MSG_NOSIGNAL) == 1);
}

/* The next line, as JSON; NULL: hung up. */
static json_t *hear(int fd)
{
    char *line = NULL;
    size_t size = 0;
    FILE *in = fdopen(dup(fd), "r");
    json_t *state = NULL;

    CHECK(in);
    setvbuf(in, NULL, _IONBF, 0);
    if (getline(&line, &size, in) > 0) {
        state = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        CHECK(state);
    }
    free(line);
    (void)fclose(in);
    return state;
}

static json_t *state_of(int fd)
{
    ask(fd);
    json_t *state = hear(fd);

    CHECK(state);
    return state;
}

static bool hung_up(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) <= 0;
}

/* What is at a path like "iotype.waiting.direct" of the file with that index. */
static json_t *at(json_t *state, size_t index, const char *path)
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

static int64_t number_now(int fd, const char *path)
{
    json_t *state = state_of(fd);
    const int64_t number = json_integer_value(at(state, 0, path));

    json_decref(state);
    return number;
}

static void check_text(int fd, const char *path, const char *text)
{
    json_t *state = state_of(fd);

    assert_string_equal(json_string_value(at(state, 0, path)), text);
    json_decref(state);
}

static int enter(void **state)
{
    (void)fixture_enter(state);
    CHECK(twostate_engine_serve(((struct fixture *)*state)->engine, NULL) == 0);
    return 0;
}

/* What the file is, and where. */
static void identity(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    struct stat st;

    assert_int_equal(twostate_pwrite(f->file, "hello", 5, 0, 0), 5);
    assert_int_equal(fstat(f->scratch.fd, &st), 0);
    json_t *state = state_of(fd);

    assert_int_equal(json_integer_value(json_object_get(state, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(state, "backend")),
                        twostate_engine_backend(f->engine) == TWOSTATE_BACKEND_URING ? "io_uring"
                                                                                     : "threads");
    assert_int_equal(json_integer_value(json_object_get(state, "files_open")), 1);
    assert_int_equal(json_array_size(json_object_get(state, "files")), 1);
    assert_int_equal(json_integer_value(at(state, 0, "inode")), st.st_ino);
    assert_int_equal(json_integer_value(at(state, 0, "major")), major(st.st_dev));
    assert_int_equal(json_integer_value(at(state, 0, "minor")), minor(st.st_dev));
    assert_int_equal(json_integer_value(at(state, 0, "size")), 5);
    assert_string_equal(json_string_value(at(state, 0, "cache")), "kernel");
    assert_int_equal(json_array_size(json_object_get(json_object_get(state, "stats"), "classes")),
                     0);
    json_decref(state);
    close(fd);
}

static void check_mode(struct fixture *f, int fd, enum twostate_iopath path, const char *mode,
                       const char *iolock)
{
    struct twostate_hold hold;

    twostate_iopair_begin(&f->file->pair, path, &hold);
    check_text(fd, "mode", mode);
    check_text(fd, "iolock.mode", iolock);
    assert_int_equal(number_now(fd, "iotype.holders"), 1);
    assert_int_equal(number_now(fd, "iolock.holders"), 1);
    twostate_iopair_end(&hold);
}

static void modes(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    check_text(fd, "mode", "unlocked");
    check_text(fd, "iolock.mode", "unlocked");
    check_mode(f, fd, TWOSTATE_BUFFERED_READ, "BUFFERED", "shared");
    check_mode(f, fd, TWOSTATE_DIRECT, "DIRECT", "shared");
    check_mode(f, fd, TWOSTATE_UNALIGNED, "BUFFERED", "exclusive");
    twostate_lock_freeze(&f->file->pair.iotype_);
    check_text(fd, "mode", "frozen");
    twostate_lock_thaw(&f->file->pair.iotype_);
    close(fd);
}

/* A request that waits is seen waiting, and then counted. */
struct waiting_call {
    struct fixture *f;
    int (*call)(struct fixture *f);
};

static int read_direct(struct fixture *f)
{
    char *block = memory_new(4096);
    const int result = (int)twostate_pread(f->file, block, 4096, 0, TWOSTATE_IO_DIRECT);

    free(block);
    return result;
}

static int read_buffered(struct fixture *f)
{
    char byte;

    return (int)twostate_pread(f->file, &byte, 1, 0, 0);
}

static int truncate_it(struct fixture *f)
{
    return twostate_truncate(f->file, 0);
}

static void *make_call(void *arg)
{
    struct waiting_call *waiting = arg;

    CHECK(waiting->call(waiting->f) == 0);
    return NULL;
}

static void check_wait(struct fixture *f, int fd, enum twostate_iopath held,
                       int (*call)(struct fixture *f), const char *waiting, const char *kind)
{
    struct waiting_call waiter = {.f = f, .call = call};
    struct twostate_hold hold;
    char path[64];
    pthread_t thread;

    (void)snprintf(path, sizeof(path), "waits.%s.count", kind);
    const int64_t before = number_now(fd, path);

    twostate_iopair_begin(&f->file->pair, held, &hold);
    CHECK(pthread_create(&thread, NULL, make_call, &waiter) == 0);
    while (number_now(fd, waiting) != 1)
        ;
    assert_int_equal(number_now(fd, "requests"), 1);
    assert_int_equal(number_now(fd, path), before);
    twostate_iopair_end(&hold);
    CHECK(pthread_join(thread, NULL) == 0);
    assert_int_equal(number_now(fd, path), before + 1);
    assert_int_equal(number_now(fd, waiting), 0);
    assert_int_equal(number_now(fd, "requests"), 0);
    (void)snprintf(path, sizeof(path), "waits.%s.max_ns", kind);
    const int64_t max = number_now(fd, path);

    assert_true(max > 0);
    (void)snprintf(path, sizeof(path), "waits.%s.p99_ns", kind);
    assert_in_range(number_now(fd, path), 1, max);
    (void)snprintf(path, sizeof(path), "waits.%s.total_ns", kind);
    assert_true(number_now(fd, path) >= max);
}

static void waits(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    if (f->file->direct_fd >= 0)
        check_wait(f, fd, TWOSTATE_BUFFERED_READ, read_direct, "iotype.waiting.direct", "direct");
    check_wait(f, fd, TWOSTATE_DIRECT, read_buffered, "iotype.waiting.buffered", "buffered");
    check_wait(f, fd, TWOSTATE_BUFFERED_READ, truncate_it, "iolock.waiting.exclusive", "exclusive");
    check_wait(f, fd, TWOSTATE_EXCLUSIVE_IO, read_buffered, "iolock.waiting.shared", "buffered");
    close(fd);
}

/* An asynchronous request waits without a thread, and is seen all the same. */
static void async_waits(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    char *block = memory_new(4096);
    const struct iovec iov = {block, 4096};
    struct pending pending = {0};
    struct twostate_hold hold;

    if (f->file->direct_fd < 0)
        skip();
    twostate_iopair_begin(&f->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    assert_int_equal(
        twostate_preadv_async(f->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, &pending), 0);
    while (number_now(fd, "iotype.waiting.direct") != 1)
        ;
    json_t *state = state_of(fd);

    assert_int_equal(json_integer_value(json_object_get(state, "requests")), 1);
    json_decref(state);
    twostate_iopair_end(&hold);
    assert_int_equal(pending_wait(&pending), 0);
    assert_int_equal(number_now(fd, "waits.direct.count"), 1);
    close(fd);
    free(block);
}

/* The engine's own hold is no holder: those are the requests that are in by it. */
static void lease(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    char byte;

    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(twostate_pread(f->file, &byte, 1, 0, 0), 0);
    json_t *state = state_of(fd);

    if (json_is_true(at(state, 0, "lease"))) {
        assert_string_equal(json_string_value(at(state, 0, "mode")), "BUFFERED");
        assert_int_equal(json_integer_value(at(state, 0, "iotype.holders")), 0);
        assert_int_equal(json_integer_value(at(state, 0, "requests")), 0);
        assert_true(file_enter_leased_(f->file));
        assert_int_equal(number_now(fd, "leased"), 1);
        assert_int_equal(number_now(fd, "requests"), 1);
        assert_int_equal(number_now(fd, "iotype.holders"), 1);
        assert_int_equal(number_now(fd, "iolock.holders"), 1);
        lease_exit_(&f->file->lease);
        assert_int_equal(number_now(fd, "leased"), 0);
    } else {
        print_message("NOT TESTED: no lease here (no membarrier)\n");
    }
    json_decref(state);
    close(fd);
}

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
    none.rlim_cur = 2 * VISITORS; /* enough for poll(2) */
    while (taken < 2 * VISITORS && (fds[taken] = dup(first)) < 2 * VISITORS - 1)
        taken++;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    assert_int_equal(twostate_engine_serve(engine, NULL), -EMFILE);
    CHECK(connect(second, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0);
    ask(second);
    ask(first);
    struct pollfd answered = {.fd = first, .events = POLLIN};

    assert_int_equal(poll(&answered, 1, 30000), 1); /* who is in is answered */
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

/* A path may have any byte but zero. */
static void odd_path(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));
    struct twostate_file *file = NULL;
    static const char odd[] = "odd \"\\\n\x1b\xc3\xa9\xc3(\xed\xa0\x80\xf5";
    static const char told[] = "odd \"\\\n\x1b\xc3\xa9\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
                               "\xbd\xef\xbf\xbd";
    const int made = open(odd, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (made < 0) { /* not on this file system */
        close(fd);
        skip();
    }
    CHECK(twostate_file_open(f->engine, odd, O_RDWR, 0, &file) == 0);
    json_t *state = state_of(fd);
    const char *path = json_string_value(at(state, 1, "path"));

    assert_string_equal(strrchr(path, '/') + 1, told);
    json_decref(state);
    assert_int_equal(unlink(odd), 0);
    assert_int_equal(twostate_file_close(file), 0);
    close(made);
    close(fd);
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

static void user_cache(void **context)
{
    struct fixture *f = *context;
    const struct twostate_file_options options = {.cache = TWOSTATE_CACHE_USER};
    const int fd = visit(usual_name(1));
    struct twostate_file *file = NULL;
    struct scratch scratch;

    scratch_open(&scratch);
    const int error = twostate_file_open_with(f->engine, scratch.path, O_RDWR, 0, &options, &file);

    if (error == 0) {
        assert_int_equal(twostate_pwrite(file, "hello", 5, 0, 0), 5);
        json_t *state = state_of(fd);

        assert_string_equal(json_string_value(at(state, 1, "cache")), "user");
        assert_int_equal(json_integer_value(at(state, 1, "size")), 5);
        assert_true(json_integer_value(json_object_get(state, "cache_limit")) > 0);
        assert_true(json_integer_value(json_object_get(state, "cache_dirty")) > 0);
        json_decref(state);
        assert_int_equal(twostate_file_close(file), 0);
    } else {
        assert_int_equal(error, -EOPNOTSUPP);
    }
    scratch_close(&scratch);
    close(fd);
}

static bool has_class(json_t *state, const char *name)
{
    json_t *classes = json_object_get(json_object_get(state, "stats"), "classes");
    json_t *cls = NULL;
    size_t i = 0;

    json_array_foreach(classes, i, cls) if (strcmp(json_string_value(json_object_get(cls, "name")),
                                                   name) == 0) return true;
    return false;
}

/* The last test, as they stay on. The engine's locks are told apart by their classes. */
static void statistics(void **context)
{
    struct fixture *f = *context;
    const int fd = visit(usual_name(1));

    twostate_stats_enable();
    struct twostate_file *file = file_new(f->engine, &f->scratch, O_RDWR);

    assert_int_equal(twostate_pwrite(file, "x", 1, 0, 0), 1);
    json_t *state = state_of(fd);

    assert_true(has_class(state, "users"));
    assert_true(has_class(state, "range"));
    assert_true(has_class(state, "IOLOCK"));
    assert_true(has_class(state, "IOTYPE"));
    assert_false(has_class(state, "iolock"));
    json_decref(state);
    assert_int_equal(twostate_file_close(file), 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, fixture_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identity),       TEST(modes),    TEST(waits),      TEST(async_waits),
        TEST(lease),          TEST(names),    TEST(strangers),  TEST(rude_visitors),
        TEST(no_descriptors), TEST(odd_path), TEST(user_cache), TEST(comings_and_goings),
    };
    const struct CMUnitTest last[] = {TEST(statistics)};
    const int failed = RUN_WITH_BACKENDS(tests);

    return failed + cmocka_run_group_tests_name("statistics", last, NULL, NULL);
}
