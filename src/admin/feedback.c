// What people say of answers: POST /feedback {"request_id", "ok"}.
//
// It is counted as past success of the feature and the tier of the request's row, and
// written to the file of outcomes, where there is one, for training. Rows are written
// some twenty times a second, so a request is known a moment after its answer.
#include <stdlib.h>

#include "admin_room.h"

enum { AROUND_MS = 1000 }; // a request's id is made in the moment that its row begins with

static const struct metric_family feedback_family = {
    "farthing_feedback_total",
    "Answers that people called good or bad; unknown: there was no such request.",
    METRIC_COUNTER, {"result"}, 0, 0, 0, 0};

void feedback_declare(void) {
    metric_declare(&feedback_family);
}

static void note_result(struct slice result) {
    metric_add(metric_series(&feedback_family, &result), 1);
}

// Until the row was found: the order is gone by then.
struct feedback {
    struct admin *admin;
    bool ok;
    size_t id_len, who_len, reason_len;
    char text[]; // the three, one after the other
};

static struct feedback *feedback_new(struct admin *a, const struct admin_order *o) {
    struct feedback *f =
        base_alloc(sizeof *f + o->request_id.len + o->said_by.len + o->reason.len);
    *f = (struct feedback){.admin = a,
                           .ok = slice_equal(o->ok, SLICE("true")),
                           .id_len = o->request_id.len,
                           .who_len = o->said_by.len,
                           .reason_len = o->reason.len};
    char *at = f->text;
    const struct slice parts[] = {o->request_id, o->said_by, o->reason};
    for (size_t i = 0; i < FARTHING_COUNT(parts); i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return f;
}

struct row {
    struct slice tenant, feature, route, tier; // empty: null
};

// Where it goes; true: it is in the file, or on its way.
static bool note(const struct feedback *f, const struct row *row) {
    const struct admin_sources *s = &f->admin->sources;
    if (s->past != NULL && row->tier.len > 0)
        past_note(s->past, row->tenant, row->feature, row->tier, f->ok);
    const char *who = f->text + f->id_len;
    outcomes_feedback(s->outcomes, slice_make(f->text, f->id_len), f->ok,
                      slice_make(who, f->who_len), slice_make(who + f->who_len, f->reason_len));
    note_result(f->ok ? SLICE("good") : SLICE("bad"));
    return s->outcomes != NULL;
}

static void reply_noted(struct http_request *request, const struct feedback *f,
                        const struct row *row) {
    struct buffer out = {0};
    struct json_writer w;
    bool captured = note(f, row);
    json_write_start(&w, &out);
    json_object_begin(&w);
    admin_put_text(&w, "request_id", slice_make(f->text, f->id_len));
    admin_put_bool(&w, "ok", f->ok);
    admin_put_optional(&w, "tenant", row->tenant);
    admin_put_optional(&w, "feature", row->feature);
    admin_put_optional(&w, "route", row->route);
    admin_put_optional(&w, "tier", row->tier);
    admin_put_bool(&w, "captured", captured);
    json_object_end(&w);
    admin_reply_json(request, &out);
}

static void on_rows(struct http_request *request, void *arg, enum store_status status,
                    struct slice value) {
    const struct feedback *f = arg;
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(1024);
    struct error err;
    if (status != STORE_OK || !json_parse(doc, value, NULL, &err)) {
        admin_refuse(request, API_ERROR_INTERNAL, NULL, "The store does not answer.");
    } else if (json_count(doc, JSON_ROOT) == 0) {
        note_result(SLICE("unknown"));
        admin_refuse(request, API_ERROR_NOT_FOUND, "request_id",
                     "There is no row of a request \"%.*s\". One that was answered just now may "
                     "have none yet.",
                     (int)f->id_len, f->text);
    } else {
        json_ref first = json_at(doc, JSON_ROOT, 0);
        const struct row row = {
            .tenant = json_string(doc, json_get(doc, first, SLICE("tenant_id")), arena),
            .feature = json_string(doc, json_get(doc, first, SLICE("feature")), arena),
            .route = json_string(doc, json_get(doc, first, SLICE("route")), arena),
            .tier = json_string(doc, json_get(doc, first, SLICE("tier")), arena),
        };
        reply_noted(request, f, &row);
    }
    arena_free(arena);
    json_doc_free(doc);
}

bool act_feedback(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    (void)deed; // nothing is changed that the audit should know of
    if (a->sources.client == NULL)
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, NULL,
                            "There is no store: no request is known.");
    // Rows have an index by time alone: an id says when its request came.
    char from[25] = "", to[25] = "9"; // of an id that does not: all
    int64_t ms;
    if (random_id_time(o->request_id, &ms)) {
        clock_format_ms(ms - AROUND_MS, from);
        clock_format_ms(ms + AROUND_MS, to);
    }
    const struct slice params[] = {o->request_id, slice_of(from), slice_of(to)};
    later_query(a, o->request,
                "SELECT tenant_id, feature, route, tier FROM requests WHERE request_id = ?1 "
                "AND ts BETWEEN ?2 AND ?3 ORDER BY rowid DESC LIMIT 1",
                params, FARTHING_COUNT(params), on_rows, feedback_new(a, o));
    return false;
}
