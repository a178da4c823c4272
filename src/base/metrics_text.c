// The exposition: Prometheus' text format 0.0.4.
#include "metrics.h"

#include <stdio.h>

static const char *kind_name(enum metric_kind kind) {
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        break;
    }
    return "histogram";
}

// Label values are escaped in quotes, help texts without. (Both are valid UTF-8
// by now.)
static void write_escaped(struct buffer *out, struct slice s, bool quotes) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\' || c == '\n' || (c == '"' && quotes))
            buffer_append_char(out, '\\');
        buffer_append_char(out, c == '\n' ? 'n' : c);
    }
}

static void write_name(struct buffer *out, const struct metric_series *s, const char *suffix,
                       const char *le) {
    buffer_append(out, slice_of(s->family->name));
    buffer_append(out, slice_of(suffix));
    if (s->label_count == 0 && le == NULL) {
        buffer_append_char(out, ' ');
        return;
    }
    char before = '{';
    for (size_t i = 0; i < s->label_count; i++) {
        buffer_append_char(out, before);
        buffer_append(out, slice_of(s->family->labels[i]));
        BUFFER_LITERAL(out, "=\"");
        write_escaped(out, slice_of(s->values[i]), true);
        buffer_append_char(out, '"');
        before = ',';
    }
    if (le != NULL)
        buffer_printf(out, "%cle=\"%s\"", before, le);
    BUFFER_LITERAL(out, "} ");
}

// value / 10^decimals, exactly.
static void write_decimal(struct buffer *out, int64_t value, unsigned decimals) {
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    uint64_t unit = 1;
    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    if (value < 0)
        buffer_append_char(out, '-');
    buffer_append_u64(out, magnitude / unit);
    uint64_t rest = magnitude % unit;
    if (rest == 0)
        return;
    buffer_append_char(out, '.');
    for (unit /= 10; rest > 0; unit /= 10) {
        buffer_append_char(out, (char)('0' + rest / unit));
        rest %= unit;
    }
}

static void write_value(struct buffer *out, const struct metric_family *f, int64_t value) {
    if (f->decimals > 0)
        write_decimal(out, value, f->decimals);
    else if (f->scale != 0)
        buffer_printf(out, "%.15g", (double)value * f->scale); // all that a double can tell
    else
        buffer_append_i64(out, value);
    buffer_append_char(out, '\n');
}

static int64_t load(const _Atomic int64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void write_histogram(struct buffer *out, const struct metric_series *s) {
    const struct metric_family *f = s->family;
    int64_t total = 0;
    for (size_t b = 0; b <= f->bucket_count; b++) {
        char le[32] = "+Inf";
        if (b < f->bucket_count)
            snprintf(le, sizeof le, "%g", f->buckets[b]);
        total += load(&s->buckets[b]);
        write_name(out, s, "_bucket", le);
        buffer_append_i64(out, total);
        buffer_append_char(out, '\n');
    }
    write_name(out, s, "_sum", NULL);
    write_value(out, f, load(&s->value));
    write_name(out, s, "_count", NULL);
    buffer_append_i64(out, total);
    buffer_append_char(out, '\n');
}

void metric_write_all(struct buffer *out) {
    metric_lock();
    for (struct metric_entry *e = metric_entries(); e != NULL; e = e->next) {
        const struct metric_family *f = e->family;
        buffer_printf(out, "# HELP %s ", f->name);
        write_escaped(out, slice_of(f->help), false);
        buffer_printf(out, "\n# TYPE %s %s\n", f->name, kind_name(f->kind));
        for (const struct metric_series *s = e->series; s != NULL; s = s->next) {
            if (f->kind == METRIC_HISTOGRAM) {
                write_histogram(out, s);
                continue;
            }
            write_name(out, s, "", NULL);
            write_value(out, f, load(&s->value));
        }
    }
    metric_unlock();
}
