/* SPDX-License-Identifier: MIT */
/* twostate-io top: the command line, the terminal, and the time between two looks. */
#include "top.h"
#include "number.h"
#include "option_table.h"
#include "options.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct top {
    struct looks looks;
    bool once, json;
    double interval;
    bool screen; /* the standard output is a terminal, and is redrawn */
    bool keys;   /* and the standard input is one too */
    struct termios before;
};

static void parse(struct top *top, const char **target, int argc, char **argv)
{
    struct option known[OPTIONS_MAX];
    int option;

    top->interval = 1;
    option_table_getopt(OF_TOP, known);
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        options_common(OF_TOP, option);
        if (option == OPTION_ONCE)
            top->once = true;
        else if (option == OPTION_JSON)
            top->json = true;
        else
            top->interval = parse_number(optarg, "--interval", 0.1, 3600);
    }
    if (argc - optind != 1) {
        fputs("usage: twostate-io top FILE|PID|SOCKET [OPTION...]\nTry twostate-io help top.\n",
              stderr);
        exit(2);
    }
    *target = argv[optind];
}

/* A screen of its own, no cursor, and lines that are too long are cut. */
static void take_terminal(struct top *top)
{
    top->screen = !top->once && !top->json && isatty(STDOUT_FILENO);
    top->keys = top->screen && tcgetattr(STDIN_FILENO, &top->before) == 0;
    if (top->screen)
        fputs("\033[?1049h\033[?25l\033[?7l", stdout);
    if (top->keys) {
        struct termios raw = top->before;

        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
}

static void give_terminal_back(const struct top *top)
{
    if (top->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &top->before);
    if (top->screen)
        fputs("\033[?7h\033[?25h\033[?1049l", stdout);
    fflush(stdout);
}

static unsigned rows(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row : 24;
}

/* As many lines as there is room for. */
static void show_on_screen(const char *text)
{
    unsigned left = rows() - 1;

    fputs("\033[H", stdout);
    while (*text != '\0' && left-- > 0) {
        const size_t length = strcspn(text, "\n");

        printf("%.*s\033[K\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
    printf("\033[J%s", *text != '\0' ? "... (the rest does not fit)" : "q: quit");
    fflush(stdout);
}

static void show(const struct top *top)
{
    char *text = NULL;
    size_t length = 0;

    for (unsigned i = 0; top->json && i < top->looks.count; i++) {
        json_dumpf(top->looks.looks[i].state, stdout, JSON_COMPACT);
        putchar('\n');
    }
    if (top->json) {
        fflush(stdout);
        return;
    }
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        die("out of memory");
    top_draw(&top->looks, out);
    fclose(out);
    if (top->screen)
        show_on_screen(text);
    else
        printf("%s%s", text, top->once ? "" : "\n");
    fflush(stdout);
    free(text);
}

/* Until the next look: false if it is the end. */
static bool wait_a_while(const struct top *top)
{
    int64_t until = now_ns() + (int64_t)(top->interval * (double)NS_PER_S);

    for (int64_t left; (left = until - now_ns()) > 0;) {
        struct pollfd key = {.fd = top->keys ? STDIN_FILENO : -1, .events = POLLIN};
        char byte;

        if (load_interrupted)
            return false;
        if (poll(&key, 1, (int)(left / 1000000) + 1) == 1 &&
            (read(STDIN_FILENO, &byte, 1) != 1 || byte == 'q' || byte == 'Q'))
            return false;
    }
    return !load_interrupted;
}

int top_main(int argc, char **argv)
{
    struct top top = {0};
    const char *target;
    bool ended = false;

    parse(&top, &target, argc, argv);
    looks_find(&top.looks, target);
    take_terminal(&top);
    show(&top);
    while (!top.once && !ended && !ferror(stdout) && wait_a_while(&top)) {
        ended = !looks_again(&top.looks);
        if (!ended)
            show(&top);
    }
    give_terminal_back(&top);
    if (ended)
        complain("%s: its engine has ended", target);
    looks_end(&top.looks);
    return status_of_output(0);
}
