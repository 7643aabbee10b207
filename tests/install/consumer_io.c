/* SPDX-License-Identifier: MIT */
/* A C99 and C++11 program that uses an installed libtwostate-io. Its argument is a file to make. */
#include <fcntl.h>
#include <string.h>

#include <twostate/io.h>

int main(int argc, char **argv)
{
    struct twostate_engine_options options;
    struct twostate_engine *engine;
    struct twostate_file *file;
    char seen[sizeof("text")] = "";

    if (argc != 2)
        return 2;
    memset(&options, 0, sizeof(options));
    options.backend = TWOSTATE_BACKEND_THREADS;
    if (twostate_engine_create(&options, &engine) != 0)
        return 1;
    if (twostate_file_open(engine, argv[1], O_RDWR | O_CREAT, 0600, &file) != 0)
        return 1;
    if (twostate_pwrite(file, "text", sizeof(seen), 0, 0) != sizeof(seen) ||
        twostate_pread(file, seen, sizeof(seen), 0, TWOSTATE_IO_DIRECT) != sizeof(seen))
        return 1;
    if (twostate_file_close(file) != 0 || twostate_engine_destroy(engine) != 0)
        return 1;
    return strcmp(seen, "text") == 0 ? 0 : 1;
}
