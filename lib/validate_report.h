/* SPDX-License-Identifier: MIT */
/* What the validator says: text, with stacks, and then the end of the program, a log or a queue. */
#ifndef TS_VALIDATE_REPORT_H
#define TS_VALIDATE_REPORT_H

#include <twostate/validate.h>

#include "validate_order.h"

/* What is done with reports, and which rules are checked. Settings of the validator. */
extern enum twostate_validate_mode report_mode_;
extern uint32_t report_rules_;

/* "order", for TWOSTATE_RULE_ORDER. */
const char *report_rule_name_(enum twostate_rule rule);

/*
 * Walks up the path of the present call. site: the return address of the call into the library;
 * NULL: the walk begins somewhere in it.
 */
void report_stack_(struct stack *stack, const void *site);

/*
 * One report, under the holds' mutex: begin, any of the others, end. The end stops the program, or
 * goes on, as the mode is.
 */
void report_begin_(enum twostate_rule rule, const void *lock, bool exclusive, const char *call,
                   const char *why);
void report_call_(const struct watch_call *call, const struct twostate_class *cls,
                  const struct stack *stack);
void report_hold_(const struct hold *hold);
void report_cycle_(const struct order_cycle *cycle);
void report_stack_of_(const char *title, const struct stack *stack);
void report_line_(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_end_(void);

uint64_t report_count_(void);
uint64_t report_lost_(void);
bool report_next_(struct twostate_report *report);
void report_clear_count_(void);

/* In a forked child: if another thread was just stopping the program, that was the parent. */
void report_fork_child_(void);

#endif
