// What the files of this room share.
#ifndef FARTHING_ADMIN_ROOM_H
#define FARTHING_ADMIN_ROOM_H

#include "farthing/admin.h"

enum {
    ORDER_BYTES_MAX = 64 * 1024,
    OPERATOR_MAX = 64,
    KEY_PREFIX_DIGITS = 12,  // of a key's hash: what is shown, and the least that may be given
    STORE_WAIT_MS = 2000,    // for a store that does not answer
    INFLIGHT_WAIT_MS = 1000, // for a loop that does not answer
};

struct admin {
    struct admin_sources sources;
    const struct config *config;
    struct prices *prices; // NULL: there is no catalogue
    enum admin_state state;
    int64_t started_ms;
    char *reload_error;
    int64_t reloads;
    struct store_journal *audit;           // NULL: only the log is told
    struct mailbox *mailbox;               // NULL: no loop
    struct admin_inflight_answer *answers; // whose asker still waits
    // Of a shared store: is it there, and since when? Looked at each second.
    struct event *store_timer; // NULL: it is not shared, or there is no loop
    bool store_was_up;
    int64_t store_since_ms;
};

// ------------------------------------------------------------------- answering

void admin_reply(struct http_request *request, int status, struct slice type, struct slice body);
// Ends the line, answers, and frees the buffer.
void admin_reply_json(struct http_request *request, struct buffer *body);
// False, for `return`. param NULL: none.
bool admin_refuse(struct http_request *request, enum api_error error, const char *param,
                  const char *format, ...) FARTHING_PRINTF(4, 5);

void admin_put_number(struct json_writer *w, const char *name, int64_t value);
void admin_put_text(struct json_writer *w, const char *name, struct slice value);
void admin_put_optional(struct json_writer *w, const char *name, struct slice value); // empty: null
void admin_put_bool(struct json_writer *w, const char *name, bool value);
void admin_put_money(struct json_writer *w, const char *name, int64_t pico);
// ISO; null where there is no such moment (0, or beyond the year 9999).
void admin_put_moment(struct json_writer *w, const char *name, int64_t wall_ms);
void admin_array_begin(struct json_writer *w, const char *name);

// "There is no route "x"; did you mean "y"?": `near` is empty, or what is spelled most
// like it, as admin_note_near found out of all. `distance` begins as ADMIN_NEAR + 1.
enum { ADMIN_NEAR = 3 };
void admin_note_near(struct slice candidate, struct slice name, struct slice *near,
                     size_t *distance);
bool admin_refuse_unknown(struct http_request *request, const char *param, const char *what,
                          struct slice name, struct slice near);

// ----------------------------------------------------------------------- pages

// What may stand behind the '?': tenant=NAME. Zero-initialize `value` and `text`.
struct admin_param {
    const char *name, *kind;
    struct slice value; // decoded; SLICE_NONE: not given
    struct buffer text; // where it stands
};
// False: refused. To be freed either way.
bool admin_read_params(struct http_request *request, struct admin_param *params,
                       size_t count) FARTHING_MUST_CHECK;
void admin_params_free(struct admin_param *params, size_t count);

// The value of ?tenant=, decoded, in `buffer`; *out SLICE_NONE when it is not
// there. False: refused.
bool admin_read_filter(struct http_request *request, struct buffer *buffer,
                       struct slice *out) FARTHING_MUST_CHECK;
static inline bool admin_filter_fits(struct slice filter, struct slice tenant) {
    return filter.ptr == NULL || slice_equal(filter, tenant);
}

// Limits are kept by name: a tenant's, or "route:NAME", or "key:HEX".
enum limits_kind { LIMITS_OF_TENANT, LIMITS_OF_ROUTE, LIMITS_OF_KEY };
enum limits_kind admin_limits_kind(const struct admin *a, struct slice name);

