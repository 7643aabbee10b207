/* SPDX-License-Identifier: MIT */
/*
 * Several clients, each with a connection of its own, write, zero, trim and read one disk at random,
 * and know what it holds: a copy in memory has every change made to it too. The disk is cut into
 * regions with a mutex each, so a region's copy is right, whichever client looks, while other regions
 * are under change: what one connection was acknowledged, another has to see.
 *
 * shadow URI SEED THREADS OPERATIONS
 */
#include <libnbd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../stress/random.h"

#define REGION  786432 /* of requests past the cache, and of folios, at each end only a part */
#define REGIONS 16
#define SMALL   6000

struct region {
    pthread_mutex_t mutex;
    unsigned char bytes[REGION];
};

struct client {
    pthread_t thread;
    struct nbd_handle *nbd;
    uint64_t random;
    long operations;
    unsigned char buffer[REGION];
};

/* Where an operation is: in a region, and on the disk. */
struct place {
    struct region *region;
    size_t at;
    size_t length;
    uint64_t offset;
};

static struct region regions[REGIONS];

static void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "FAILED: %s: %s\n", what, nbd_get_error());
    exit(1);
}

/* Half of them whole blocks, of which many are large; the others anything small. */
static struct place random_place(struct client *client)
{
    const size_t number = random_below(&client->random, REGIONS);
    const size_t unit = random_below(&client->random, 2) ? 4096 : 1;
    const size_t most = unit == 1 ? SMALL : REGION;
    struct place place = {.region = &regions[number]};

    place.length = (1 + random_below(&client->random, (uint32_t)(most / unit))) * unit;
    place.at = random_below(&client->random, (uint32_t)((REGION - place.length) / unit + 1)) * unit;
    place.offset = number * REGION + place.at;
    return place;
}

static void write_there(struct client *client, const struct place *place, uint32_t flags)
{
    memset(client->buffer, (int)random_below(&client->random, 256), place->length);
    memcpy(client->buffer, &client->random, place->length < 8 ? place->length : 8);
    check(nbd_pwrite(client->nbd, client->buffer, place->length, place->offset, flags), "write");
    memcpy(place->region->bytes + place->at, client->buffer, place->length);
}

static void read_there(struct client *client, const struct place *place)
{
    const unsigned char *expected = place->region->bytes + place->at;

    check(nbd_pread(client->nbd, client->buffer, place->length, place->offset, 0), "read");
    for (size_t i = 0; i < place->length; i++) {
        if (client->buffer[i] == expected[i])
            continue;
        fprintf(stderr, "FAILED: at %llu: %d instead of %d, in a read of %zu from %llu\n",
                (unsigned long long)place->offset + i, client->buffer[i], expected[i],
                place->length, (unsigned long long)place->offset);
        exit(1);
    }
}

static void clear_there(struct client *client, const struct place *place, uint32_t how)
{
    if (how == 0)
        check(nbd_trim(client->nbd, place->length, place->offset, 0), "trim");
    else
        check(nbd_zero(client->nbd, place->length, place->offset,
                       how == 1 ? LIBNBD_CMD_FLAG_NO_HOLE : 0),
              "zero");
    memset(place->region->bytes + place->at, 0, place->length);
}

static void operate(struct client *client)
{
    const struct place place = random_place(client);
    const uint32_t what = random_below(&client->random, 32);

    pthread_mutex_lock(&place.region->mutex);
    if (what < 12)
        write_there(client, &place, 0);
    else if (what == 12)
        write_there(client, &place, LIBNBD_CMD_FLAG_FUA);
    else if (what < 16)
        clear_there(client, &place, what - 13);
    else if (what == 16)
        check(nbd_flush(client->nbd, 0), "flush");
    else
        read_there(client, &place);
    pthread_mutex_unlock(&place.region->mutex);
}

static void *run(void *arg)
{
    struct client *client = arg;

    for (long i = 0; i < client->operations; i++)
        operate(client);
    return NULL;
}

/* All of the disk, by one client, when the others are gone. */
static void compare(struct client *client)
{
    for (uint64_t i = 0; i < REGIONS; i++) {
        const struct place all = {&regions[i], 0, REGION, i * REGION};

        read_there(client, &all);
    }
}

static void start(struct client *client, const char *uri, uint64_t seed, long operations)
{
    client->nbd = nbd_create();
    client->random = seed;
    client->operations = operations;
    if (client->nbd == NULL)
        check(-1, "libnbd");
    check(nbd_connect_uri(client->nbd, uri), uri);
    if (nbd_get_size(client->nbd) != (int64_t)REGION * REGIONS) {
        fprintf(stderr, "FAILED: the disk has to have %d bytes\n", REGION * REGIONS);
        exit(1);
    }
    if (pthread_create(&client->thread, NULL, run, client) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc == 5 ? strtoull(argv[2], NULL, 0) : 0;
    const size_t count = argc == 5 ? strtoul(argv[3], NULL, 0) : 0;
    struct client *clients = calloc(count, sizeof(*clients));

    if (count == 0 || clients == NULL) {
        fprintf(stderr, "usage: shadow URI SEED THREADS OPERATIONS, for a disk of %d zeroes\n",
                REGION * REGIONS);
        free(clients);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    for (size_t i = 0; i < REGIONS; i++)
        pthread_mutex_init(&regions[i].mutex, NULL);
    for (size_t i = 0; i < count; i++)
        start(&clients[i], argv[1], random_stream(seed, (uint32_t)i, 0), strtol(argv[4], NULL, 0));
    for (size_t i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    compare(&clients[0]);
    for (size_t i = 0; i < count; i++)
        nbd_close(clients[i].nbd);
    free(clients);
    return 0;
}
