// Station 8, reserve: can every budget that applies bear the worst case of this
// attempt? What is reserved is held over retries of the same (an attempt that
// failed is taken as not billed, so only one of them can cost), and settled at
// the real cost, or given back, when the exchange is recorded, at the latest.
//
// What the worst case is stands in worst_case.c. Where nobody says a cap on output
// it is what follows; a provider that answers with more is booked honestly, and
// shows as farthing_budget_overrun_usd_total.
#include "exchange.h"
#include "worst_case.h"

enum {
    UNSAID_OUTPUT_TOKENS = 16384, // where neither request, file nor model says a cap
    UNSAID_WINDOW_TOKENS = 128000, // of a model whose context_window is not said
    LEAST_OUTPUT_TOKENS = 16,     // below it a lowered cap is no answer
    LESS_ASKED_MAX = 3,           // what is left may change while it is asked for
    UNAVAILABLE_WAIT_S = 1,       // until the shared store may be back
};

// One pico-USD: passes while anything is left.
static const config_pico any_left = 1;

// ----------------------------------------------------------------- worst case

// Of one choice: what was asked for, but no more than the model's window has
// room for (all of it: the input may be shorter than it is estimated).
static int64_t output_of_one(const struct exchange *x) {
    const struct config_model *model = x->candidates[x->candidate].model;
    int64_t window = model != NULL ? model->context_window : CONFIG_UNSET;
    int64_t most = x->output_cap >= 0 ? x->output_cap : UNSAID_OUTPUT_TOKENS;
    if (x->endpoint == API_EMBEDDINGS)
        return 0;
    return window > 0 && window < most ? window : most;
}

// What lies at the provider may fill the model's window.
static int64_t input_at_most(struct exchange *x) {
    const struct route_candidate *c = &x->candidates[x->candidate];
    int64_t estimate = input_estimate(x, c->name).most;
    int64_t window = c->model != NULL && c->model->context_window > 0 ? c->model->context_window
                                                                      : UNSAID_WINDOW_TOKENS;
    return x->unseen_input && window > estimate ? window : estimate;
}

static int64_t times(int64_t tokens, int64_t n) {
    int64_t product;
    return __builtin_mul_overflow(tokens, n > 0 ? n : 1, &product) ? INT64_MAX : product;
}

// Which one may be asked for and be paid dearer ("priority"); what a provider makes of a
// request that leaves it out is its account's affair, and not known here.
static struct slice asked_service_tier(const struct exchange *x) {
    json_ref tier = json_get(x->doc, JSON_ROOT, SLICE("service_tier"));
    if (!json_is(x->doc, tier, JSON_STRING) ||
        json_string_is(x->doc, tier, SLICE("standard_only"))) // Anthropic's word for the usual
        return SLICE_NONE;
    return json_string(x->doc, tier, x->arena);
}

static bool take_price(struct exchange *x, struct slice service_tier, struct worst_case *w) {
    const struct price *p = price_book_find(x->flow->book, x->config,
                                            &x->candidates[x->candidate], service_tier);
    if (p == NULL)
        return false;
    unsigned parts = worst_parts(x->endpoint, http_request_body(x->request),
                                 worst_parts_that_matter(p));
    return worst_case_take(w, p, parts, x->endpoint != API_EMBEDDINGS);
}

// False: there is no price for all that it may use.
static bool find_worst_case(struct exchange *x, struct worst_case *w) {
    struct slice tier = asked_service_tier(x);
    *w = (struct worst_case){.input = input_at_most(x), .choices = x->asked.n};
    return take_price(x, SLICE_NONE, w) && (tier.len == 0 || take_price(x, tier, w));
}

// The largest cap that is within `money` and still an answer; 0: none.
static int64_t cap_within(const struct exchange *x, const struct worst_case *w,
                          config_pico money) {
    if (x->endpoint == API_EMBEDDINGS)
        return 0;
    int64_t fits = worst_case_cap_within(w, output_of_one(x), money);
    return fits >= LEAST_OUTPUT_TOKENS ? fits : 0;
}

// -------------------------------------------------------------------- whose money

static bool has_budget_per_key(const struct config_tenant *tenant) {
    for (size_t i = 0; i < tenant->budget_count; i++)
        if (tenant->budgets[i].per == CONFIG_PER_KEY)
            return true;
    return false;
}

static struct budget_scope scope_of(struct exchange *x) {
    struct budget_scope scope = {
        .tenant = x->tenant->name,
        .feature = x->attributes.feature,
        .user = x->attributes.user,
        .run = x->attributes.run,
        .run_amount = x->attributes.run.len > 0 ? x->tenant->run.max_cost : CONFIG_UNSET,
    };
    if (x->has_client_key && has_budget_per_key(x->tenant)) {
        char hex[2 * DIGEST_LEN + 1];
        digest_hex(x->client_key_digest, DIGEST_LEN, hex);
        scope.key = arena_copy(x->arena, slice_make(hex, 2 * DIGEST_LEN));
    }
    return scope;
}

