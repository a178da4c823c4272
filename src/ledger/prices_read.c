// Reading the catalogue. What is odd in it is an error with a name: a price
// that was skipped in silence would be a cost that is wrong in silence.
#include <stdlib.h>

#include "prices.h"

enum { CLAUSE_DEPTH_MAX = 8 };

struct reader {
    const struct json_doc *doc;
    struct arena *arena;
    struct error *err;
};

// -------------------------------------------------------------- small things

// A text of at least one byte, or SLICE_NONE.
static struct slice text_of(struct reader *r, json_ref ref) {
    if (ref == JSON_NONE)
        return SLICE_NONE;
    struct slice s = json_string(r->doc, ref, r->arena);
    return s.len == 0 ? SLICE_NONE : arena_copy(r->arena, s);
}

// Names compare without case.
static struct slice lower_of(struct reader *r, json_ref ref) {
    struct slice s = text_of(r, ref);
    char *bytes = (char *)(uintptr_t)s.ptr; // the arena's copy, ours to change
    for (size_t i = 0; i < s.len; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] = (char)(bytes[i] + 32);
    return s;
}

static json_ref member(struct reader *r, json_ref object, const char *name) {
    return json_get(r->doc, object, slice_of(name));
}

// The members of a list, or none when it is absent.
static bool find_list(struct reader *r, json_ref object, const char *name, json_ref *list,
                      size_t *count) {
    *list = member(r, object, name);
    *count = 0;
    if (*list == JSON_NONE)
        return true;
    if (json_type_of(r->doc, *list) != JSON_ARRAY)
        return error_set(r->err, "\"%s\" must be a list", name);
    *count = json_count(r->doc, *list);
    return true;
}

static json_ref first_of(struct reader *r, json_ref list) {
    return list == JSON_NONE ? JSON_NONE : json_first(r->doc, list);
}

static bool read_names(struct reader *r, json_ref object, const char *name, struct slice **out,
                       size_t *count) {
    json_ref list;
    if (!find_list(r, object, name, &list, count))
        return false;
    *out = arena_calloc(r->arena, (*count + 1) * sizeof **out);
    size_t i = 0;
    for (json_ref e = first_of(r, list); e != JSON_NONE; e = json_next(r->doc, list, e), i++) {
        (*out)[i] = lower_of(r, e);
        if ((*out)[i].len == 0)
            return error_set(r->err, "\"%s\" must be a list of texts", name);
    }
    return true;
}

// ------------------------------------------------------------------- clauses

static bool read_clause(struct reader *r, json_ref ref, struct clause *out, int depth);

static bool read_parts(struct reader *r, json_ref ref, const char *name, struct clause *out,
                       int depth) {
    json_ref list;
    if (!find_list(r, ref, name, &list, &out->part_count))
        return false;
    if (out->part_count == 0) // "and" of nothing would fit every model
        return error_set(r->err, "a match clause \"%s\" is empty", name);
    out->parts = arena_calloc(r->arena, out->part_count * sizeof *out->parts);
    size_t n = 0;
    for (json_ref e = first_of(r, list); e != JSON_NONE; e = json_next(r->doc, list, e))
        if (!read_clause(r, e, &out->parts[n++], depth + 1))
            return false;
    return true;
}

// CLAUSE_DEPTH_MAX bounds the recursion.
static bool read_clause(struct reader *r, json_ref ref, struct clause *out, int depth) {
    static const struct {
        const char *name;
        enum clause_kind kind;
    } kinds[] = {{"equals", CLAUSE_EQUALS},  {"starts_with", CLAUSE_STARTS},
                 {"ends_with", CLAUSE_ENDS}, {"contains", CLAUSE_CONTAINS},
                 {"like", CLAUSE_LIKE},      {"or", CLAUSE_OR},
                 {"and", CLAUSE_AND},        {"not", CLAUSE_NOT}};
    if (depth > CLAUSE_DEPTH_MAX)
        return error_set(r->err, "a match clause is nested too deeply");
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        json_ref value = member(r, ref, kinds[i].name);
        if (value == JSON_NONE)
            continue;
        out->kind = kinds[i].kind;
        if (out->kind == CLAUSE_OR || out->kind == CLAUSE_AND)
            return read_parts(r, ref, kinds[i].name, out, depth);
        if (out->kind == CLAUSE_NOT) {
            out->part_count = 1;
            out->parts = arena_calloc(r->arena, sizeof *out->parts);
            return read_clause(r, value, out->parts, depth + 1);
        }
        out->text = lower_of(r, value);
        return out->text.len > 0 || error_set(r->err, "a match clause needs a text");
    }
    return error_set(r->err, "a match clause is of no known kind");
}

// -------------------------------------------------------------------- prices

