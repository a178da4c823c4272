// Who changed what: one line in the log, and one row in the store, whose
// arrival there also says that what the change itself wrote is on disk, because
// the store takes things in their order.
#include <stdlib.h>

#include "admin_room.h"

static const struct store_column columns[] = {
    {"id", "TEXT", true},      {"at", "TEXT", false},       {"action", "TEXT", false},
    {"who", "TEXT", false},    {"operator", "TEXT", false}, {"what", "TEXT", false},
    {"before", "TEXT", false}, {"after", "TEXT", false},    {"reason", "TEXT", false},
};

void audit_open(struct admin *a) {
    struct error err;
    if (a->sources.store == NULL)
        return;
    a->audit =
        store_journal_open(a->sources.store, "audit", columns, FARTHING_COUNT(columns), &err);
    if (a->audit == NULL)
        log_write(LOG_ERROR, "table audit: %s; changes by operators are in the log only", err.text);
}

// ----------------------------------------------------------------------- writing

static void write_log(const struct admin_order *o, const struct admin_deed *deed) {
    log_write(LOG_INFO, "audit: %s %.*s by %s%s%s%s%s%.*s", deed->action, SLICE_ARG(deed->what),
              o->who[0] != '\0' ? o->who : "unknown", o->operator_name[0] != '\0' ? " (" : "",
              o->operator_name, o->operator_name[0] != '\0' ? ")" : "",
              o->reason.len > 0 ? ": " : "", SLICE_ARG(o->reason));
}

static void put_deed(struct json_writer *w, const struct admin_deed *deed) {
    admin_put_text(w, "action", slice_of(deed->action));
    admin_put_text(w, "what", deed->what);
    json_key(w, SLICE("before")), json_put_raw(w, buffer_slice(&deed->before));
    json_key(w, SLICE("after")), json_put_raw(w, buffer_slice(&deed->after));
}

static void write_row(struct admin *a, const char *id, const struct admin_order *o,
                      const struct admin_deed *deed) {
    struct buffer line = {0};
    struct json_writer w;
    json_write_start(&w, &line);
    json_object_begin(&w);
    admin_put_text(&w, "id", slice_of(id));
    admin_put_moment(&w, "at", clock_wall_ms());
    put_deed(&w, deed);
    admin_put_optional(&w, "who", slice_of(o->who));
    admin_put_optional(&w, "operator", slice_of(o->operator_name));
    admin_put_optional(&w, "reason", o->reason);
    json_object_end(&w);
    buffer_append_char(&line, '\n');
    store_journal_append(a->audit, buffer_slice(&line));
    buffer_free(&line);
}

// ------------------------------------------------------------------ until it is kept

int64_t audit_count_troubles(struct admin *a) {
    return a->sources.store != NULL ? store_disk_troubles(a->sources.store) : 0;
}

struct pending {
    struct admin *admin;
    int64_t troubles; // of the store before
    size_t len;
    char deed[]; // its members, as JSON
};

static struct pending *pending_new(struct admin *a, int64_t troubles,
                                   const struct admin_deed *deed) {
    struct buffer text = {0};
    struct json_writer w;
    json_write_start(&w, &text);
    json_object_begin(&w);
    put_deed(&w, deed);
    struct pending *p = base_alloc(sizeof *p + text.len);
    p->admin = a;
    p->troubles = troubles;
    p->len = text.len;
    memcpy(p->deed, text.ptr, text.len);
    buffer_free(&text);
    return p;
}

static void reply_to_order(struct http_request *request, void *arg, enum store_status status,
                           struct slice value) {
    const struct pending *p = arg;
    struct buffer out = {0};
    bool saved = status == STORE_OK && !slice_equal(value, SLICE("[]")) &&
                 audit_count_troubles(p->admin) == p->troubles;
    buffer_append(&out, slice_make(p->deed, p->len)); // without its end
    buffer_printf(&out, ",\"saved\":%s}", saved ? "true" : "false");
    admin_reply_json(request, &out);
}

static void reply_at_once(struct http_request *request, const struct admin_deed *deed) {
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    put_deed(&w, deed);
    json_key(&w, SLICE("saved")), json_put_bool(&w, false); // there is no store
    json_object_end(&w);
    admin_reply_json(request, &out);
}

void audit_and_reply(struct admin *a, const struct admin_order *o, const struct admin_deed *deed) {
    char id[RANDOM_ID_LEN + 1];
    struct slice params[] = {{id, RANDOM_ID_LEN}};
    write_log(o, deed);
    if (a->audit == NULL) {
        reply_at_once(o->request, deed);
        return;
    }
    random_id(id);
    write_row(a, id, o, deed);
    later_query(a, o->request, "SELECT id FROM audit WHERE id = ?1", params, 1, reply_to_order,
                pending_new(a, o->troubles, deed));
}

// ----------------------------------------------------------------------- showing

// The columns of JSON are JSON again.
static void put_row(struct json_writer *w, const struct json_doc *doc, json_ref row,
                    struct arena *arena) {
    json_object_begin(w);
    for (json_ref key = json_first(doc, row); key != JSON_NONE; key = json_next(doc, row, key)) {
        json_ref value = json_value_of(key);
        bool is_json =
            json_string_is(doc, key, SLICE("before")) || json_string_is(doc, key, SLICE("after"));
        json_key(w, json_string(doc, key, arena));
        struct slice text = is_json ? json_string(doc, value, arena) : SLICE_NONE;
        json_put_raw(w, text.len > 0 ? text : json_raw(doc, value));
    }
    json_object_end(w);
}

static void show_rows(struct http_request *request, void *arg, enum store_status status,
                      struct slice value) {
    (void)arg;
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(4096);
    struct buffer out = {0};
    struct json_writer w;
    struct error err;
    if (status != STORE_OK || !json_parse(doc, value, NULL, &err)) {
        admin_refuse(request, API_ERROR_INTERNAL, NULL, "The store does not answer.");
    } else {
        json_write_start(&w, &out);
        json_object_begin(&w);
        admin_array_begin(&w, "audit");
        for (json_ref row = json_first(doc, JSON_ROOT); row != JSON_NONE;
             row = json_next(doc, JSON_ROOT, row))
            put_row(&w, doc, row, arena);
        json_array_end(&w);
        json_object_end(&w);
        admin_reply_json(request, &out);
    }
    arena_free(arena);
    json_doc_free(doc);
}

void serve_audit(struct admin *a, struct http_request *request) {
    if (!admin_read_params(request, NULL, 0))
        return;
    if (a->audit == NULL) {
        admin_refuse(request, API_ERROR_NOT_FOUND, NULL,
                     "There is no store: changes by operators are in the log only.");
        return;
    }
    later_query(a, request,
                "SELECT id, at, action, who, operator, what, before, after, reason FROM audit "
                "ORDER BY rowid DESC LIMIT 100",
                NULL, 0, show_rows, NULL);
}
