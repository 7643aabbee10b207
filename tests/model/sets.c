/* SPDX-License-Identifier: MIT */
/* What the tests explore. "all" is every operation that does not free: see model --ops. */
#include "sets.h"

#include <stdio.h>
#include <string.h>

struct set {
    const char *name;
    const char *lines[32];
};

static const struct set sets[] = {
    {"try", {"all all"}},
};

const char *const *sets_find(const char *name)
{
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (strcmp(sets[i].name, name) == 0)
            return sets[i].lines;
    fprintf(stderr, "model: no set %s\n", name);
    return NULL;
}

void sets_list(void)
{
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        for (unsigned j = 0; sets[i].lines[j]; j++)
            printf("%-8s %s\n", sets[i].name, sets[i].lines[j]);
}
