// The catalogue: prices.json read into memory, and finding a model's price.
//
// Looking up walks a provider's models and their match clauses, some
// microseconds; callers keep what they found.
#include "farthing/ledger.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLAUSE_DEPTH_MAX = 8, FILE_BYTES_MAX = 64 << 20 };

enum clause_kind { CLAUSE_EQUALS, CLAUSE_STARTS, CLAUSE_ENDS, CLAUSE_CONTAINS, CLAUSE_OR, CLAUSE_AND };

struct clause {
    enum clause_kind kind;
    struct slice text;
    struct clause *parts;
    size_t part_count;
};

// A price that holds from a day on, or between two times of each day (UTC).
struct variant {
    struct price price;
    int64_t from_ms;
    int start_minute, end_minute; // -1: all day
};

struct model {
    struct slice id;
    struct clause match;
    struct variant *variants;
    size_t variant_count;
};

struct service_tier {
    struct slice name;
    int64_t percent;
};

struct vendor {
    struct slice *names, *hosts;
    size_t name_count, host_count;
    struct service_tier *service_tiers;
    size_t service_tier_count;
    struct model *models;
    size_t model_count;
};

struct prices {
    struct arena *arena;
    _Atomic unsigned references;
    struct slice date, source;
    struct vendor *vendors;
    size_t vendor_count;
};

struct reader {
    const struct json_doc *doc;
    struct arena *arena;
    struct error *err;
};

// ----------------------------------------------------------------- reading

static struct slice text_of(struct reader *r, json_ref ref) {
    struct slice s = json_string(r->doc, ref, r->arena);
    return s.ptr == NULL ? SLICE_NONE : arena_copy(r->arena, s);
}

static struct slice member_text(struct reader *r, json_ref object, const char *name) {
    return text_of(r, json_get(r->doc, object, slice_of(name)));
}

static struct slice *read_texts(struct reader *r, json_ref array, size_t *count) {
    *count = array == JSON_NONE ? 0 : json_count(r->doc, array);
    struct slice *out = arena_calloc(r->arena, (*count + 1) * sizeof *out);
    size_t i = 0;
    for (json_ref e = json_first(r->doc, array); e != JSON_NONE; e = json_next(r->doc, array, e))
        out[i++] = text_of(r, e);
    return out;
}

static bool read_clause(struct reader *r, json_ref ref, struct clause *out, int depth) {
    static const struct {
        const char *name;
        enum clause_kind kind;
    } kinds[] = {{"equals", CLAUSE_EQUALS},     {"starts_with", CLAUSE_STARTS},
                 {"ends_with", CLAUSE_ENDS},    {"contains", CLAUSE_CONTAINS},
                 {"or", CLAUSE_OR},             {"and", CLAUSE_AND}};
    if (depth > CLAUSE_DEPTH_MAX)
        return error_set(r->err, "a match clause is nested too deeply");
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        json_ref value = json_get(r->doc, ref, slice_of(kinds[i].name));
        if (value == JSON_NONE)
            continue;
        out->kind = kinds[i].kind;
        if (out->kind != CLAUSE_OR && out->kind != CLAUSE_AND) {
            out->text = text_of(r, value);
            return out->text.ptr != NULL || error_set(r->err, "a match clause needs a text");
        }
        out->part_count = json_count(r->doc, value);
        out->parts = arena_calloc(r->arena, (out->part_count + 1) * sizeof *out->parts);
        size_t n = 0;
        for (json_ref e = json_first(r->doc, value); e != JSON_NONE; e = json_next(r->doc, value, e))
            if (!read_clause(r, e, &out->parts[n++], depth + 1))
                return false;
        return true;
    }
    return error_set(r->err, "a match clause is of no known kind");
}

static bool read_amount(struct reader *r, json_ref object, const char *name, int64_t *out) {
    *out = -1;
    json_ref value = json_get(r->doc, object, slice_of(name));
    if (value == JSON_NONE)
        return true;
    struct money m;
    struct slice text = json_string(r->doc, value, r->arena);
    if (text.ptr == NULL || !money_parse(text, &m) || m.pico < 0)
        return error_set(r->err, "the price \"%s\" must be a decimal in quotes", name);
    *out = m.pico;
    return true;
}

