// What the breakers show: log lines and counts of changes, views for the operator,
// the gauge for a scrape; and the operator's reset.
#include "breaker_room.h"

const char *breaker_state_name(enum breaker_state state) {
    switch (state) {
    case BREAKER_STATE_CLOSED:
        return "closed";
    case BREAKER_STATE_HALF_OPEN:
        return "half_open";
    case BREAKER_STATE_OPEN:
        return "open";
    }
    return "";
}

static const struct metric_family state_family = {
    "farthing_breaker_state", "State of a circuit breaker: 0 closed, 1 half-open, 2 open.",
    METRIC_GAUGE, {"provider", "model"}, NULL, 0, 0, 0};
static const struct metric_family transitions_family = {
    "farthing_breaker_transitions_total", "Changes of a circuit breaker's state.", METRIC_COUNTER,
    {"provider", "model", "to"}, NULL, 0, 0, 0};

void breaker_declare_metrics(void) {
    metric_declare(&state_family);
    metric_declare(&transitions_family);
}

// -------------------------------------------------------------------- changes

static void log_change(const struct breaker *b, const struct breaker_change *c) {
    struct slice name = b->named.name;
    switch (c->cause) {
    case BREAKER_CAUSE_NONE:
        break;
    case BREAKER_CAUSE_FAILURES:
        log_write(LOG_WARNING,
                  "breaker %.*s: open: %lld of %lld calls failed within %lld ms; probe in %lld ms",
                  SLICE_ARG(name), (long long)c->failures, (long long)c->calls,
                  (long long)c->window_ms, (long long)c->wait_ms);
        break;
    case BREAKER_CAUSE_PROBE_BAD:
        log_write(LOG_WARNING, "breaker %.*s: open: its probe failed; the next in %lld ms",
                  SLICE_ARG(name), (long long)c->wait_ms);
        break;
    case BREAKER_CAUSE_PROBE_DUE:
        log_write(LOG_INFO, "breaker %.*s: half-open: one request passes as a probe",
                  SLICE_ARG(name));
        break;
    case BREAKER_CAUSE_PROBE_GOOD:
        log_write(LOG_INFO, "breaker %.*s: closed: its probe was answered, after %lld ms",
                  SLICE_ARG(name), (long long)c->outage_ms);
        break;
    case BREAKER_CAUSE_RESET:
        log_write(LOG_INFO, "breaker %.*s: closed: by an operator, after %lld ms", SLICE_ARG(name),
                  (long long)c->outage_ms);
        break;
    case BREAKER_CAUSE_HEARD_OPEN:
        log_write(LOG_WARNING,
                  "breaker %.*s: open: another instance says that %lld of %lld calls failed; probe "
                  "in %lld ms",
                  SLICE_ARG(name), (long long)c->failures, (long long)c->calls,
                  (long long)c->wait_ms);
        break;
    case BREAKER_CAUSE_HEARD_CLOSED:
        log_write(LOG_INFO,
                  "breaker %.*s: closed: another instance says that its probe was answered, "
                  "after %lld ms",
                  SLICE_ARG(name), (long long)c->outage_ms);
        break;
    case BREAKER_CAUSE_HEARD_RESET:
        log_write(LOG_INFO,
                  "breaker %.*s: closed: by an operator at another instance, after %lld ms",
                  SLICE_ARG(name), (long long)c->outage_ms);
        break;
    case BREAKER_CAUSE_OFF:
        log_write(LOG_INFO, "breaker %.*s: closed: turned off in the configuration",
                  SLICE_ARG(name));
        break;
    }
}

void breaker_tell(const struct breaker *b, const struct breaker_change *c) {
    if (c->cause == BREAKER_CAUSE_NONE)
        return;
    struct slice name = b->named.name;
    const struct slice labels[] = {names_provider(name), names_model(name),
                                   slice_of(breaker_state_name(c->to))};
    metric_add(metric_series(&transitions_family, labels), 1);
    log_change(b, c);
}

// ---------------------------------------------------------------------- views

static void view_breaker(struct breaker *b, int64_t now_ms, struct breaker_view *out) {
    pthread_mutex_lock(&b->lock);
    enum breaker_state state = breaker_state_of(atomic_load(&b->mark));
    bool closed = state == BREAKER_STATE_CLOSED;
    int64_t wait_ms = closed ? 0 : atomic_load(&b->next_ms) - now_ms;
    *out = (struct breaker_view){.name = b->named.name,
                                 .provider = names_provider(b->named.name),
                                 .model = names_model(b->named.name),
                                 .state = state,
                                 .opened_at_ms = closed ? 0 : b->outage_wall_ms,
                                 .retry_in_ms = wait_ms > 0 ? wait_ms : 0,
                                 .hearsay = b->hearsay,
                                 .opened = b->opened};
    if (closed)
        breaker_window_sum(&b->window, now_ms, &out->calls, &out->failures);
    pthread_mutex_unlock(&b->lock);
}

void breakers_visit(struct breakers *b, int64_t now_ms, breakers_visitor *visit, void *arg) {
    for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
        struct breaker_view view;
        view_breaker((struct breaker *)(void *)n, now_ms, &view);
        visit(arg, &view);
    }
}

bool breakers_reset(struct breakers *b, struct slice name, int64_t now_ms) {
    struct breaker *found = (struct breaker *)(void *)names_find(&b->names, name);
    if (found == NULL)
        return false;
    pthread_mutex_lock(&found->lock);
    struct breaker_change change = breaker_close(found, BREAKER_CAUSE_RESET, now_ms);
    pthread_mutex_unlock(&found->lock);
    breaker_tell(found, &change);
    return true;
}

// Several breakers may share a series ("other"): the worst state is set last.
void breakers_publish(struct breakers *b) {
    for (int state = BREAKER_STATE_CLOSED; state <= BREAKER_STATE_OPEN; state++)
        for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
            struct breaker *each = (struct breaker *)(void *)n;
            if ((int)breaker_state_of(atomic_load(&each->mark)) != state ||
                (!atomic_load(&n->declared) && !atomic_load(&each->shown)))
                continue;
            const struct slice labels[] = {names_provider(n->name), names_model(n->name)};
            metric_set(metric_series(&state_family, labels), state);
        }
}