static bool has_budgets(const struct exchange *x) {
    return x->tenant->budget_count > 0 ||
           (x->attributes.run.len > 0 && x->tenant->run.max_cost != CONFIG_UNSET);
}

// This request's own ceiling: the lower of the client's word and the file's.
static config_pico ceiling_of(const struct exchange *x) {
    config_pico ceiling = x->caps.max_cost;
    struct money said;
    if (x->attributes.max_cost.len > 0 && money_parse(x->attributes.max_cost, &said) &&
        (ceiling < 0 || said.pico < ceiling))
        ceiling = said.pico;
    return ceiling;
}

// -------------------------------------------------------------------- refusals

static const char *usd(struct exchange *x, config_pico pico) {
    char text[MONEY_TEXT_MAX + 1];
    size_t len = money_format((struct money){pico}, text);
    text[len] = '\0';
    return arena_copy(x->arena, slice_make(text, len + 1)).ptr; // with its end
}

static bool refuse_unpriced(struct exchange *x) {
    struct slice name = x->candidates[x->candidate].name;
    x->ended_by = ENDED_BY_BUDGET;
    x->refused_by = SLICE("unpriced");
    return exchange_refuse(
        x, API_ERROR_BUDGET_EXCEEDED, SLICE("model"),
        "The model %.*s has no price for all that this may use, so that a budget cannot bear it: "
        "give it one in its model section, or say unpriced = \"allow\" for tenant %.*s.",
        SLICE_ARG(name), SLICE_ARG(x->tenant->name));
}

static bool refuse_ceiling(struct exchange *x, const struct worst_case *w, config_pico ceiling) {
    int64_t fits = cap_within(x, w, ceiling);
    struct slice advice = SLICE("its input alone is too much");
    if (fits > 0)
        advice = arena_printf(x->arena, "with max_tokens of at most %lld it would fit",
                              (long long)fits);
    else if (worst_case_cost(w, 0) <= ceiling)
        advice = SLICE("its input leaves no room for an answer");
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by = SLICE("max_cost");
    return exchange_refuse(x, API_ERROR_MAX_COST_EXCEEDED, SLICE_NONE,
                           "This request may cost at most %s USD, and its worst case is %s USD "
                           "(about %lld input tokens, up to %lld of output): %.*s.",
                           usd(x, ceiling), usd(x, worst_case_cost(w, output_of_one(x))),
                           (long long)w->input,
                           (long long)times(output_of_one(x), x->asked.n), SLICE_ARG(advice));
}

// No more than is leased already may be spent while the instances cannot agree.
static bool refuse_without_store(struct exchange *x, const struct budget_view *b) {
    x->ended_by = ENDED_BY_BUDGET;
    x->refused_by = SLICE("store");
    x->wait_s = UNAVAILABLE_WAIT_S;
    return exchange_refuse(x, API_ERROR_STORE_UNAVAILABLE, SLICE_NONE,
                           "The shared store that keeps the budget \"%.*s\" of tenant %.*s cannot be "
                           "asked now, so that this request cannot be paid for; try again.",
                           SLICE_ARG(b->budget), SLICE_ARG(b->tenant));
}

// `w` is NULL where there is no worst case.
static bool refuse_budget(struct exchange *x, const struct budget_refusal *r,
                          const struct worst_case *w) {
    const struct budget_view *b = &r->budget;
    bool of_run = slice_equal(b->budget, SLICE("run"));
    struct slice advice = SLICE("");
    if (r->unavailable)
        return refuse_without_store(x, b);
    int64_t fits = w != NULL ? cap_within(x, w, r->fits) : 0;
    if (b->frozen)
        advice = SLICE(" It is frozen by an operator.");
    else if (fits > 0)
        advice = arena_printf(x->arena, " With max_tokens of at most %lld it would fit.",
                              (long long)fits);
    x->ended_by = ENDED_BY_BUDGET;
    x->refused_by = arena_printf(x->arena, "budget:%.*s", SLICE_ARG(b->budget));
    x->remaining = r->fits > 0 ? r->fits : 0;
    if (r->retry_after_ms >= 0 && !b->frozen)
        x->wait_s = r->retry_after_ms / 1000 + 1;
    return exchange_refuse(
        x, of_run ? API_ERROR_RUN_BUDGET_EXCEEDED : API_ERROR_BUDGET_EXCEEDED, SLICE_NONE,
        "The budget \"%.*s\" of tenant %.*s has %s USD left of %s USD (%s USD are reserved by requests "
        "that run), and the worst case of this request is %s USD.%.*s",
        SLICE_ARG(b->budget), SLICE_ARG(b->tenant), usd(x, b->remaining), usd(x, b->amount),
        usd(x, b->reserved), usd(x, r->asked), SLICE_ARG(advice));
}

