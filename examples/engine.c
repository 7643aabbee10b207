/* SPDX-License-Identifier: MIT */
/* Writes through the cache, reads past it: the direct read sees the buffered write. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <twostate/io.h>

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "example.dat";
    struct twostate_engine *engine;
    struct twostate_file *file;
    char text[] = "hello", seen[sizeof(text)] = "";

    if (twostate_engine_create(NULL, &engine) != 0)
        return 1;
    if (twostate_file_open(engine, path, O_RDWR | O_CREAT, 0644, &file) != 0)
        return 1;
    twostate_pwrite(file, text, sizeof(text), 0, 0);                 /* buffered */
    twostate_pread(file, seen, sizeof(seen), 0, TWOSTATE_IO_DIRECT); /* past the cache */
    printf("%s\n", seen);
    if (twostate_file_close(file) != 0) /* 0: all of it is on disk */
        return 1;
    twostate_engine_destroy(engine);
    return strcmp(text, seen) == 0 ? 0 : 1;
}