static bool read_amounts(struct reader *r, json_ref object, struct price *p) {
    *p = (struct price){.reasoning = -1};
    return read_amount(r, object, "input", &p->input) &&
           read_amount(r, object, "cached_input", &p->cached_input) &&
           read_amount(r, object, "cache_write", &p->cache_write) &&
           read_amount(r, object, "cache_write_1h", &p->cache_write_1h) &&
           read_amount(r, object, "output", &p->output) &&
           read_amount(r, object, "reasoning", &p->reasoning) &&
           read_amount(r, object, "input_audio", &p->input_audio) &&
           read_amount(r, object, "output_audio", &p->output_audio) &&
           read_amount(r, object, "cached_audio", &p->cached_audio) &&
           read_amount(r, object, "request", &p->request);
}

static bool read_price(struct reader *r, json_ref object, struct price *p) {
    if (!read_amounts(r, object, p))
        return false;
    json_ref steps = json_get(r->doc, object, SLICE("steps"));
    struct price *below = p;
    for (json_ref s = json_first(r->doc, steps); s != JSON_NONE; s = json_next(r->doc, steps, s)) {
        struct price *above = arena_calloc(r->arena, sizeof *above);
        int64_t from;
        if (!read_amounts(r, s, above))
            return false;
        if (!json_i64(r->doc, json_get(r->doc, s, SLICE("above")), &from) || from <= 0)
            return error_set(r->err, "a step needs \"above\", a number of tokens");
        below->step_above = from;
        below->above = above;
        below = above;
    }
    return true;
}

static bool two_digits(struct slice s, size_t at, int *out) {
    uint64_t value;
    if (at + 2 > s.len || !slice_to_u64(slice_make(s.ptr + at, 2), &value))
        return false;
    *out = (int)value;
    return true;
}

// "16:30:00Z" as minutes of the day, -1 when absent or odd.
static int minute_of(struct slice s) {
    int hours, minutes;
    if (!two_digits(s, 0, &hours) || !two_digits(s, 3, &minutes))
        return -1;
    return hours * 60 + minutes;
}

// "2025-12-02" as Unix ms, 0 when absent or odd.
static int64_t day_ms(struct slice s) {
    uint64_t year, month, day;
    if (s.len != 10 || !slice_to_u64(slice_make(s.ptr, 4), &year) ||
        !slice_to_u64(slice_make(s.ptr + 5, 2), &month) ||
        !slice_to_u64(slice_make(s.ptr + 8, 2), &day))
        return 0;
    // Days from civil (Howard Hinnant).
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t mp = ((int64_t)month + 9) % 12;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 + (int64_t)day - 1;
    return (era * 146097 + doe - 719468) * 86400000;
}

static bool read_model(struct reader *r, json_ref ref, struct model *m) {
    m->id = member_text(r, ref, "id");
    if (!read_clause(r, json_get(r->doc, ref, SLICE("match")), &m->match, 0))
        return false;
    json_ref prices = json_get(r->doc, ref, SLICE("prices"));
    size_t count = prices == JSON_NONE ? 0 : json_count(r->doc, prices);
    m->variants = arena_calloc(r->arena, (count + 1) * sizeof *m->variants);
    for (json_ref v = json_first(r->doc, prices); v != JSON_NONE; v = json_next(r->doc, prices, v)) {
        struct variant *variant = &m->variants[m->variant_count++];
        if (!read_price(r, v, &variant->price))
            return false;
        variant->from_ms = day_ms(member_text(r, v, "from"));
        variant->start_minute = minute_of(member_text(r, v, "start_time"));
        variant->end_minute = minute_of(member_text(r, v, "end_time"));
    }
    return m->variant_count > 0 || error_set(r->err, "the model %.*s has no prices", SLICE_ARG(m->id));
}

static void read_service_tiers(struct reader *r, json_ref object, struct vendor *v) {
    v->service_tiers =
        arena_calloc(r->arena, ((object == JSON_NONE ? 0 : json_count(r->doc, object)) + 1) *
                                   sizeof *v->service_tiers);
    for (json_ref key = json_first(r->doc, object); key != JSON_NONE;
         key = json_next(r->doc, object, key)) {
        int64_t percent;
        if (json_i64(r->doc, json_value_of(key), &percent) && percent >= 0 && percent <= 1000)
            v->service_tiers[v->service_tier_count++] =
                (struct service_tier){text_of(r, key), percent};
    }
}