static const struct {
    const char *name, *words;
} run_caps[] = {
    [RUN_CAP_NONE] = {"", ""},
    [RUN_CAP_STEPS] = {"run.max_steps", "steps"},
    [RUN_CAP_ATTEMPTS] = {"run.max_attempts", "attempts"},
    [RUN_CAP_TOKENS] = {"run.max_tokens", "tokens"},
    [RUN_CAP_WALL] = {"run.max_wall", "ms"},
};

static bool refuse_run(struct exchange *x, const struct run_refusal *r) {
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by = slice_of(run_caps[r->cap].name);
    if (r->cap == RUN_CAP_WALL)
        return exchange_refuse(x, API_ERROR_RUN_BUDGET_EXCEEDED, SLICE("x-farthing-run"),
                               "The run %.*s may take %lld ms from its first step on; that was %lld "
                               "ms ago.",
                               SLICE_ARG(x->attributes.run), (long long)r->limit,
                               (long long)r->used);
    return exchange_refuse(x, API_ERROR_RUN_BUDGET_EXCEEDED, SLICE("x-farthing-run"),
                           "The run %.*s may take %lld %s in all; it has taken %lld, and this needs "
                           "%lld.",
                           SLICE_ARG(x->attributes.run), (long long)r->limit,
                           run_caps[r->cap].words, (long long)r->used, (long long)r->asked);
}

// ------------------------------------------------------------------------ runs

bool station_step(struct exchange *x) {
    struct run_refusal refusal;
    if (x->attributes.run.len == 0 ||
        run_enter(x->flow->shared.runs, &x->run, x->tenant->name, x->attributes.run,
                  &x->tenant->run, &refusal))
        return true;
    return refuse_run(x, &refusal);
}

// Paths that are passed through have neither an estimate nor a cap: what they
// report is counted when they have.
static bool is_bounded(const struct exchange *x) {
    return api_endpoint_is_cacheable(x->endpoint) && x->body_is_json;
}

static int64_t tokens_at_most(struct exchange *x) {
    if (x->tenant->run.max_tokens == CONFIG_UNSET || !is_bounded(x))
        return 0;
    int64_t input = input_at_most(x);
    int64_t output = times(output_of_one(x), x->asked.n), sum;
    return __builtin_add_overflow(input, output, &sum) ? INT64_MAX : sum;
}

static bool count_attempt(struct exchange *x, struct run_refusal *refusal) {
    return x->run.state == NULL ||
           run_attempt(&x->run, &x->tenant->run, tokens_at_most(x), refusal);
}

bool reserve_attempt(struct exchange *x) {
    struct run_refusal refusal;
    if (count_attempt(x, &refusal))
        return true;
    x->refused_by = slice_of(run_caps[refusal.cap].name);
    return false;
}

// --------------------------------------------------------------------- reserving

static budget_ready on_ready;

// `w` is NULL where there is no worst case: then it passes while anything is left.
static enum budget_verdict ask(struct exchange *x, const struct worst_case *w, int64_t output,
                               struct budget_refusal *refusal) {
    config_pico worst = w != NULL ? worst_case_cost(w, output) : 0;
    const struct budget_ask question = {.scope = scope_of(x),
                                        .worst = w != NULL ? worst : any_left};
    enum budget_verdict verdict = budget_reserve(x->flow->budgets, &x->reservation, &question,
                                                 on_ready, x, refusal);
    if (verdict != BUDGET_REFUSED)
        x->reserved = worst;
    return verdict;
}

static void lower_for_this_one(struct exchange *x, int64_t cap) {
    caps_lower_output(x, cap);
    x->lowered_by_money = true;
}

// Lowers the cap to what is left, where the route allows that. What is left may
// change while it is asked for, so more than once.
static enum budget_verdict ask_for_less(struct exchange *x, const struct worst_case *w,
                                        struct budget_refusal *refusal) {
    enum budget_verdict verdict = BUDGET_REFUSED;
    while (x->less_asked++ < LESS_ASKED_MAX && verdict == BUDGET_REFUSED) {
        int64_t cap = refusal->unavailable ? 0 : cap_within(x, w, refusal->fits);
        if (cap == 0)
            return BUDGET_REFUSED;
        verdict = ask(x, w, cap, refusal);
        if (verdict != BUDGET_REFUSED)
            lower_for_this_one(x, cap);
    }
    return verdict;
}