// A decimal of any length, rounded up to the pico-USD for a million tokens: the
// sources hold quotients like 0.08333333333333334.
static bool parse_amount(struct slice text, int64_t *out) {
    enum { DECIMALS_MAX = 12 };
    ptrdiff_t point = slice_find_char(text, '.');
    size_t kept = text.len;
    if (point >= 0 && text.len - (size_t)point - 1 > DECIMALS_MAX)
        kept = (size_t)point + 1 + DECIMALS_MAX;
    bool more = false;
    for (size_t i = kept; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        more = more || text.ptr[i] != '0';
    }
    struct money m;
    if (!money_parse(slice_make(text.ptr, kept), &m) || m.pico < 0)
        return false;
    *out = money_add(m, (struct money){more ? 1 : 0}).pico;
    return true;
}

// What is not there keeps what *out has.
static bool read_amount(struct reader *r, json_ref object, const char *name, int64_t *out) {
    json_ref value = member(r, object, name);
    if (value == JSON_NONE)
        return true;
    return parse_amount(text_of(r, value), out) ||
           error_set(r->err, "the price \"%s\" must be a decimal in quotes", name);
}

static bool read_amounts(struct reader *r, json_ref object, struct price *p) {
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
    json_ref steps;
    size_t count;
    *p = (struct price){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, NULL};
    if (!read_amounts(r, object, p) || !find_list(r, object, "steps", &steps, &count))
        return false;
    struct price *below = p;
    int64_t last = 0;
    for (json_ref s = first_of(r, steps); s != JSON_NONE; s = json_next(r->doc, steps, s)) {
        struct price *above = arena_calloc(r->arena, sizeof *above);
        int64_t from;
        *above = *below; // a step says what it changes
        if (!read_amounts(r, s, above))
            return false;
        if (!json_i64(r->doc, member(r, s, "above"), &from) || from <= last)
            return error_set(r->err,
                             "a step needs \"above\", a number of tokens over the last one's");
        below->step_above = last = from;
        below->above = above;
        below = above;
    }
    return true;
}

static void scale(int64_t *amount, int64_t percent) {
    if (*amount <= 0)
        return;
    __int128 scaled = ((__int128)*amount * percent + 99) / 100;
    *amount = scaled > INT64_MAX ? INT64_MAX : (int64_t)scaled;
}

// A service tier's share of every price, and of every step's.
static void scale_price(struct reader *r, const struct price *from, int64_t percent,
                        struct price *to) {
    for (;;) {
        *to = *from;
        int64_t *all[] = {&to->input,     &to->cached_input, &to->cache_write,  &to->cache_write_1h,
                          &to->output,    &to->reasoning,    &to->input_audio,  &to->output_audio,
                          &to->cached_audio};
        for (size_t i = 0; i < FARTHING_COUNT(all); i++)
            scale(all[i], percent);
        if (from->above == NULL)
            return;
        struct price *above = arena_calloc(r->arena, sizeof *above);
        to->above = above;
        from = from->above;
        to = above;
    }
}

// ---------------------------------------------------------------------- time

static bool digits(struct slice s, size_t at, size_t count, int64_t most, int64_t *out) {
    return at + count <= s.len && slice_to_i64(slice_make(s.ptr + at, count), out) && *out <= most;
}

// "16:30:00Z" as minutes of the day; -1 when absent.
static bool read_minute(struct reader *r, json_ref object, const char *name, int *out) {
    *out = -1;
    json_ref value = member(r, object, name);
    if (value == JSON_NONE)
        return true;
    struct slice s = text_of(r, value);
    int64_t hours, minutes;
    if (!digits(s, 0, 2, 23, &hours) || s.ptr[2] != ':' || !digits(s, 3, 2, 59, &minutes))
        return error_set(r->err, "\"%s\" must be a time like 16:30:00Z", name);
    *out = (int)(hours * 60 + minutes);
    return true;
}

// Days since 1970-01-01 in the Gregorian calendar: years of 365 days and their
// leap days, counted from March so that the leap day is a year's last.
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    static const int before_month[] = {306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275};
    if (month <= 2)
        year--;
    int64_t leap_days = year / 4 - year / 100 + year / 400;
    return year * 365 + leap_days + before_month[month - 1] + day - 1 - 719468;
}

// "2025-12-02" as Unix ms; 0 when absent.
static bool read_day(struct reader *r, json_ref object, const char *name, int64_t *out) {
    *out = 0;
    json_ref value = member(r, object, name);
    if (value == JSON_NONE)
        return true;
    struct slice s = text_of(r, value);
    int64_t year, month, day;
    if (s.len != 10 || s.ptr[4] != '-' || s.ptr[7] != '-' || !digits(s, 0, 4, 9999, &year) ||
        !digits(s, 5, 2, 12, &month) || !digits(s, 8, 2, 31, &day) || year < 1970 || month < 1 ||
        day < 1)
        return error_set(r->err, "\"%s\" must be a day like 2025-12-02", name);
    *out = days_of(year, month, day) * 86400000;
    return true;
}

// -------------------------------------------------------------------- models