static bool read_vendor(struct reader *r, json_ref ref, struct vendor *v) {
    v->names = read_texts(r, json_get(r->doc, ref, SLICE("names")), &v->name_count);
    v->hosts = read_texts(r, json_get(r->doc, ref, SLICE("hosts")), &v->host_count);
    read_service_tiers(r, json_get(r->doc, ref, SLICE("service_tiers")), v);
    json_ref models = json_get(r->doc, ref, SLICE("models"));
    size_t count = models == JSON_NONE ? 0 : json_count(r->doc, models);
    v->models = arena_calloc(r->arena, (count + 1) * sizeof *v->models);
    for (json_ref m = json_first(r->doc, models); m != JSON_NONE; m = json_next(r->doc, models, m))
        if (!read_model(r, m, &v->models[v->model_count++]))
            return false;
    return true;
}

static bool read_all(struct prices *p, const struct json_doc *doc, struct error *err) {
    struct reader r = {doc, p->arena, err};
    p->date = member_text(&r, JSON_ROOT, "date");
    p->source = member_text(&r, JSON_ROOT, "source");
    json_ref vendors = json_get(doc, JSON_ROOT, SLICE("providers"));
    if (vendors == JSON_NONE || json_type_of(doc, vendors) != JSON_ARRAY)
        return error_set(err, "there is no list \"providers\"");
    p->vendors = arena_calloc(p->arena, (json_count(doc, vendors) + 1) * sizeof *p->vendors);
    for (json_ref v = json_first(doc, vendors); v != JSON_NONE; v = json_next(doc, vendors, v))
        if (!read_vendor(&r, v, &p->vendors[p->vendor_count++]))
            return false;
    return true;
}

struct prices *prices_parse(struct slice text, struct error *err) {
    struct arena *arena = arena_new(16 * 1024);
    struct prices *p = arena_calloc(arena, sizeof *p);
    p->arena = arena;
    p->references = 1;
    struct json_doc *doc = json_doc_new();
    bool ok = json_parse(doc, text, NULL, err) && read_all(p, doc, err);
    json_doc_free(doc);
    if (ok)
        return p;
    prices_unref(p);
    return NULL;
}

struct prices *prices_load(const char *path, struct error *err) {
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        error_set(err, "cannot open the prices \"%s\": %s", path, strerror(errno));
        return NULL;
    }
    struct buffer text = {0};
    size_t n;
    do {
        buffer_reserve(&text, 65536);
        n = fread(text.ptr + text.len, 1, 65536, f);
        text.len += n;
    } while (n > 0 && text.len < FILE_BYTES_MAX);
    fclose(f);
    struct error inner;
    struct prices *p = prices_parse(buffer_slice(&text), &inner);
    if (p == NULL)
        error_set(err, "the prices \"%s\" are not valid: %s", path, inner.text);
    buffer_free(&text);
    return p;
}

struct prices *prices_ref(struct prices *p) {
    atomic_fetch_add(&p->references, 1);
    return p;
}

void prices_unref(struct prices *p) {
    if (p != NULL && atomic_fetch_sub(&p->references, 1) == 1)
        arena_free(p->arena);
}

struct slice prices_date(const struct prices *p) {
    return p->date;
}

struct slice prices_source(const struct prices *p) {
    return p->source;
}

size_t prices_count(const struct prices *p) {
    size_t count = 0;
    for (size_t v = 0; v < p->vendor_count; v++)
        count += p->vendors[v].model_count;
    return count;
}

// ----------------------------------------------------------------- finding

