// Station 7, plan, its second half: with which caps and parameters? What the
// file allows is applied by splices; what cannot be made to fit is refused with
// what would.
//
// The lowest cap of route, task, tenant and model counts. Caps lower what a
// request asks for, and never raise it.
#include "exchange.h"

enum {
    COMPLETIONS_DEFAULT_TOKENS = 16, // max_tokens of /v1/completions, where it says none
    MESSAGE_TOKENS = 4,              // the marks around an instruction that is added
};

// ------------------------------------------------------------------- who says

// "on route support", "for the task extract_*", "for tenant acme": whose cap the
// lowest one is.
#define CAP_AT(field) offsetof(struct config_caps, field)

static bool has_cap(const struct config_caps *caps, size_t offset, int64_t value) {
    return *(const int64_t *)(const void *)((const char *)caps + offset) == value;
}

static struct slice owner_of(struct exchange *x, size_t offset, int64_t value) {
    if (x->route != NULL && has_cap(&x->route->caps, offset, value))
        return arena_printf(x->arena, "on route %.*s", SLICE_ARG(x->route->name));
    if (x->task != NULL && has_cap(&x->task->caps, offset, value))
        return arena_printf(x->arena, "for the task %.*s", SLICE_ARG(x->task->name));
    return arena_printf(x->arena, "for tenant %.*s", SLICE_ARG(x->tenant->name));
}

static void blame(struct exchange *x, const char *cap) {
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by = slice_of(cap);
}

// ------------------------------------------------------------- what is refused

static bool check_counts(struct exchange *x) {
    const struct config_caps *caps = &x->caps;
    int64_t n = x->asked.n / provider_count_prompts(x->endpoint, x->doc); // of each prompt
    if (caps->max_n >= 0 && n > caps->max_n) {
        struct slice owner = owner_of(x, CAP_AT(max_n), caps->max_n);
        blame(x, "max_n");
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("n"),
                               "At most %lld choices are allowed %.*s; this asks for %lld.",
                               (long long)caps->max_n, SLICE_ARG(owner), (long long)n);
    }
    if (caps->max_tools >= 0 && x->asked.tools > caps->max_tools) {
        struct slice owner = owner_of(x, CAP_AT(max_tools), caps->max_tools);
        blame(x, "max_tools");
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("tools"),
                               "At most %lld tools are allowed %.*s; this offers %lld.",
                               (long long)caps->max_tools, SLICE_ARG(owner),
                               (long long)x->asked.tools);
    }
    return true;
}

static bool check_input(struct exchange *x) {
    int64_t most = x->caps.max_input_tokens;
    if (most < 0)
        return true;
    int64_t about = input_estimate(x, x->candidates[x->candidate].name).likely;
    if (about <= most)
        return true;
    struct slice owner = owner_of(x, CAP_AT(max_input_tokens), most);
    blame(x, "max_input_tokens");
    return exchange_refuse(x, API_ERROR_CONTEXT_BUDGET_EXCEEDED, SLICE_NONE,
                           "At most %lld input tokens %.*s; this has about %lld.", (long long)most,
                           SLICE_ARG(owner), (long long)about);
}

// Input that cannot fit the model, whatever it answers.
static bool check_window(struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    if (c->model == NULL || c->model->context_window <= 0)
        return true;
    if ((int64_t)http_request_body(x->request).len <= c->model->context_window)
        return true; // no text has more tokens than bytes
    int64_t about = input_estimate(x, c->name).likely;
    if (about <= c->model->context_window)
        return true;
    blame(x, "context_window");
    return exchange_refuse(x, API_ERROR_CONTEXT_BUDGET_EXCEEDED, SLICE_NONE,
                           "At most %lld input tokens fit the model %.*s; this has about %lld.",
                           (long long)c->model->context_window, SLICE_ARG(c->name),
                           (long long)about);
}

// ------------------------------------------------------------ context budgets

static const struct metric_family context_family = {
    "farthing_context_over_budget_total",
    "Requests over a context budget of their route, by what was done.",
    METRIC_COUNTER,
    {"route", "part", "action"},
    NULL,
    0,
    0,
    0};

static void count_context(const struct exchange *x, const char *part, const char *action) {
    const struct slice labels[] = {x->route->name, slice_of(part), slice_of(action)};
    metric_add(metric_series(&context_family, labels), 1);
}

static bool refuse_context(struct exchange *x, const struct config_context *over,
                           const struct route_context *found) {
    const char *part = config_context_part_name(over->part);
    count_context(x, part, "rejected");
    blame(x, "context");
    return exchange_refuse(
        x, API_ERROR_CONTEXT_BUDGET_EXCEEDED, SLICE_NONE,
        "At most %lld tokens of %s on route %.*s; this has about %lld%s.", (long long)over->max_tokens,
        over->part == CONFIG_CONTEXT_TOTAL ? "input" : part, SLICE_ARG(x->route->name),
        (long long)found->tokens[over->part],
        over->action == CONFIG_CONTEXT_TRIM_OLDEST ? ", and what may be trimmed is not enough" : "");
}

