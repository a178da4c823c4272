// The catalogue: its life, and finding a model's price.
//
// Looking up walks a provider's models and their match clauses, some
// microseconds; callers keep what they found.
#include "prices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 64 << 20, MODEL_NAME_MAX = 256 };

struct prices *prices_parse(struct slice text, struct error *err) {
    struct arena *arena = arena_new(16 * 1024);
    struct prices *p = arena_calloc(arena, sizeof *p);
    p->arena = arena;
    p->references = 1;
    if (prices_read(p, text, err))
        return p;
    prices_unref(p);
    return NULL;
}

static bool read_file(const char *path, struct buffer *out, struct error *err) {
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return error_set(err, "cannot open the prices \"%s\": %s", path, strerror(errno));
    size_t n;
    do {
        buffer_reserve(out, 65536);
        n = fread(out->ptr + out->len, 1, 65536, f);
        out->len += n;
    } while (n > 0 && out->len <= FILE_BYTES_MAX);
    int code = ferror(f) ? errno : 0;
    fclose(f);
    if (code != 0) // a directory, for one
        return error_set(err, "cannot read the prices \"%s\": %s", path, strerror(code));
    if (out->len > FILE_BYTES_MAX)
        return error_set(err, "the prices \"%s\" are larger than %d MiB", path,
                         FILE_BYTES_MAX >> 20);
    return true;
}

struct prices *prices_load(const char *path, struct error *err) {
    struct buffer text = {0};
    struct prices *p = NULL;
    struct error inner;
    if (read_file(path, &text, err)) {
        p = prices_parse(buffer_slice(&text), &inner);
        if (p == NULL)
            error_set(err, "the prices \"%s\" are not valid: %s", path, inner.text);
    }
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

// ------------------------------------------------------------------- vendors

// "openai" is also meant by "OpenAI", "openai-eu" and "openai_batch".
static bool is_called(const struct vendor *v, struct slice name) {
    for (size_t i = 0; i < v->name_count; i++) {
        size_t n = v->names[i].len;
        if (name.len >= n && slice_equal_nocase(slice_make(name.ptr, n), v->names[i]) &&
            (name.len == n || name.ptr[n] == '-' || name.ptr[n] == '_'))
            return true;
    }
    return false;
}

static bool is_label_edge(struct slice host, size_t at) {
    return at == 0 || at == host.len || host.ptr[at] == '.' || host.ptr[at - 1] == '.';
}

// The catalogue's hosts are whole labels: "googleapis.com" is meant by
// "us-central1-aiplatform.googleapis.com", "api.moonshot" by "api.moonshot.cn".
static bool holds_labels(struct slice host, struct slice labels) {
    for (size_t at = 0; at + labels.len <= host.len; at++)
        if (slice_equal_nocase(slice_make(host.ptr + at, labels.len), labels) &&
            is_label_edge(host, at) && is_label_edge(host, at + labels.len))
            return true;
    return false;
}

static bool is_at(const struct vendor *v, struct slice host) {
    for (size_t i = 0; i < v->host_count; i++)
        if (holds_labels(host, v->hosts[i]))
            return true;
    return false;
}

static const struct vendor *vendor_called(const struct prices *p, struct slice name) {
    for (size_t v = 0; v < p->vendor_count; v++)
        if (is_called(&p->vendors[v], name))
            return &p->vendors[v];
    return NULL;
}

// Where it is bought says more than what the operator calls it: a provider
// "openai-azure" at openai.azure.com has Azure's prices.
static const struct vendor *find_vendor(const struct prices *p, struct slice provider,
                                        struct slice host) {
    for (size_t v = 0; v < p->vendor_count; v++)
        if (is_at(&p->vendors[v], host))
            return &p->vendors[v];
    return vendor_called(p, provider);
}

// -------------------------------------------------------------------- models

static bool is_like(struct slice pattern, struct slice model) {
    for (size_t i = 0; i < pattern.len; i++) {
        char want = pattern.ptr[i];
        if (want == '*' && i + 1 == pattern.len)
            return true;
        if (i >= model.len)
            return false;
        char c = model.ptr[i];
        if (want == '#' ? c < '0' || c > '9' : c != want)
            return false;
    }
    return model.len == pattern.len;
}

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
    case CLAUSE_LIKE:
        return is_like(c->text, model);
    case CLAUSE_NOT:
        return !holds(&c->parts[0], model);
    case CLAUSE_OR:
    case CLAUSE_AND:
        break;
    }
    // As deep as the reader allowed.
    for (size_t i = 0; i < c->part_count; i++)
        if (holds(&c->parts[i], model) == (c->kind == CLAUSE_OR))
            return c->kind == CLAUSE_OR;
    return c->kind == CLAUSE_AND;
}