static bool may_lower(const struct exchange *x) {
    return x->route != NULL && x->route->budget_may_lower_cap && x->endpoint != API_EMBEDDINGS &&
           x->doc != NULL;
}

// The request's own ceiling. True: within it, or made to be.
static bool within_ceiling(struct exchange *x, const struct worst_case *w) {
    config_pico ceiling = ceiling_of(x);
    if (ceiling < 0 || worst_case_cost(w, output_of_one(x)) <= ceiling)
        return true;
    int64_t cap = may_lower(x) ? cap_within(x, w, ceiling) : 0;
    if (cap == 0)
        return refuse_ceiling(x, w, ceiling);
    lower_for_this_one(x, cap);
    return true;
}

// True: granted, or asked for.
static bool less_or_refuse(struct exchange *x, const struct worst_case *w,
                           struct budget_refusal *refusal) {
    enum budget_verdict verdict = BUDGET_REFUSED;
    if (w != NULL && may_lower(x) && !refusal->budget.frozen)
        verdict = ask_for_less(x, w, refusal);
    return verdict != BUDGET_REFUSED || refuse_budget(x, refusal, w);
}

static bool reserve_in_budgets(struct exchange *x, const struct worst_case *w) {
    struct budget_refusal refusal;
    x->less_asked = 0;
    enum budget_verdict verdict = ask(x, w, output_of_one(x), &refusal);
    return verdict != BUDGET_REFUSED || less_or_refuse(x, w, &refusal);
}

static bool reserve_money(struct exchange *x) {
    struct worst_case found, *w = NULL;
    bool budgets = has_budgets(x);
    if ((!budgets && ceiling_of(x) < 0) || x->endpoint == API_MODELS) // a list costs nothing
        return true;
    if (is_bounded(x) && find_worst_case(x, &found))
        w = &found;
    if (w == NULL && is_bounded(x) && x->tenant->unpriced == CONFIG_UNPRICED_REFUSE)
        return refuse_unpriced(x);
    if (w != NULL && !within_ceiling(x, w))
        return false;
    return !budgets || reserve_in_budgets(x, w);
}

// The money is held; the body is made last, since less may be asked for until then.
static bool go_on_with_money(struct exchange *x) {
    struct run_refusal refusal;
    if (!count_attempt(x, &refusal))
        return refuse_run(x, &refusal);
    plan_make_body(x);
    return true;
}

// Money first: it may lower the cap, and an attempt that it refuses is none.
bool station_reserve(struct exchange *x) {
    if (!reserve_money(x))
        return false;
    if (x->reservation.state != BUDGET_WAITING)
        return go_on_with_money(x);
    exchange_go(x, EXCHANGE_RESERVING); // not safe on disk yet, or not granted yet
    return false;
}

// What a refusal at once does, a late one does as well.
static bool take_late_refusal(struct exchange *x, const struct budget_refusal *late) {
    struct budget_refusal refusal = *late;
    struct worst_case found, *w = NULL;
    if (is_bounded(x) && find_worst_case(x, &found))
        w = &found;
    return less_or_refuse(x, w, &refusal) && x->reservation.state != BUDGET_WAITING;
}

static void on_ready(void *arg, enum budget_verdict verdict, const struct budget_refusal *refusal) {
    struct exchange *x = arg;
    exchange_enter(x);
    bool granted = verdict == BUDGET_GRANTED;
    if (x->state == EXCHANGE_RESERVING && (granted || take_late_refusal(x, refusal)) &&
        go_on_with_money(x))
        (void)station_dispatch(x);
    exchange_leave(x);
}

// ----------------------------------------------------------------------- settling

config_pico reserve_remaining(struct exchange *x) {
    if (x->remaining == CONFIG_UNSET && x->tenant != NULL && has_budgets(x)) {
        struct budget_scope scope = scope_of(x);
        x->remaining = budget_remaining(x->flow->budgets, &scope);
    }
    return x->remaining;
}

void reserve_settle(struct exchange *x) {
    bool bought = settle_has_bought(x);
    if (bought && !x->run_counted)
        run_settle(&x->run, x->usage.input_tokens + x->usage.output_tokens);
    x->run_counted = x->run_counted || bought;
    if (x->reservation.state != BUDGET_HELD && x->reservation.state != BUDGET_WAITING)
        return;
    struct budget_settled settled = {.remaining = CONFIG_UNSET};
    if (!bought) {
        (void)budget_release(x->flow->budgets, &x->reservation);
        return;
    }
    // A cost that is not known is booked as the worst case, where there was one.
    config_pico cost = x->cost_known ? x->cost.pico : x->reserved;
    (void)budget_settle(x->flow->budgets, &x->reservation, cost, &settled);
    x->remaining = settled.remaining;
}