static void note_trimmed(struct exchange *x, const struct route_context_result *r,
                         int64_t scale_milli) {
    int64_t total = r->after.tokens[CONFIG_CONTEXT_TOTAL];
    x->trimmed_messages = r->trimmed_messages;
    x->trimmed_tokens = r->trimmed_tokens;
    x->raw_input = scale_milli > 0 ? total * 1000 / scale_milli : total;
    count_context(x, r->over != NULL ? config_context_part_name(r->over->part) : "history",
                  "trimmed");
}

static int64_t smallest_context(const struct config_route *route) {
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < route->context_count; i++)
        if (route->contexts[i].max_tokens < least)
            least = route->contexts[i].max_tokens;
    return least;
}

static bool apply_context(struct exchange *x) {
    if (x->route == NULL || x->route->context_count == 0 || !x->body_is_json)
        return true;
    struct estimate e = input_estimate(x, x->candidates[x->candidate].name);
    if (e.likely + e.likely / 8 <= smallest_context(x->route))
        return true; // no part is more than the whole
    int64_t scale = x->raw_input > 0 ? e.likely * 1000 / x->raw_input : 1000;
    struct route_context_result r;
    const char *part;
    route_context_apply(x->route, x->endpoint, x->doc, scale, x->edits, &r);
    switch (r.verdict) {
    case ROUTE_CONTEXT_FITS:
        return true;
    case ROUTE_CONTEXT_WARNS:
        part = config_context_part_name(r.over->part);
        count_context(x, part, "warned");
        x->context_warning =
            arena_printf(x->arena, "%s: about %lld of %lld tokens", part,
                         (long long)r.before.tokens[r.over->part], (long long)r.over->max_tokens);
        return true;
    case ROUTE_CONTEXT_TRIMMED:
        note_trimmed(x, &r, scale);
        return true;
    case ROUTE_CONTEXT_REJECTED:
        break;
    }
    return refuse_context(x, r.over, &r.before);
}

// ------------------------------------------------------------- what is lowered

// One member of the row's `capped`: "field":[before,after].
static void note_capped(struct exchange *x, const char *field, struct slice before,
                        struct slice after) {
    buffer_append_char(&x->capped, x->capped.len == 0 ? '{' : ',');
    buffer_printf(&x->capped, "\"%s\":[%.*s,%.*s]", field, SLICE_ARG(before), SLICE_ARG(after));
}

static struct slice number_or_null(struct exchange *x, int64_t n) {
    return n < 0 ? SLICE("null") : arena_printf(x->arena, "%lld", (long long)n);
}

static struct slice sent_model(const struct exchange *x) {
    struct slice upstream = x->candidates[x->candidate].upstream_model;
    return upstream.len > 0 ? upstream : x->requested_model;
}

static enum provider_output_field output_field(const struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    switch (c->provider->output_cap_field) {
    case CONFIG_OUTPUT_MAX_TOKENS:
        return PROVIDER_MAX_TOKENS;
    case CONFIG_OUTPUT_MAX_COMPLETION_TOKENS:
        return PROVIDER_MAX_COMPLETION_TOKENS;
    case CONFIG_OUTPUT_AUTO:
        break;
    }
    return provider_output_field_of(sent_model(x));
}

void caps_lower_output(struct exchange *x, int64_t cap) {
    int64_t before;
    bool none_is_less = x->endpoint == API_COMPLETIONS && x->asked.output_cap < 0 &&
                        cap >= COMPLETIONS_DEFAULT_TOKENS;
    if (none_is_less ||
        !provider_cap_output(x->endpoint, x->doc, cap, output_field(x), x->edits, x->arena, &before))
        return;
    x->output_cap = cap;
    x->output_lowered = true;
}

static void cap_output(struct exchange *x) {
    const struct config_model *model = x->candidates[x->candidate].model;
    int64_t cap = x->caps.max_output_tokens;
    if (model != NULL && model->max_output_tokens > 0 &&
        (cap < 0 || model->max_output_tokens < cap))
        cap = model->max_output_tokens;
    x->output_cap = x->asked.output_cap;
    if (x->endpoint == API_COMPLETIONS && x->output_cap < 0)
        x->output_cap = COMPLETIONS_DEFAULT_TOKENS;
    if (cap > 0 && (x->asked.output_cap < 0 || x->asked.output_cap > cap))
        caps_lower_output(x, cap);
}