static bool read_variant(struct reader *r, json_ref ref, const struct vendor *vendor,
                         struct variant *v) {
    if (json_type_of(r->doc, ref) != JSON_OBJECT)
        return error_set(r->err, "a price must be an object");
    struct price *prices =
        arena_calloc(r->arena, (1 + vendor->service_tier_count) * sizeof *prices);
    if (!read_price(r, ref, &prices[0]) || !read_day(r, ref, "from", &v->from_ms) ||
        !read_minute(r, ref, "start_time", &v->start_minute) ||
        !read_minute(r, ref, "end_time", &v->end_minute))
        return false;
    if ((v->start_minute < 0) != (v->end_minute < 0))
        return error_set(r->err, "\"start_time\" and \"end_time\" go together");
    for (size_t i = 0; i < vendor->service_tier_count; i++)
        scale_price(r, &prices[0], vendor->service_tiers[i].percent, &prices[1 + i]);
    v->by_tier = prices;
    // What is sold by the hour or the page has no price here, which is not 0.
    v->priced = prices[0].input >= 0 || prices[0].output >= 0 || prices[0].request >= 0;
    return true;
}

static bool read_model(struct reader *r, json_ref ref, const struct vendor *vendor,
                       struct model *m) {
    json_ref list;
    size_t count;
    m->id = lower_of(r, member(r, ref, "id"));
    if (m->id.len == 0)
        return error_set(r->err, "a model needs an \"id\"");
    bool ok = read_clause(r, member(r, ref, "match"), &m->match, 0) &&
              find_list(r, ref, "prices", &list, &count) &&
              (count > 0 || error_set(r->err, "there are no \"prices\""));
    if (ok) {
        m->variants = arena_calloc(r->arena, count * sizeof *m->variants);
        for (json_ref v = first_of(r, list); ok && v != JSON_NONE; v = json_next(r->doc, list, v))
            ok = read_variant(r, v, vendor, &m->variants[m->variant_count++]);
    }
    if (ok || r->err == NULL)
        return ok;
    struct error inner = *r->err;
    return error_set(r->err, "model %.*s: %s", SLICE_ARG(m->id), inner.text);
}

static bool read_service_tiers(struct reader *r, json_ref ref, struct vendor *v) {
    json_ref object = member(r, ref, "service_tiers");
    if (object == JSON_NONE)
        return true;
    if (json_type_of(r->doc, object) != JSON_OBJECT)
        return error_set(r->err, "\"service_tiers\" must be an object");
    v->service_tiers =
        arena_calloc(r->arena, (json_count(r->doc, object) + 1) * sizeof *v->service_tiers);
    for (json_ref key = json_first(r->doc, object); key != JSON_NONE;
         key = json_next(r->doc, object, key)) {
        struct service_tier *tier = &v->service_tiers[v->service_tier_count++];
        tier->name = text_of(r, key);
        if (!json_i64(r->doc, json_value_of(key), &tier->percent) || tier->percent < 0 ||
            tier->percent > 1000 || tier->name.len == 0)
            return error_set(r->err, "a service tier needs a name and its percentage, 0 to 1000");
    }
    return true;
}

static bool read_vendor(struct reader *r, json_ref ref, struct vendor *v) {
    json_ref list;
    size_t count;
    // The service tiers first: each price is made for each of them.
    if (!read_names(r, ref, "names", &v->names, &v->name_count) ||
        !read_names(r, ref, "hosts", &v->hosts, &v->host_count) ||
        !read_names(r, ref, "fallback", &v->fallbacks, &v->fallback_count) ||
        !read_service_tiers(r, ref, v) || !find_list(r, ref, "models", &list, &count))
        return false;
    v->models = arena_calloc(r->arena, (count + 1) * sizeof *v->models);
    for (json_ref m = first_of(r, list); m != JSON_NONE; m = json_next(r->doc, list, m))
        if (!read_model(r, m, v, &v->models[v->model_count++]))
            return false;
    return true;
}

static bool read_all(struct prices *p, const struct json_doc *doc, struct error *err) {
    struct reader r = {doc, p->arena, err};
    json_ref list = member(&r, JSON_ROOT, "providers");
    if (list == JSON_NONE || json_type_of(doc, list) != JSON_ARRAY)
        return error_set(err, "there is no list \"providers\"");
    p->date = text_of(&r, member(&r, JSON_ROOT, "date"));
    p->source = text_of(&r, member(&r, JSON_ROOT, "source"));
    p->vendors = arena_calloc(p->arena, (json_count(doc, list) + 1) * sizeof *p->vendors);
    for (json_ref v = json_first(doc, list); v != JSON_NONE; v = json_next(doc, list, v))
        if (!read_vendor(&r, v, &p->vendors[p->vendor_count++]))
            return false;
    return true;
}

bool prices_read(struct prices *p, struct slice text, struct error *err) {
    struct json_doc *doc = json_doc_new();
    bool ok = json_parse(doc, text, NULL, err) && read_all(p, doc, err);
    json_doc_free(doc);
    return ok;
}