static bool is_active(const struct variant *v, int64_t now_ms) {
    if (v->from_ms > now_ms)
        return false;
    if (v->start_minute < 0)
        return true;
    int minute = (int)(now_ms / 60000 % 1440);
    if (v->start_minute <= v->end_minute)
        return minute >= v->start_minute && minute < v->end_minute;
    return minute >= v->start_minute || minute < v->end_minute;
}

// Index into by_tier, or -1: a tier whose share is not known has no price.
static ptrdiff_t tier_index(const struct vendor *v, struct slice tier) {
    static const char *const standard[] = {"", "default", "auto", "standard", "on_demand"};
    if (SLICE_IS_ONE_OF(tier, standard))
        return 0;
    for (size_t i = 0; i < v->service_tier_count; i++)
        if (slice_equal(tier, v->service_tiers[i].name))
            return (ptrdiff_t)i + 1;
    return -1;
}

static const struct variant *variant_at(const struct model *m, int64_t now_ms) {
    for (size_t i = m->variant_count - 1; i > 0; i--)
        if (is_active(&m->variants[i], now_ms))
            return &m->variants[i]; // the last that holds
    return &m->variants[0];
}

static const struct model *find_model(const struct vendor *v, struct slice name) {
    for (size_t i = 0; i < v->model_count; i++)
        if (slice_equal(v->models[i].id, name) || holds(&v->models[i].match, name))
            return &v->models[i];
    return NULL;
}

static bool find_in(const struct prices *p, const struct vendor *v, struct slice name,
                    struct slice tier, int64_t now_ms, struct price *out) {
    const struct vendor *owner = v; // whose model and whose tiers it is
    const struct model *m = find_model(v, name);
    for (size_t i = 0; m == NULL && i < v->fallback_count; i++) {
        owner = vendor_called(p, v->fallbacks[i]);
        m = owner != NULL ? find_model(owner, name) : NULL;
    }
    ptrdiff_t at = m != NULL ? tier_index(owner, tier) : -1;
    const struct variant *variant = m != NULL ? variant_at(m, now_ms) : NULL;
    if (at < 0 || !variant->priced)
        return false;
    *out = variant->by_tier[at];
    return true;
}

bool prices_find(const struct prices *p, struct slice provider, struct slice host,
                 struct slice model, struct slice service_tier, int64_t now_ms, struct price *out) {
    char lower[MODEL_NAME_MAX];
    const struct vendor *v = find_vendor(p, provider, host);
    if (v == NULL || model.len == 0 || model.len > sizeof lower)
        return false;
    for (size_t i = 0; i < model.len; i++)
        lower[i] = model.ptr[i] >= 'A' && model.ptr[i] <= 'Z' ? (char)(model.ptr[i] + 32)
                                                              : model.ptr[i];
    struct slice name = slice_make(lower, model.len);
    if (slice_starts_with(name, SLICE("models/"))) // Google's spelling
        name = slice_from(name, 7);
    return find_in(p, v, name, service_tier, now_ms, out);
}
