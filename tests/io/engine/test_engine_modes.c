/* SPDX-License-Identifier: MIT */
/*
 * Whom a file's mode keeps out: not its maker, as with open(2), though the engine opens a file more
 * than once. Root is kept out by no mode, so what is tried here is tried by somebody else.
 */
#include "children.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534
#define UMASK  0027

static const int accesses[] = {O_RDONLY, O_WRONLY, O_RDWR};
static const mode_t modes[] = {0444, 0400, 0200, 0, 01444, 0644};

/* One file of a directory that is the process's own, in which it is. */
static const char name[] = "made";

static mode_t mode_now(void)
{
    struct stat st;

    CHECK(stat(name, &st) == 0);
    return st.st_mode & 07777;
}

static int try_open(struct twostate_engine *engine, int flags, mode_t mode,
                    enum twostate_cache cache, struct twostate_file **file)
{
    const struct twostate_file_options options = {.cache = cache};

    return twostate_file_open_with(engine, name, flags, mode, &options, file);
}

/* All that was asked for can be done, by both ways. */
static void use(struct twostate_file *file, int access)
{
    char text[] = "text";

    for (unsigned flags = 0; flags <= TWOSTATE_IO_DIRECT; flags++) {
        if (access != O_RDONLY)
            CHECK(twostate_pwrite(file, text, sizeof(text), 0, flags) == sizeof(text));
        if (access != O_WRONLY)
            CHECK(twostate_pread(file, text, sizeof(text), 0, flags) ==
                  (access == O_RDONLY ? 0 : (ssize_t)sizeof(text)));
    }
    if (access != O_RDONLY)
        CHECK(twostate_fsync(file) == 0);
}

static void make(struct twostate_engine *engine, int flags, mode_t mode, enum twostate_cache cache)
{
    struct twostate_file *file = NULL;
    const int result = try_open(engine, flags, mode, cache, &file);

    if (cache == TWOSTATE_CACHE_USER && result == -EOPNOTSUPP) {
        CHECK(unlink(name) == 0);
        return;
    }
    CHECK(result == 0);
    CHECK(mode_now() == (mode & ~(mode_t)UMASK));
    use(file, flags & O_ACCMODE);
    CHECK(twostate_file_close(file) == 0);
    CHECK(mode_now() == (mode & ~(mode_t)UMASK));
    CHECK(unlink(name) == 0);
}

static void make_all(void *unused)
{
    static const int extras[] = {0, O_EXCL, O_TRUNC};
    struct twostate_engine *engine = engine_new(0, 0);

    (void)unused;
    for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
        for (size_t e = 0; e < sizeof(extras) / sizeof(extras[0]); e++) {
            const int flags = O_CREAT | extras[e];

            for (size_t a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++)
                make(engine, flags | accesses[a], modes[m], TWOSTATE_CACHE_KERNEL);
            make(engine, flags | O_RDWR, modes[m], TWOSTATE_CACHE_USER);
        }
    CHECK(twostate_engine_destroy(engine) == 0);
}

/* Of a file that was there before, the mode counts, and is left alone. */
static void open_all(void *unused)
{
    struct twostate_engine *engine = engine_new(0, 0);

    (void)unused;
    for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
        for (size_t a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++) {
            const mode_t needed =
                (accesses[a] != O_WRONLY ? S_IRUSR : 0U) | (accesses[a] != O_RDONLY ? S_IWUSR : 0U);
            struct twostate_file *file = NULL;

            CHECK(close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == 0);
            CHECK(chmod(name, modes[m]) == 0);
            if ((modes[m] & needed) == needed) {
                CHECK(try_open(engine, O_CREAT | accesses[a], 0, TWOSTATE_CACHE_KERNEL, &file) ==
                      0);
                CHECK(twostate_file_close(file) == 0);
            } else {
                CHECK(try_open(engine, O_CREAT | accesses[a], 0, TWOSTATE_CACHE_KERNEL, &file) ==
                      -EACCES);
            }
            CHECK(mode_now() == modes[m]);
            CHECK(unlink(name) == 0);
        }
    CHECK(twostate_engine_destroy(engine) == 0);
}

struct attempt {
    void (*run)(void *);
    const char *directory;
};

static void as_somebody_else(void *argument)
{
    const struct attempt *attempt = argument;

    CHECK(chdir(attempt->directory) == 0);
    umask(UMASK);
    if (geteuid() == 0) {
        CHECK(setgroups(0, NULL) == 0);
        CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0);
        CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    }
    attempt->run(NULL);
}

static void in_own_directory(void (*run)(void *))
{
    char directory[4096];
    struct attempt attempt = {.run = run, .directory = directory};

    (void)snprintf(directory, sizeof(directory), "%s/engine-XXXXXX", test_directory());
    assert_non_null(mkdtemp(directory));
    if (geteuid() == 0)
        assert_int_equal(chown(directory, NOBODY, NOBODY), 0);
    child_join(child_start(as_somebody_else, &attempt));
    assert_int_equal(rmdir(directory), 0);
}

static void the_maker_is_let_in(void **state)
{
    (void)state;
    in_own_directory(make_all);
}

static void others_are_as_the_mode_says(void **state)
{
    (void)state;
    in_own_directory(open_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maker_is_let_in),
        cmocka_unit_test(others_are_as_the_mode_says),
    };

    return RUN_WITH_BACKENDS(tests);
}