void serve_metrics(struct admin *a, struct http_request *request);
void metrics_declare(void);
void metrics_count_reload(struct slice result, int64_t by);
void serve_status(struct admin *a, struct http_request *request);
void put_limits_figures(struct json_writer *w, const struct limits_view *view);
void serve_budgets(struct admin *a, struct http_request *request);
void serve_limits(struct admin *a, struct http_request *request);
void serve_providers(struct admin *a, struct http_request *request);
void serve_runs(struct admin *a, struct http_request *request);
void serve_keys(struct admin *a, struct http_request *request);
void serve_inflight(struct admin *a, struct http_request *request);
void serve_audit(struct admin *a, struct http_request *request);
void serve_breakers(struct admin *a, struct http_request *request);
void serve_savings(struct admin *a, struct http_request *request);
void serve_routes(struct admin *a, struct http_request *request);
void serve_cache(struct admin *a, struct http_request *request);
void put_cache_figures(struct json_writer *w, struct cache *cache);
void put_routes_off(struct json_writer *w, struct admin *a);
const char *admin_per_name(enum config_budget_per per); // "user"; NULL: for all
void put_budget(struct json_writer *w, const struct budget_view *view);
void inflight_close(struct admin *a);
void shared_open(struct admin *a); // shared.c
void shared_close(struct admin *a);
bool shared_is_away(struct admin *a); // there is a shared store, and it does not answer
void put_shared(struct json_writer *w, struct admin *a);

// ---------------------------------------------------------------------- orders

// Members of a body.
enum {
    ORDER_TENANT = 1 << 0,
    ORDER_BUDGET = 1 << 1,
    ORDER_VALUE = 1 << 2,
    ORDER_AMOUNT = 1 << 3,
    ORDER_KEY = 1 << 4,
    ORDER_REASON = 1 << 5,
    ORDER_NAME = 1 << 6, // of a breaker
    ORDER_REQUEST = 1 << 7,
    ORDER_OK = 1 << 8, // true or false, all others are strings
    ORDER_WHO = 1 << 9,
    ORDER_FEATURE = 1 << 10,
    ORDER_PROMPT_VERSION = 1 << 11,
    ORDER_CORPUS_VERSION = 1 << 12,
    ORDER_ROUTE = 1 << 13,
};

// One POST, on the stack of its handler.
struct admin_order {
    struct http_request *request;
    struct arena *arena;
    struct slice tenant, budget, value, amount, key, reason, name; // SLICE_NONE: not said
    struct slice request_id, ok, said_by; // `ok`: "true" or "false"
    struct slice feature, prompt_version, corpus_version, route;
    char who[HTTP_PEER_MAX];
    char operator_name[OPERATOR_MAX + 1];
    int64_t troubles; // of the store before anything was done
};

// What was done, for the audit and the answer. `before` and `after` are JSON.
struct admin_deed {
    const char *action;
    struct slice what;
    struct buffer before, after;
};

// Reads and checks one; False: refused.
bool order_read(struct admin *a, struct http_request *request, unsigned allowed, unsigned required,
                struct arena *arena, struct admin_order *out) FARTHING_MUST_CHECK;
// One line in the log, one row in the store, and the answer, once it is known
// whether the row (and what was written before it) is on disk.
void audit_and_reply(struct admin *a, const struct admin_order *order,
                     const struct admin_deed *deed);
void audit_open(struct admin *a);
int64_t audit_count_troubles(struct admin *a);

// False: there is no such tenant, but perhaps one that is called nearly so.
bool admin_refuse_tenant(struct admin *a, const struct admin_order *o);

// They fill the deed; false: refused, or answered otherwise.
bool act_budget_top_up(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_budget_reset(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_budget_freeze(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_budget_thaw(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_key_block(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_key_unblock(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_breaker_reset(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_cache_purge(struct admin *a, struct admin_order *o, struct admin_deed *deed);
bool act_feedback(struct admin *a, struct admin_order *o, struct admin_deed *deed);
void feedback_declare(void);

// ----------------------------------------------------------------------- later

// An answer that the store gives first. Made with a request, freed when that
// has ended (so before its server is freed, and the admin).
struct later;
typedef void later_finish(struct http_request *request, void *arg, enum store_status status,
                          struct slice value);
// `finish` answers the request: exactly once, unless its client has gone first;
// STORE_FAILED also when the store takes too long. `arg` is freed with free().
void later_query(struct admin *a, struct http_request *request, const char *sql,
                 const struct slice *params, size_t param_count, later_finish *finish, void *arg);

#endif
