/* SPDX-License-Identifier: MIT */
/* The validator's reports: see validate_report.h. Nothing here allocates. */
#include "validate_report.h"

#include "class.h"
#include "sys.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEPT 16
/* Calls of the library's own, between the walk and the site. */
#define INNER_FRAMES 12
/* Those that a walk without a site leaves out. */
#define OWN_FRAMES 3

enum twostate_validate_mode report_mode_;
uint32_t report_rules_;

static struct twostate_report kept[KEPT];
static struct twostate_report now; /* the one that is being written */
static size_t length;              /* of its text */
static const char *example_file;   /* of it, a frame to show addr2line by; NULL: none yet */
static uintptr_t example_offset;   /* as addr2line wants it */
static uint32_t oldest;            /* of those kept */
static uint32_t keeping;
static uint64_t reports;
static uint64_t lost;
static bool stopping;

const char *report_rule_name_(enum twostate_rule rule)
{
    switch (rule) {
    case TWOSTATE_RULE_RANK:
        return "rank";
    case TWOSTATE_RULE_ORDER:
        return "order";
    case TWOSTATE_RULE_SELF_DEADLOCK:
        return "self-deadlock";
    case TWOSTATE_RULE_RECURSION:
        return "recursion";
    case TWOSTATE_RULE_HAND_OFF:
        return "hand-off";
    case TWOSTATE_RULE_LEAK:
        return "leak";
    case TWOSTATE_RULE_FREE:
        return "free";
    case TWOSTATE_RULE_FORK:
        return "fork";
    }
    return "none";
}

void report_stack_(struct stack *stack, const void *site)
{
    void *frames[STACK_FRAMES + INNER_FRAMES];
    const int got = backtrace(frames, STACK_FRAMES + INNER_FRAMES);
    const unsigned depth = got > 0 ? (unsigned)got : 0;
    unsigned first = site == NULL ? OWN_FRAMES : 0;

    while (site != NULL && first < depth && frames[first] != site)
        first++;
    stack->depth = 0;
    if (first >= depth) { /* no such frame to be seen: the site alone */
        stack->frames[stack->depth++] = (void *)(uintptr_t)site;
        return;
    }
    while (first < depth && stack->depth < STACK_FRAMES)
        stack->frames[stack->depth++] = frames[first++];
}

static void append(const char *format, va_list args)
{
    const size_t room = sizeof(now.text) - length;
    int wrote = 0;

    if (room <= 1)
        return;
    wrote = vsnprintf(now.text + length, room, format, args);
    if (wrote > 0)
        length = (size_t)wrote < room ? length + (size_t)wrote : sizeof(now.text) - 1;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    append(format, args);
    va_end(args);
}