static bool holds(const struct clause *c, struct slice model) {
    switch (c->kind) {
    case CLAUSE_EQUALS:
        return slice_equal(model, c->text);
    case CLAUSE_STARTS:
        return slice_starts_with(model, c->text);
    case CLAUSE_ENDS:
        return slice_ends_with(model, c->text);
    case CLAUSE_CONTAINS:
        return slice_find(model, c->text) >= 0;
    case CLAUSE_OR:
    case CLAUSE_AND:
        break;
    }
    // CLAUSE_DEPTH_MAX bounds this; the file is the operator's.
    for (size_t i = 0; i < c->part_count; i++)
        if (holds(&c->parts[i], model) == (c->kind == CLAUSE_OR))
            return c->kind == CLAUSE_OR;
    return c->kind == CLAUSE_AND;
}

// "openai" is also meant by "openai-eu" and "openai_batch".
static bool is_called(const struct vendor *v, struct slice name) {
    for (size_t i = 0; i < v->name_count; i++) {
        struct slice own = v->names[i];
        if (slice_starts_with(name, own) &&
            (name.len == own.len || name.ptr[own.len] == '-' || name.ptr[own.len] == '_'))
            return true;
    }
    return false;
}

static bool is_at(const struct vendor *v, struct slice host) {
    for (size_t i = 0; i < v->host_count; i++)
        if (slice_find(host, v->hosts[i]) >= 0)
            return true;
    return false;
}

static bool active(const struct variant *v, int64_t now_ms) {
    if (v->from_ms > now_ms)
        return false;
    if (v->start_minute < 0 || v->end_minute < 0)
        return true;
    int minute = (int)(now_ms / 60000 % 1440);
    if (v->start_minute <= v->end_minute)
        return minute >= v->start_minute && minute < v->end_minute;
    return minute >= v->start_minute || minute < v->end_minute;
}

static void scale(int64_t *price, int64_t percent) {
    if (*price > 0)
        *price = (int64_t)((__int128)*price * percent / 100);
}

// A service tier's share of every price. Steps are scaled in place, so a price
// with steps is only found at the standard tier.
static bool apply_service_tier(const struct vendor *v, struct slice tier, struct price *p) {
    if (tier.len == 0 || slice_equal(tier, SLICE("default")) || slice_equal(tier, SLICE("auto")) ||
        slice_equal(tier, SLICE("standard")) || slice_equal(tier, SLICE("on_demand")))
        return true;
    for (size_t i = 0; i < v->service_tier_count; i++) {
        if (!slice_equal(v->service_tiers[i].name, tier))
            continue;
        int64_t percent = v->service_tiers[i].percent;
        int64_t *all[] = {&p->input,  &p->cached_input, &p->cache_write,  &p->cache_write_1h,
                          &p->output, &p->reasoning,    &p->input_audio,  &p->output_audio,
                          &p->cached_audio};
        for (size_t k = 0; k < FARTHING_COUNT(all); k++)
            scale(all[k], percent);
        return percent == 100 || p->above == NULL;
    }
    return false;
}

static bool find_in(const struct vendor *v, struct slice model, struct slice tier, int64_t now_ms,
                    struct price *out) {
    for (size_t m = 0; m < v->model_count; m++) {
        const struct model *candidate = &v->models[m];
        if (!slice_equal(candidate->id, model) && !holds(&candidate->match, model))
            continue;
        const struct variant *chosen = &candidate->variants[0];
        for (size_t i = 1; i < candidate->variant_count; i++)
            if (active(&candidate->variants[i], now_ms))
                chosen = &candidate->variants[i]; // the last that holds
        *out = chosen->price;
        return apply_service_tier(v, tier, out);
    }
    return false;
}

bool prices_find(const struct prices *p, struct slice provider, struct slice host,
                 struct slice model, struct slice service_tier, int64_t now_ms, struct price *out) {
    char lower[256];
    if (model.len == 0 || model.len > sizeof lower)
        return false;
    for (size_t i = 0; i < model.len; i++)
        lower[i] = model.ptr[i] >= 'A' && model.ptr[i] <= 'Z' ? (char)(model.ptr[i] + 32)
                                                              : model.ptr[i];
    struct slice name = slice_make(lower, model.len);
    if (slice_starts_with(name, SLICE("models/"))) // Google's spelling
        name = slice_from(name, 7);
    for (size_t v = 0; v < p->vendor_count; v++)
        if (is_at(&p->vendors[v], host) || is_called(&p->vendors[v], provider))
            return find_in(&p->vendors[v], name, service_tier, now_ms, out);
    return false;
}
