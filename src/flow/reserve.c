// Station 8, reserve: can every budget that applies bear the worst case of this
// attempt? What is reserved is held over retries of the same (an attempt that
// failed is taken as not billed, so only one of them can cost), and settled at
// the real cost, or given back, when the exchange is recorded, at the latest.
//
// The worst case: the input, estimated from above, at the dearest price that
// it may have, and the cap on output at the dearest price of output. Where
// nobody says a cap it is what follows; a provider that answers with more is booked
// honestly, and shows as farthing_budget_overrun_usd_total.
#include "exchange.h"

enum {
    UNSAID_OUTPUT_TOKENS = 16384, // where neither request, file nor model says a cap
    UNSAID_WINDOW_TOKENS = 128000, // of a model whose context_window is not said
    LEAST_OUTPUT_TOKENS = 16,     // below it a lowered cap is no answer
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

static bool mentions(const struct exchange *x, const char *word) {
    return slice_find(http_request_body(x->request), slice_of(word)) >= 0;
}

// Parts of the input that cost more than plain input, where the request asks
// for such: all of it may be one.
static void assume_dearest_input(const struct exchange *x, const struct price *p,
                                 struct api_usage *u) {
    if (p->input_audio > p->input && mentions(x, "input_audio"))
        u->input_audio_tokens = u->input_tokens;
    else if (p->cache_write > p->input && mentions(x, "cache_control"))
        u->cache_write_tokens = u->input_tokens;
    if (u->cache_write_tokens > 0 && p->cache_write_1h > p->cache_write)
        u->cache_write_1h_tokens = u->cache_write_tokens;
}

static void assume_dearest_output(const struct exchange *x, const struct price *p,
                                  struct api_usage *u) {
    if (p->output_audio > p->output && mentions(x, "\"audio\""))
        u->output_audio_tokens = u->output_tokens;
    else if (p->reasoning > p->output)
        u->reasoning_tokens = u->output_tokens;
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

static config_pico worst_case(const struct exchange *x, const struct price *p, int64_t input,
                              int64_t output) {
    struct api_usage u = {.input_tokens = input, .output_tokens = times(output, x->asked.n)};
    assume_dearest_input(x, p, &u);
    assume_dearest_output(x, p, &u);
    return price_cost(p, &u).pico;
}

// The largest cap whose worst case is within `money`; 0: none.
static int64_t cap_within(const struct exchange *x, const struct price *p, int64_t input,
                          int64_t cap, config_pico money) {
    int64_t fits = 0, over = cap + 1;
    while (over - fits > 1) {
        int64_t middle = fits + (over - fits) / 2;
        if (worst_case(x, p, input, middle) <= money)
            fits = middle;
        else
            over = middle;
    }
    return fits >= LEAST_OUTPUT_TOKENS ? fits : 0;
}

// -------------------------------------------------------------------- whose money

static struct budget_scope scope_of(struct exchange *x) {
    struct budget_scope scope = {
        .tenant = x->tenant->name,
        .feature = x->attributes.feature,
        .user = x->attributes.user,
        .run = x->attributes.run,
        .run_amount = x->attributes.run.len > 0 ? x->tenant->run.max_cost : CONFIG_UNSET,
    };
    if (x->has_client_key) {
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
        "The model %.*s has no price, so that a budget cannot bear it: give it one in its model "
        "section, or say unpriced = \"allow\" for tenant %.*s.",
        SLICE_ARG(name), SLICE_ARG(x->tenant->name));
}

static bool refuse_ceiling(struct exchange *x, const struct price *p, int64_t input,
                           config_pico worst, config_pico ceiling) {
    int64_t fits = x->endpoint == API_EMBEDDINGS
                       ? 0
                       : cap_within(x, p, input, output_of_one(x), ceiling);
    struct slice advice =
        fits > 0 ? arena_printf(x->arena, "with max_tokens of at most %lld it would fit",
                                (long long)fits)
                 : SLICE("its input alone is too much");
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by = SLICE("max_cost");
    return exchange_refuse(x, API_ERROR_MAX_COST_EXCEEDED, SLICE_NONE,
                           "This request may cost at most %s USD, and its worst case is %s USD "
                           "(about %lld input tokens, up to %lld of output): %.*s.",
                           usd(x, ceiling), usd(x, worst), (long long)input,
                           (long long)times(output_of_one(x), x->asked.n), SLICE_ARG(advice));
}

static bool refuse_budget(struct exchange *x, const struct budget_refusal *r,
                          const struct price *p, int64_t input) {
    const struct budget_view *b = &r->budget;
    bool of_run = slice_equal(b->budget, SLICE("run"));
    struct slice advice = SLICE("");
    int64_t fits = p == NULL || x->endpoint == API_EMBEDDINGS
                       ? 0
                       : cap_within(x, p, input, output_of_one(x), r->fits);
    if (b->frozen)
        advice = SLICE(" It is frozen by an operator.");
    else if (fits > 0)
        advice = arena_printf(x->arena, " With max_tokens of at most %lld it would fit.",
                              (long long)fits);
    x->ended_by = ENDED_BY_BUDGET;
    x->refused_by = arena_printf(x->arena, "budget:%.*s", SLICE_ARG(b->budget));
    x->remaining = r->fits > 0 ? r->fits : 0;
    if (r->retry_after_ms >= 0 && !b->frozen)
        x->retry_after = arena_printf(x->arena, "%lld",
                                      (long long)(r->retry_after_ms / 1000 + 1));
    return exchange_refuse(
        x, of_run ? API_ERROR_RUN_BUDGET_EXCEEDED : API_ERROR_BUDGET_EXCEEDED, SLICE_NONE,
        "The budget \"%.*s\" of tenant %.*s has %s USD left of %s USD (%s USD are reserved by requests "
        "that run), and the worst case of this request is %s USD.%.*s",
        SLICE_ARG(b->budget), SLICE_ARG(b->tenant), usd(x, b->remaining), usd(x, b->amount),
        usd(x, b->reserved), usd(x, r->asked), SLICE_ARG(advice));
}

static bool refuse_run(struct exchange *x, const struct run_refusal *r) {
    static const struct {
        const char *name, *words;
    } caps[] = {
        [RUN_CAP_NONE] = {"", ""},
        [RUN_CAP_STEPS] = {"run.max_steps", "steps"},
        [RUN_CAP_ATTEMPTS] = {"run.max_attempts", "attempts"},
        [RUN_CAP_TOKENS] = {"run.max_tokens", "tokens"},
        [RUN_CAP_WALL] = {"run.max_wall", "ms"},
    };
    x->ended_by = ENDED_BY_LIMIT;
    x->refused_by = slice_of(caps[r->cap].name);
    if (r->cap == RUN_CAP_WALL)
        return exchange_refuse(x, API_ERROR_RUN_BUDGET_EXCEEDED, SLICE("x-farthing-run"),
                               "The run %.*s may take %lld ms from its first step on; that was %lld "
                               "ms ago.",
                               SLICE_ARG(x->attributes.run), (long long)r->limit,
                               (long long)r->used);
    return exchange_refuse(x, API_ERROR_RUN_BUDGET_EXCEEDED, SLICE("x-farthing-run"),
                           "The run %.*s may take %lld %s in all; it has taken %lld, and this needs "
                           "%lld.",
                           SLICE_ARG(x->attributes.run), (long long)r->limit, caps[r->cap].words,
                           (long long)r->used, (long long)r->asked);
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

static int64_t tokens_at_most(struct exchange *x) {
    int64_t input = input_at_most(x);
    int64_t output = times(output_of_one(x), x->asked.n), sum;
    return __builtin_add_overflow(input, output, &sum) ? INT64_MAX : sum;
}

static bool count_attempt(struct exchange *x, struct run_refusal *refusal) {
    if (x->run.state == NULL)
        return true;
    int64_t tokens = x->tenant->run.max_tokens != CONFIG_UNSET ? tokens_at_most(x) : 0;
    return run_attempt(&x->run, &x->tenant->run, tokens, refusal);
}

bool reserve_attempt(struct exchange *x) {
    struct run_refusal refusal;
    return count_attempt(x, &refusal);
}

// --------------------------------------------------------------------- reserving

static void on_ready(void *arg) {
    struct exchange *x = arg;
    exchange_enter(x);
    if (x->state == EXCHANGE_RESERVING)
        (void)station_dispatch(x);
    exchange_leave(x);
}

static enum budget_verdict ask(struct exchange *x, config_pico worst,
                               struct budget_refusal *refusal) {
    const struct budget_ask question = {.scope = scope_of(x), .worst = worst};
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
static enum budget_verdict ask_for_less(struct exchange *x, const struct price *p, int64_t input,
                                        struct budget_refusal *refusal) {
    enum { TRIES = 3 };
    enum budget_verdict verdict = BUDGET_REFUSED;
    for (int i = 0; i < TRIES && verdict == BUDGET_REFUSED; i++) {
        int64_t cap = cap_within(x, p, input, output_of_one(x), refusal->fits);
        if (cap == 0)
            return BUDGET_REFUSED;
        verdict = ask(x, worst_case(x, p, input, cap), refusal);
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
static bool within_ceiling(struct exchange *x, const struct price *p, int64_t input) {
    config_pico ceiling = ceiling_of(x);
    if (ceiling < 0)
        return true;
    config_pico worst = worst_case(x, p, input, output_of_one(x));
    if (worst <= ceiling)
        return true;
    int64_t cap = may_lower(x) ? cap_within(x, p, input, output_of_one(x), ceiling) : 0;
    if (cap == 0)
        return refuse_ceiling(x, p, input, worst, ceiling);
    lower_for_this_one(x, cap);
    return true;
}

static bool is_bounded(const struct exchange *x) {
    return api_endpoint_is_cacheable(x->endpoint) && x->body_is_json;
}

// *waits: granted, but not safe on disk yet.
static bool reserve_money(struct exchange *x, bool *waits) {
    struct budget_refusal refusal;
    bool budgets = has_budgets(x);
    *waits = false;
    if (!budgets && ceiling_of(x) < 0)
        return true;
    const struct route_candidate *c = &x->candidates[x->candidate];
    const struct price *p = NULL;
    if (is_bounded(x))
        p = price_book_find(x->flow->book, x->config, c, SLICE_NONE);
    if (p == NULL && is_bounded(x) && x->tenant->unpriced == CONFIG_UNPRICED_REFUSE)
        return refuse_unpriced(x);
    struct price price = p != NULL ? *p : (struct price){0}; // the book's is its own until asked again
    int64_t input = p != NULL ? input_at_most(x) : 0;
    if (p != NULL && !within_ceiling(x, &price, input))
        return false;
    if (!budgets)
        return true;
    // Without a price there is no worst case: it passes while anything is left.
    config_pico worst = p != NULL ? worst_case(x, &price, input, output_of_one(x)) : any_left;
    enum budget_verdict verdict = ask(x, worst, &refusal);
    if (verdict == BUDGET_REFUSED && p != NULL && may_lower(x) && !refusal.budget.frozen)
        verdict = ask_for_less(x, &price, input, &refusal);
    if (verdict == BUDGET_REFUSED)
        return refuse_budget(x, &refusal, p != NULL ? &price : NULL, input);
    *waits = verdict == BUDGET_WAIT;
    return true;
}

bool station_reserve(struct exchange *x) {
    struct run_refusal refusal;
    bool waits;
    if (!count_attempt(x, &refusal))
        return refuse_run(x, &refusal);
    if (!reserve_money(x, &waits))
        return false;
    plan_make_body(x);
    if (waits)
        exchange_go(x, EXCHANGE_RESERVING);
    return !waits;
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
    bool bought = x->hit == NULL && (x->usage_source == LEDGER_USAGE_PROVIDER ||
                                     x->usage_source == LEDGER_USAGE_ESTIMATED);
    if (bought)
        run_settle(&x->run, x->usage.input_tokens + x->usage.output_tokens);
    run_leave(&x->run);
    if (x->reservation.state != BUDGET_HELD && x->reservation.state != BUDGET_WAITING)
        return;
    struct budget_settled settled = {.remaining = CONFIG_UNSET};
    if (!bought) {
        (void)budget_release(x->flow->budgets, &x->reservation);
        return;
    }
    // A cost that is not known is booked as the worst case: it was less, or an overrun.
    config_pico unknown = x->reserved > any_left ? x->reserved : 0;
    config_pico cost = x->cost_known ? x->cost.pico : unknown;
    (void)budget_settle(x->flow->budgets, &x->reservation, cost, &settled);
    x->remaining = settled.remaining;
}