void report_line_(const char *format, ...)
{
    va_list args;

    say("\n  ");
    va_start(args, format);
    append(format, args);
    va_end(args);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* What addr2line calls this place: the offset in the file, or the address if it can't be moved. */
static void note_example(const Dl_info *info, const char *call)
{
    const ElfW(Ehdr) *const header = info->dli_fbase;

    if (example_file != NULL)
        return;
    example_file = info->dli_fname;
    example_offset = (uintptr_t)call;
    if (header->e_type != ET_EXEC)
        example_offset -= (uintptr_t)info->dli_fbase;
}

static void say_frame(unsigned n, const void *address)
{
    Dl_info info = {0};
    /* A return address belongs to the instruction before it. */
    const char *call = (const char *)address - 1;

    say("\n    #%u %p", n, address);
    if (dladdr(call, &info) == 0)
        return;
    if (info.dli_sname != NULL)
        say(" %s+%#tx", info.dli_sname, call - (const char *)info.dli_saddr);
    if (info.dli_fname == NULL)
        return;
    say(" (%s+%#tx)", base_name(info.dli_fname), call - (const char *)info.dli_fbase);
    note_example(&info, call);
}

void report_stack_of_(const char *title, const struct stack *stack)
{
    report_line_("%s, at", title);
    for (unsigned n = 0; n < stack->depth; n++)
        say_frame(n, stack->frames[n]);
}

void report_begin_(enum twostate_rule rule, const void *lock, bool exclusive, const char *call,
                   const char *why)
{
    while (stopping) { /* another thread's report is the last */
        holds_unlock_();
        pause();
        holds_lock_();
    }
    now.rule = rule;
    now.lock = lock;
    length = 0;
    example_file = NULL;
    say("%s %p: misuse: %s: %s: %s", exclusive ? "iolock" : "lock", lock, call,
        report_rule_name_(rule), why);
}

void report_call_(const struct watch_call *call, const struct twostate_class *cls,
                  const struct stack *stack)
{
    report_line_("%s of %s %p, class %s, by thread %d", call->name,
                 call->exclusive ? "iolock" : "lock", (const void *)call->lock, cls->name,
                 holds_self_()->thread);
    report_stack_of_("called", stack);
}

void report_hold_(const struct hold *hold)
{
    static const char *const states[2][3] = {{"state A", "state B", "frozen"},
                                             {"shared", "exclusive", "frozen"}};

    report_line_("%s %p, class %s, is held %s, %u time%s, by %s %d (%s)",
                 hold->exclusive ? "iolock" : "lock", (const void *)hold->lock, hold->cls->name,
                 states[hold->exclusive][hold->group], hold->count, hold->count == 1 ? "" : "s",
                 hold->holder == NULL ? "nobody since it was handed over by thread" : "thread",
                 hold->holder == NULL ? hold->thread : hold->holder->thread, hold->name);
    report_stack_of_("taken", &hold->stack);
}

static void say_end(const char *what, const char *call, const struct order_end *end)
{
    if (end->is_lock)
        report_line_("  %s: lock %p, class %s (%s)", what, end->key, end->name, call);
    else
        report_line_("  %s: class %s (%s)", what, end->name, call);
}

void report_cycle_(const struct order_cycle *cycle)
{
    report_line_("the other order, as it was taken before, in %u step%s:", cycle->length,
                 cycle->length == 1 ? "" : "s");
    for (unsigned n = 0; n < cycle->length && n < ORDER_PATH; n++) {
        const struct order_edge *edge = cycle->edges[n];

        report_line_("thread %d", edge->thread);
        say_end("held", edge->held_call, &edge->from);
        report_stack_of_("taken", &edge->held);
        say_end("and waited for", edge->wanted_call, &edge->to);
        report_stack_of_("called", &edge->wanted);
    }
    if (cycle->length > ORDER_PATH)
        report_line_("and so on");
}

static void keep(void)
{
    if (keeping == KEPT) {
        lost++;
        return;
    }
    kept[(oldest + keeping) % KEPT] = now;
    keeping++;
}

/* Writing is a cancellation point, and the mutex is held. */
static void log_now(void)
{
    int cancel = 0;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    fprintf(stderr, "twostate: %s\n", now.text);
    pthread_setcancelstate(cancel, NULL);
}

void report_end_(void)
{
    if (example_file != NULL)
        report_line_(
            "(where in the source a frame is, for example the first: addr2line -f -i -e %s "
            "%#jx)",
            example_file, (uintmax_t)example_offset);
    if (holds_missed_() != 0 || order_missed_() != 0)
        report_line_("(not recorded for lack of room: %llu holds, %llu orders)",
                     (unsigned long long)holds_missed_(), (unsigned long long)order_missed_());
    reports++;
    switch (report_mode_) {
    case TWOSTATE_VALIDATE_STOP:
        stopping = true;
        holds_unlock_();
        sys_die_("%s", now.text);
    case TWOSTATE_VALIDATE_LOG:
        log_now();
        break;
    case TWOSTATE_VALIDATE_COLLECT:
        keep();
        break;
    }
}

uint64_t report_count_(void)
{
    return reports;
}

uint64_t report_lost_(void)
{
    return lost;
}

bool report_next_(struct twostate_report *report)
{
    if (keeping == 0)
        return false;
    *report = kept[oldest];
    oldest = (oldest + 1) % KEPT;
    keeping--;
    return true;
}

void report_clear_count_(void)
{
    reports = 0;
    lost = 0;
}

void report_fork_child_(void)
{
    stopping = false;
}