static struct slice quoted(struct exchange *x, struct slice text) {
    return text.len == 0 ? SLICE("null") : arena_printf(x->arena, "\"%.*s\"", SLICE_ARG(text));
}

static void be_brief(struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    if (x->route == NULL)
        return;
    struct slice text = x->route->concise ? x->route->concise_text : SLICE_NONE;
    if (x->violation_note.len > 0)
        text = arena_printf(x->arena, "%.*s%s%.*s", SLICE_ARG(x->violation_note),
                            text.len > 0 ? " " : "", SLICE_ARG(text));
    if (text.len > 0 &&
        provider_add_instruction(x->endpoint, x->doc, text, x->edits, x->arena)) {
        if (x->route->concise)
            note_capped(x, "concise", SLICE("false"), SLICE("true"));
        x->added_input = estimate_text(text) + MESSAGE_TOKENS;
    }
    struct slice ceiling = slice_of(config_effort_name(x->route->max_reasoning_effort)), before;
    bool reasons = c->model != NULL && c->model->reasoning >= 0
                       ? c->model->reasoning == 1
                       : provider_model_reasons(sent_model(x));
    if (ceiling.len > 0 && provider_cap_effort(x->endpoint, x->doc, ceiling, reasons, x->edits,
                                               &before))
        note_capped(x, "reasoning_effort", quoted(x, before), quoted(x, ceiling));
}

struct slice caps_text(struct exchange *x) {
    if (x->output_lowered) // perhaps more than once: first by the file, then by what is left
        note_capped(x, "max_output_tokens", number_or_null(x, x->asked.output_cap),
                    number_or_null(x, x->output_cap));
    if (x->capped.len > 0)
        buffer_append_char(&x->capped, '}');
    return buffer_slice(&x->capped);
}

// ----------------------------------------------------------------------- whole

bool caps_apply(struct exchange *x) {
    if (!x->body_is_json || !api_endpoint_is_cacheable(x->endpoint))
        return true;
    (void)input_asked(x);
    x->unseen_input = input_is_unseen(x);
    if (!check_counts(x) || !apply_context(x) || !check_input(x) || !check_window(x))
        return false;
    cap_output(x);
    be_brief(x);
    input_estimate_to_learn(x);
    return true;
}

// -------------------------------------------------------------------- cache key

// Which model it will be is not known yet: a named one is itself, unless the route
// has it otherwise.
static bool may_be_served_by(const struct exchange *x, const struct config_model *m) {
    return (x->route != NULL && x->route->override_model) ||
           route_leaves_choice(x->config, x->requested_model) ||
           route_names_model(x->requested_model, m->name, m->upstream_model);
}

static bool lowers(int64_t cap, int64_t asked) {
    return cap > 0 && (asked < 0 || cap < asked);
}

// A cap that lowers nothing changes no answer.
static void put_output_caps(struct exchange *x, struct buffer *out) {
    for (size_t i = 0; i <= x->config->model_count; i++) {
        bool is_model = i < x->config->model_count; // after them what route, task and tenant say
        int64_t cap = is_model ? x->config->models[i].max_output_tokens : x->caps.max_output_tokens;
        if (cap <= 0 || (is_model && !may_be_served_by(x, &x->config->models[i])))
            continue;
        if (lowers(cap, input_asked(x)->output_cap))
            buffer_printf(out, "\nmax_output_tokens:%s:%lld", is_model ? "model" : "",
                          (long long)cap);
    }
}

static void put_trimming(const struct config_route *r, struct buffer *out) {
    bool trims = false;
    for (size_t i = 0; i < r->context_count; i++)
        if (r->contexts[i].action == CONFIG_CONTEXT_TRIM_OLDEST) {
            buffer_printf(out, "\ntrim:%d:%lld:%lld", (int)r->contexts[i].part,
                          (long long)r->contexts[i].max_tokens,
                          (long long)r->contexts[i].keep_turns);
            trims = true;
        }
    // What is marked is no history, and stays.
    for (size_t i = 0; trims && i < r->context_count; i++)
        for (size_t k = 0; k < r->contexts[i].markers.count; k++)
            buffer_printf(out, "\nmarker:%.*s", SLICE_ARG(r->contexts[i].markers.items[k]));
}

void caps_variant(struct exchange *x, struct buffer *out) {
    const struct config_route *r = x->route;
    if (x->endpoint == API_EMBEDDINGS)
        return; // nothing is changed there
    put_output_caps(x, out);
    if (r == NULL)
        return;
    if (r->concise)
        buffer_printf(out, "\nconcise:%.*s", SLICE_ARG(r->concise_text));
    if (r->max_reasoning_effort != CONFIG_EFFORT_UNSET)
        buffer_printf(out, "\neffort:%d", (int)r->max_reasoning_effort);
    put_trimming(r, out);
}
