// Prints one generated part of the documentation, or without a name the list
// of parts. scripts/update-docs puts them into the pages; the test house/docs
// compares.
#include <stdio.h>

#include "farthing/api.h"
#include "farthing/cache.h"
#include "farthing/config.h"
#include "farthing/ledger.h"

// The part of a reference before the first line that begins so, or from it on:
// between the two a page has its hand-written introduction.
static void keep_head(struct buffer *page, struct slice first_of_rest) {
    ptrdiff_t at = slice_find(buffer_slice(page), first_of_rest);
    if (at >= 0)
        page->len = (size_t)at;
}

static void keep_rest(struct buffer *page, struct slice first_of_rest) {
    ptrdiff_t at = slice_find(buffer_slice(page), first_of_rest);
    if (at >= 0)
        buffer_consume(page, (size_t)at);
}

static void write_configuration_head(struct buffer *out) {
    config_write_reference(out);
    keep_head(out, SLICE("\n## "));
}

static void write_configuration_tables(struct buffer *out) {
    config_write_reference(out);
    keep_rest(out, SLICE("\n## "));
}

static void write_cost_log_head(struct buffer *out) {
    cost_row_write_reference(out);
    keep_head(out, SLICE("\n| "));
}

static void write_cost_log_table(struct buffer *out) {
    cost_row_write_reference(out);
    keep_rest(out, SLICE("\n| "));
}

static void write_errors(struct buffer *out) {
    BUFFER_LITERAL(out, "| `error.code` | status | `error.type` | `x-should-retry: false` |\n"
                        "| --- | --- | --- | --- |\n");
    for (int e = API_ERROR_NONE + 1; e < API_ERROR_COUNT; e++) {
        const struct api_error_info *info = api_error_info((enum api_error)e);
        buffer_printf(out, "| `%s` | %d | `%s` | %s |\n", info->code, info->status, info->type,
                      info->retryable ? "no" : "yes");
    }
}

// Names of the endpoints for which the field has this rule.
static void write_endpoints(struct buffer *out, const struct cache_field *field,
                            enum cache_field_rule rule) {
    const char *before = "";
    for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++)
        if (field->rule[e] == rule) {
            buffer_printf(out, "%s%s", before, api_endpoint_name((enum api_endpoint)e));
            before = ", ";
        }
}

static bool is_dropped_somewhere(const struct cache_field *field) {
    for (int e = 0; e < CACHE_FIELD_ENDPOINTS; e++)
        if (field->rule[e] == CACHE_FIELD_DROP)
            return true;
    return false;
}

static void write_dropped_fields(struct buffer *out) {
    size_t count;
    const struct cache_field *fields = cache_fields(&count);
    BUFFER_LITERAL(out, "| field | dropped for | kept for | what it is |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < count; i++) {
        if (!is_dropped_somewhere(&fields[i]))
            continue;
        buffer_printf(out, "| `%.*s` | ", SLICE_ARG(fields[i].name));
        write_endpoints(out, &fields[i], CACHE_FIELD_DROP);
        BUFFER_LITERAL(out, " | ");
        write_endpoints(out, &fields[i], CACHE_FIELD_KEEP);
        buffer_printf(out, " | %s |\n", fields[i].why);
    }
}

static const struct {
    const char *name;
    void (*write)(struct buffer *out);
} parts[] = {
    {"configuration.head", write_configuration_head},
    {"configuration.tables", write_configuration_tables},
    {"cost-log.head", write_cost_log_head},
    {"cost-log.table", write_cost_log_table},
    {"dropped-fields", write_dropped_fields},
    {"errors", write_errors},
};

static int print_part(const char *name) {
    for (size_t i = 0; i < FARTHING_COUNT(parts); i++) {
        if (strcmp(name, parts[i].name) != 0)
            continue;
        struct buffer out = {0};
        parts[i].write(&out);
        bool written = fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
        buffer_free(&out);
        return written ? 0 : 1;
    }
    fprintf(stderr, "write_docs: there is no part \"%s\"\n", name);
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 2)
        return print_part(argv[1]);
    for (size_t i = 0; i < FARTHING_COUNT(parts); i++)
        puts(parts[i].name);
    return 0;
}
