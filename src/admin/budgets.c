// Orders about budgets: more money, a clean slate, and none for now.
#include "admin_room.h"

// ------------------------------------------------------------------ which is meant

static const struct config_budget *find_budget(const struct config_tenant *tenant,
                                               struct slice name) {
    for (size_t i = 0; i < tenant->budget_count; i++)
        if (slice_equal(tenant->budgets[i].name, name))
            return &tenant->budgets[i];
    return NULL;
}

// The budget "run" that a tenant has without a section of its own (budget.h).
static bool is_of_runs(const struct config_tenant *tenant, struct slice name) {
    return tenant->run.max_cost != CONFIG_UNSET && slice_equal(name, SLICE("run"));
}

static bool refuse_budget(const struct admin_order *o, const struct config_tenant *tenant) {
    struct buffer names = {0};
    for (size_t i = 0; i < tenant->budget_count; i++)
        buffer_printf(&names, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(tenant->budgets[i].name));
    if (tenant->budget_count == 0)
        BUFFER_LITERAL(&names, "none");
    admin_refuse(o->request, API_ERROR_NOT_FOUND, "budget",
                 "There is no budget \"%.*s\" of tenant %.*s; it has %.*s.", SLICE_ARG(o->budget),
                 SLICE_ARG(tenant->name), SLICE_ARG(buffer_slice(&names)));
    buffer_free(&names);
    return false;
}

// Without a value that of the empty value would be meant, which few want.
static bool check_budget(struct admin *a, const struct admin_order *o) {
    const struct config_tenant *tenant = config_tenant_find(a->config, o->tenant);
    if (tenant == NULL)
        return admin_refuse_tenant(a, o);
    const struct config_budget *budget = find_budget(tenant, o->budget);
    if (budget == NULL && !is_of_runs(tenant, o->budget))
        return refuse_budget(o, tenant);
    if ((budget == NULL || budget->per != CONFIG_PER_ALL) && o->value.ptr == NULL)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "value",
                            "The budget %.*s of tenant %.*s has a counter for each %s: say which "
                            "with \"value\".",
                            SLICE_ARG(o->budget), SLICE_ARG(o->tenant),
                            admin_per_name(budget != NULL ? budget->per : CONFIG_PER_RUN));
    return true;
}

// ----------------------------------------------------------------------- figures

struct search {
    const struct admin_order *order;
    struct buffer *out;
};

static void on_budget(void *arg, const struct budget_view *view) {
    const struct search *s = arg;
    struct json_writer w;
    if (s->out->len > 0 || !slice_equal(view->tenant, s->order->tenant) ||
        !slice_equal(view->budget, s->order->budget) ||
        !slice_equal(view->value, s->order->value) || !view->configured)
        return;
    json_write_start(&w, s->out);
    put_budget(&w, view);
}

// null: a value that has not come yet.
static void put_figures(struct admin *a, const struct admin_order *o, struct buffer *out) {
    struct search s = {o, out};
    budgets_visit(a->sources.budgets, on_budget, &s);
    if (out->len == 0)
        BUFFER_LITERAL(out, "null");
}

// ------------------------------------------------------------------------- doing

typedef bool change(struct budgets *b, const struct budget_name *name, config_pico amount,
                    struct error *err);

static bool carry_out(struct admin *a, struct admin_order *o, struct admin_deed *deed,
                      change *make_change, config_pico amount) {
    const struct budget_name name = {o->tenant, o->budget, o->value};
    struct error err;
    if (a->sources.budgets == NULL)
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, NULL, "There are no budgets here.");
    if (!check_budget(a, o))
        return false;
    deed->what =
        arena_printf(o->arena, "%.*s/%.*s%s%.*s", SLICE_ARG(o->tenant), SLICE_ARG(o->budget),
                     o->value.len > 0 ? "/" : "", SLICE_ARG(o->value));
    put_figures(a, o, &deed->before);
    if (!make_change(a->sources.budgets, &name, amount, &err))
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, "value", "%s", err.text);
    put_figures(a, o, &deed->after);
    return true;
}

static bool reset(struct budgets *b, const struct budget_name *name, config_pico amount,
                  struct error *err) {
    (void)amount;
    return budget_reset(b, name, err);
}

static bool freeze(struct budgets *b, const struct budget_name *name, config_pico amount,
                   struct error *err) {
    (void)amount;
    return budget_freeze(b, name, true, err);
}

static bool thaw(struct budgets *b, const struct budget_name *name, config_pico amount,
                 struct error *err) {
    (void)amount;
    return budget_freeze(b, name, false, err);
}

bool act_budget_top_up(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    struct money amount;
    if (!money_parse(o->amount, &amount) || amount.pico == 0)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "amount",
                            "\"amount\" must be such as \"5 usd\", \"0.25\" or \"-1 usd\", not "
                            "\"%.*s\".",
                            SLICE_ARG(o->amount));
    deed->action = "budgets.top-up";
    return carry_out(a, o, deed, budget_top_up, amount.pico);
}

bool act_budget_reset(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    deed->action = "budgets.reset";
    return carry_out(a, o, deed, reset, 0);
}

bool act_budget_freeze(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    deed->action = "budgets.freeze";
    return carry_out(a, o, deed, freeze, 0);
}

bool act_budget_thaw(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    deed->action = "budgets.thaw";
    return carry_out(a, o, deed, thaw, 0);
}
