// The table of the cost row's fields.
#ifndef FARTHING_LEDGER_ROW_H
#define FARTHING_LEDGER_ROW_H

#include "farthing/ledger.h"

enum row_kind {
    ROW_TIME, ROW_TEXT, ROW_RAW, ROW_INT, ROW_LONG, ROW_LONG_OR_NULL, ROW_BOOL, ROW_MONEY, ROW_COST,
    ROW_BASELINE, ROW_ENDPOINT, ROW_USAGE_SOURCE, ROW_ATTEMPTS, ROW_SAVED,
};

struct row_field {
    const char *name;
    enum row_kind kind;
    size_t offset; // into struct cost_row, where the kind needs it
    const char *sql_type;
    bool indexed;
    const char *help;
};

const struct row_field *row_fields(size_t *count);
void row_metrics_observe(const struct cost_row *row); // row_metrics.c
void row_metrics_declare(void);

#endif
