// farthingctl: what its files share. A client of the admin address, a table of
// commands, and printing for people.
#ifndef FARTHING_MAIN_CTL_H
#define FARTHING_MAIN_CTL_H

#include <stdio.h>

#include "farthing/json.h"

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_WORDS_MAX = 64 };

// What stood on the command line.
struct ctl_call {
    const char *admin; // HOST:PORT
    bool json, from_stdin;
    const char *tenant, *reason, *route, *window; // NULL: not given
    const char *feature, *prompt_version, *corpus_version, *key;
    // Of train, classify and eval; NULL: not given.
    const char *out, *model, *svg, *folds, *seed, *small_price, *large_price;
    const char *words[CTL_WORDS_MAX + 1];
    size_t word_count;
};

// ctl_client.c: asks, and says on standard error what went wrong. body NULL:
// GET. The text of a 200 goes to *answer.
bool ctl_ask(const char *admin, const char *path, const struct buffer *body,
             struct buffer *answer) FARTHING_MUST_CHECK;

// ctl_commands.c: the exit status.
int ctl_run(struct ctl_call *call);
void ctl_write_usage(FILE *out);

enum { CTL_MAY_TENANT = 1, CTL_MAY_REASON = 2, CTL_MAY_STDIN = 4,
       CTL_MAY_OUT = 8, CTL_MAY_MODEL = 16, CTL_MAY_PROVE = 32, CTL_MAY_DRAW = 64,
       CTL_MAY_ROUTE = 128, CTL_MAY_WINDOW = 256, CTL_MAY_TAGS = 512 };

// A list in an answer.
struct ctl_table {
    const char *list;                 // the answer's member
    const struct ctl_column *columns; // and how it is shown
};

struct ctl_command {
    const char *name[2]; // "budgets", "top-up"
    const char *arguments, *help;
    size_t least, most; // words after the name
    unsigned may;       // options
    int (*run)(const struct ctl_command *command, struct ctl_call *call);
    const char *path;
    const struct ctl_table *tables; // of the answer; the last has no list
};

// ctl_run.c: the exit status.
int ctl_run_status(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_list(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_budget(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_key(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_breaker(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_savings(const struct ctl_command *command, struct ctl_call *call); // ctl_savings.c
// An answer's text; false: it was said why.
bool ctl_parse(struct json_doc *doc, const struct buffer *answer) FARTHING_MUST_CHECK;
// ?NAME=VALUE, or &; NULL: nothing.
void ctl_put_param(struct buffer *path, const char *name, const char *value);
int ctl_run_purge(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_feedback(const struct ctl_command *command, struct ctl_call *call);
// ctl_learn.c
int ctl_run_train(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_classify(const struct ctl_command *command, struct ctl_call *call);
int ctl_run_eval(const struct ctl_command *command, struct ctl_call *call);
int ctl_refuse_words(const struct ctl_command *command); // says how it is used

// ctl_print.c
enum ctl_format {
    CTL_TEXT,
    CTL_RIGHT,  // a number or an amount
    CTL_SIGNED, // a number that may be -1 without being unset
    CTL_AGE,    // milliseconds as 1.2s
    CTL_FLAG,   // yes, or nothing
    CTL_OF,     // member and second: 3/20
    CTL_RATE,   // an object with remaining and limit
    CTL_SHARE,  // of one, as percent
    CTL_CHANGE, // objects `before` and `after`: what differs
};
struct ctl_column {
    const char *head, *member;
    enum ctl_format format;
    const char *second;
};
// An array of objects, one a line, in columns; `columns` ends with a head of NULL.
void ctl_print_table(const struct json_doc *doc, json_ref array, const struct ctl_column *columns);
// A string or a number; "-" where there is none.
void ctl_put_value(struct buffer *out, const struct json_doc *doc, json_ref value);
void ctl_print_members(const struct json_doc *doc, json_ref object);
// What an order did.
void ctl_print_deed(const struct json_doc *doc, json_ref deed);

#endif
