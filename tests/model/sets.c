/* SPDX-License-Identifier: MIT */
/* What the tests explore. "all" is every operation that does not free: see model --ops. */
#include "sets.h"

#include <stdio.h>
#include <string.h>

/* The kinds of operations, where all of them are too many. */
#define BASIC "aA|aB|tA|TA|d"
#define MIX   "aA|aB|tA|TA|d|f"
#define IO    "as|ax|tx|Tx|dx"

#define FOUR_OF(menu) menu " " menu " " menu " " menu
#define FOUR(kinds)   FOUR_OF("aA|aB|" kinds)

struct set {
    const char *name;
    const char *lines[24];
};

static const struct set sets[] = {
    /* Every access to a word is a step. */
    {"full",
     {"--full all all", "--full all+ all+", "--full --patience-0 all all",
      "--full --subject iolock all all", "--full --subject pair all all",
      "--full " BASIC " " BASIC " " BASIC, "--full --subject iolock " IO " " IO " " IO}},
    /* Three threads, one operation each of all there are. */
    {"lock3", {"all all all"}},
    {"patience0", {"--patience-0 all all all"}},
    {"shared", {"--shared " MIX "|sA|nA " MIX "|sA|nA " MIX "|sA|nA", "--shared --full all all"}},
    {"iolock3", {"--subject iolock all all all", "--subject iolock --patience-0 all all all"}},
    {"pair3", {"--subject pair all all all"}},
    /*
     * Four threads, one operation each, of eleven kinds; of the others, some. (All: multisets.py. The
     * same with A and B exchanged is nearly the same: turns are passed on in the order A, B, drains.)
     */
    {"lock4a", {FOUR("tA|TA|TB|d|Td|f|nA|hA|sA")}},
    {"lock4b", {FOUR_OF("aA|TB|LA"), FOUR("jA|yB"), FOUR("tB|TB|f|nB|sB"), FOUR("sA|sB|sf|tf")}},
    {"iolock4", {"--subject iolock all all all all"}},
    /* Three threads, again and again: any number of operations each, so also three. */
    {"rounds",
     {MIX "* " MIX "* " MIX "*", "aA|aB|sA|f* aA|aB|sA|f* aA|aB|sA|f*",
      "aA|aB|jA|yB|nA* aA|aB|jA|yB|nA* aA|aB|jA|yB|nA*", "aA|TB|LA* aA|TB|LA* aA|TB|LA*",
      "--subject iolock " IO "* " IO "* " IO "*", "--subject pair all* all*",
      "--subject pair r|w|D* r|w|D* r|w|D*", "--subject pair w|m|x* w|m|x* w|m|x*",
      "--subject pair e|ws|D* e|ws|D* e|ws|D*"}},
    /* A load that goes stale now and then; and without the merging of automaton.c. */
    {"splits",
     {"--no-merge all all", "--no-reduction all all", "--no-reduction " MIX " " MIX " " MIX,
      "--no-merge " BASIC " " BASIC " " BASIC, "--no-merge --subject pair all all",
      "--splits 1 " MIX " " MIX " " MIX, "--splits 2 aA|aB|TA aA|aB|TA aA|aB|TA"}},
    /* Waiters without a thread. */
    {"async",
     {"cA cB aA", "cA aB cf", "cA cA cB", "cd aA cB", "wA aB cA", "WB aA WB", "kA kB d",
      "--patience-0 cA cB aA", "vA aB", "vA vA d", "vf aA vB", "gA gB", "gA aB gA",
      "aA|aB|tA|d|cA|cB aA|aB|tA|d|cA|cB aA|aB|tA|d|cA|cB", "--subject iolock cs cx as",
      "--subject iolock cx cx ax"}},
    {"asyncpair",
     {"--subject pair all+ all+", "--subject pair cw cD x", "--subject pair cm D w",
      "--subject pair cr cx D"}},
    {"async4", {"cA aB tA d"}},
    /* The memory may be freed (G7): after a drain, an acquire of the other state, a query. Of two
     * drains one frees, and only when the other has returned; else it is wrong. */
    {"free",
     {"Fd " BASIC " " BASIC " " BASIC, "FB aA|hA|d aA|hA|d aA|hA|d", "FA aB|d aB|d aB|d",
      "Fq aA|nB|d aA|nB|d aA|nB|d", "--full Fd aA|aB|d aA|aB|d", "--full Fq aA|d aB|d",
      "--full Fd f|sA aA|d", "Fd kA|aB kB|aA", "Fd all all", "FB all all",
      "--expect-failure Fw d aA"}},
    /* lib/io's, each thread with a store buffer: a folio's gate, and a file's lease. */
    {"folio",
     {"--subject folio all,all all", "--subject folio --full all all",
      "--subject folio --spurious 0 w|x|s|ts w|x|s|ts w|x|s|ts"}},
    {"lease",
     {"--subject lease all all", "--subject lease W,w D,w", "--subject lease W g,w",
      "--subject lease W Du", "--subject lease --full --spurious 0 W D", "--subject lease F W",
      "--subject lease --spurious 0 F w D", "--subject lease F w g"}},
    /* By chance. */
    {"chance",
     {"--random 1 --schedules 20000 all all all all all all all",
      "--pct 1 --schedules 20000 all all all all all all all",
      "--random 1 --schedules 10000 --subject iolock all all all all all all all all",
      "--pct 1 --schedules 10000 --subject iolock all all all all all all all all",
      "--random 1 --schedules 10000 --subject pair all all all all all all all all",
      "--pct 1 --schedules 10000 --subject pair all all all all all all all all",
      "--pct 1 --schedules 10000 --full " MIX " " MIX " " MIX " " MIX " " MIX " " MIX " " MIX,
      "--random 1 --schedules 4000 cA|cB|aA|aB cA|cB|aA|aB aA|aB|d aA|aB|d aA|aB|f aA|aB|f tA|TB"}},
    /* What takes longer, up to hours and 16 GB: for people. */
    {"long",
     {"all+ all all", "all* all* all*", "all,all,all all,all,all all,all,all",
      "--subject pair r|w|D|e r|w|D|e r|w|D|e r|w|D|e",
      "--subject pair w|D|m|x w|D|m|x w|D|m|x w|D|m|x", "cA|aB|d cA|aB|d cA|aB|d cA|aB|d",
      "cA|aB* cB|aA* cA|aB*", "aA|aB|TA|d* aA|aB|TA|d* aA|aB|TA|d* aA|aB|TA|d*",
      "--full " MIX "|sA " MIX "|sA " MIX "|sA", "--splits 1 all all all", "--no-merge all all all",
      "--pct 100 --schedules 1000000 all all all all all all all",
      "--random 100 --schedules 1000000 all+ all+ all+ all+ all all all",
      "--states 1000000000 all all all all", "--subject folio all all all",
      "--subject folio all,all all,all", "--subject lease w w D", "--subject lease F W w",
      "--subject lease W w g"}},
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
