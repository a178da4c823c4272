// The commands, in one table: from it they are found, checked and explained.
#include "ctl.h"

// -------------------------------------------------------------------------- tables

static const struct ctl_column budget_columns[] = {
    {"TENANT", "tenant", CTL_TEXT, NULL},
    {"BUDGET", "budget", CTL_TEXT, NULL},
    {"VALUE", "value", CTL_TEXT, NULL},
    {"AMOUNT", "amount_usd", CTL_RIGHT, NULL},
    {"SPENT", "spent_usd", CTL_RIGHT, NULL},
    {"RESERVED", "reserved_usd", CTL_RIGHT, NULL},
    {"REMAINING", "remaining_usd", CTL_RIGHT, NULL},
    {"FROZEN", "frozen", CTL_FLAG, NULL},
    {"WINDOW ENDS", "window_end", CTL_TEXT, NULL},
    {0},
};
static const struct ctl_column limits_columns[] = {
    {"NAME", "name", CTL_TEXT, NULL},
    {"TENANT", "tenant", CTL_TEXT, NULL},
    {"RUNNING", "running", CTL_OF, "concurrency"},
    {"QUEUED", "queued", CTL_OF, "queue"},
    {"REQUESTS LEFT", "requests", CTL_RATE, NULL},
    {"TOKENS LEFT", "tokens", CTL_RATE, NULL},
    {"HELD FOR", "hold_ms", CTL_AGE, NULL},
    {0},
};
static const struct ctl_column inflight_columns[] = {
    {"ID", "id", CTL_TEXT, NULL},
    {"TENANT", "tenant", CTL_TEXT, NULL},
    {"FEATURE", "feature", CTL_TEXT, NULL},
    {"RUN", "run", CTL_TEXT, NULL},
    {"ROUTE", "route", CTL_TEXT, NULL},
    {"MODEL", "model", CTL_TEXT, NULL},
    {"STATE", "state", CTL_TEXT, NULL},
    {"AGE", "age_ms", CTL_AGE, NULL},
    {"ATTEMPTS", "attempts", CTL_RIGHT, NULL},
    {"STREAM", "stream", CTL_FLAG, NULL},
    {"RESERVED", "reserved_usd", CTL_RIGHT, NULL},
    {0},
};
static const struct ctl_column provider_columns[] = {
    {"PROVIDER", "provider", CTL_TEXT, NULL},
    {"INFLIGHT", "inflight", CTL_OF, "limit"},
    {"WAITING", "waiting", CTL_RIGHT, NULL},
    {"ADAPTIVE", "adaptive", CTL_FLAG, NULL},
    {0},
};
static const struct ctl_column key_columns[] = {
    {"KEY", "key", CTL_TEXT, NULL},
    {"TENANT", "tenant", CTL_TEXT, NULL},
    {"BLOCKED", "blocked", CTL_FLAG, NULL},
    {"BY", "blocked_by", CTL_TEXT, NULL},
    {"CHANGED", "changed", CTL_TEXT, NULL},
    {"WHO", "who", CTL_TEXT, NULL},
    {"REASON", "reason", CTL_TEXT, NULL},
    {0},
};
static const struct ctl_column audit_columns[] = {
    {"AT", "at", CTL_TEXT, NULL},
    {"ACTION", "action", CTL_TEXT, NULL},
    {"WHAT", "what", CTL_TEXT, NULL},
    {"WHO", "who", CTL_TEXT, NULL},
    {"OPERATOR", "operator", CTL_TEXT, NULL},
    {"REASON", "reason", CTL_TEXT, NULL},
    {"CHANGE", "", CTL_CHANGE, NULL},
    {0},
};
static const struct ctl_column run_columns[] = {
    {"TENANT", "tenant", CTL_TEXT, NULL},
    {"RUN", "run", CTL_TEXT, NULL},
    {"RUNNING", "running", CTL_RIGHT, NULL},
    {"STEPS", "steps", CTL_RIGHT, NULL},
    {"ATTEMPTS", "attempts", CTL_RIGHT, NULL},
    {"TOKENS", "tokens", CTL_RIGHT, NULL},
    {"RESERVED", "reserved_tokens", CTL_RIGHT, NULL},
    {"STARTED", "started", CTL_TEXT, NULL},
    {"LAST", "last", CTL_TEXT, NULL},
    {0},
};

static const struct ctl_column breaker_columns[] = {
    {"BREAKER", "name", CTL_TEXT, NULL},
    {"STATE", "state", CTL_TEXT, NULL},
    {"FAILED", "failures", CTL_OF, "calls"},
    {"OPENED AT", "opened_at", CTL_TEXT, NULL},
    {"RETRY IN", "retry_in_ms", CTL_AGE, NULL},
    {"OPENED", "opened", CTL_RIGHT, NULL},
    {"HEARSAY", "hearsay", CTL_FLAG, NULL},
    {0},
};
static const struct ctl_column retry_budget_columns[] = {
    {"PROVIDER", "provider", CTL_TEXT, NULL},
    {"RETRIES LEFT", "left", CTL_SIGNED, NULL},
    {"RETRIES", "retries", CTL_RIGHT, NULL},
    {"CLIENTS' RETRIES", "client_retries", CTL_RIGHT, NULL},
    {"DENIED", "denied", CTL_RIGHT, NULL},
    {0},
};
static const struct ctl_column model_columns[] = {
    {"MODEL", "name", CTL_TEXT, NULL},
    {"INFLIGHT", "inflight", CTL_RIGHT, NULL},
    {"FIRST BYTE MS", "latency_ms", CTL_RIGHT, NULL},
    {"MEASURED AGO", "measured_ms_ago", CTL_AGE, NULL},
    {0},
};
static const struct ctl_table breaker_tables[] = {
    {"breakers", breaker_columns},
    {"retry_budgets", retry_budget_columns},
    {"models", model_columns},
    {0},
};

static const struct ctl_column route_columns[] = {
    {"ROUTE", "route", CTL_TEXT, NULL},
    {"REQUESTS", "requests", CTL_RIGHT, NULL},
    {"BASELINE", "baseline_cost_usd", CTL_RIGHT, NULL},
    {"COST", "cost_usd", CTL_RIGHT, NULL},
    {"CLASSIFIER", "classifier_cost_usd", CTL_RIGHT, NULL},
    {"NET SAVING", "net_saving_usd", CTL_RIGHT, NULL},
    {"WINDOW", "window_ms", CTL_AGE, NULL},
    {"AUTO DISABLE", "auto_disable", CTL_FLAG, NULL},
    {"OFF SINCE", "off_since", CTL_TEXT, NULL},
    {0},
};
static const struct ctl_column route_event_columns[] = {
    {"AT", "at", CTL_TEXT, NULL},
    {"ROUTE", "route", CTL_TEXT, NULL},
    {"ROUTING", "event", CTL_TEXT, NULL},
    {"REQUESTS", "requests", CTL_RIGHT, NULL},
    {"NET SAVING", "net_saving_usd", CTL_RIGHT, NULL},
    {0},
};
static const struct ctl_table route_tables[] = {
    {"routes", route_columns},
    {"events", route_event_columns},
    {0},
};

#define LIST(name, help, may, columns)                                                             \
    {{name, ""}, "", help, 0, 0, may, ctl_run_list, "/" name,                                      \
     (const struct ctl_table[]){{name, columns}, {0}}}
#define BUDGET(verb, arguments, help, most)                                                        \
    {{"budgets", verb}, arguments, help, 2, most, CTL_MAY_REASON, ctl_run_budget,                  \
     "/budgets/" verb, NULL}
#define KEY(verb, help)                                                                            \
    {{"keys", verb}, " sha256:HEX | --stdin | --tenant NAME", help, 0, 1,                          \
     CTL_MAY_TENANT | CTL_MAY_REASON | CTL_MAY_STDIN, ctl_run_key, "/keys/" verb, NULL}
#define OFFLINE(name, arguments, help, may, run)                                                   \
    {{name, ""}, arguments, help, 1, CTL_WORDS_MAX, may, run, NULL, NULL}

static const struct ctl_command commands[] = {
    {{"status", ""}, "", "how it is, in figures", 0, 0, 0, ctl_run_status, "/status", NULL},
    LIST("budgets", "what is spent, reserved and left", CTL_MAY_TENANT, budget_columns),
    BUDGET("top-up", " TENANT BUDGET [VALUE] AMOUNT", "more in this window", 5),
    BUDGET("reset", " TENANT BUDGET [VALUE]", "forget what this window spent", 3),
    BUDGET("freeze", " TENANT BUDGET [VALUE]", "grant nothing", 3),
    BUDGET("thaw", " TENANT BUDGET [VALUE]", "grant again", 3),
    LIST("limits", "who runs and who waits", CTL_MAY_TENANT, limits_columns),
    LIST("inflight", "the requests that run now", CTL_MAY_TENANT, inflight_columns),
    LIST("providers", "requests at each provider", 0, provider_columns),
    {{"breakers", ""}, "", "which models are not asked now, and who may retry", 0, 0, 0,
     ctl_run_list, "/breakers", breaker_tables},
    {{"breakers", "reset"}, " PROVIDER/MODEL", "ask it again at once", 1, 1, CTL_MAY_REASON,
     ctl_run_breaker, "/breakers/reset", NULL},
    {{"feedback", ""}, " REQUEST_ID good|bad", "say whether an answer was good enough", 2, 2,
     CTL_MAY_REASON, ctl_run_feedback, "/feedback", NULL},
    {{"savings", ""}, " [--route NAME] [--window 7d] [--svg FILE]",
     "what routing saved, less what it cost", 0, 0, CTL_MAY_ROUTE | CTL_MAY_WINDOW | CTL_MAY_DRAW,
     ctl_run_savings, "/savings", NULL},
    {{"routes", ""}, "", "what each route saves now, and which are switched off", 0, 0, 0,
     ctl_run_list, "/routes", route_tables},
    LIST("runs", "what workflow runs have taken", CTL_MAY_TENANT, run_columns),
    LIST("keys", "clients' keys and which are blocked", CTL_MAY_TENANT, key_columns),
    KEY("block", "refuse a key, or a tenant, at once"),
    KEY("unblock", "and let it in again"),
    {{"cache", ""}, "", "what the cache holds, and when it was purged", 0, 0, 0, ctl_run_status,
     "/cache", NULL},
    {{"cache", "purge"},
     " [--tenant NAME] [--feature NAME] [--prompt-version V] [--corpus-version V] [--route NAME]"
     " [--key HEX]",
     "forget the answers that are of all of these; without any: all answers", 0, 0,
     CTL_MAY_TENANT | CTL_MAY_TAGS | CTL_MAY_ROUTE | CTL_MAY_REASON, ctl_run_purge, "/cache/purge",
     NULL},
    LIST("audit", "the last changes by operators", 0, audit_columns),
    OFFLINE("train", " --out MODEL FILE...", "learn from rows of prompt, small_ok and large_ok, or of outcomes",
            CTL_MAY_OUT, ctl_run_train),
    OFFLINE("classify", " --model MODEL FILE...", "how hard each prompt is", CTL_MAY_MODEL,
            ctl_run_classify),
    OFFLINE("eval", " [--model MODEL | --folds N [--seed N]] [--svg FILE] FILE...",
            "what routing by a model is worth on rows with labels",
            CTL_MAY_MODEL | CTL_MAY_PROVE | CTL_MAY_DRAW, ctl_run_eval),
};

// ------------------------------------------------------------------------- finding

static bool takes_options(const struct ctl_command *c, const struct ctl_call *call) {
    const struct {
        bool given;
        unsigned bit;
        const char *name;
    } options[] = {
        {call->tenant != NULL, CTL_MAY_TENANT, "--tenant"},
        {call->reason != NULL, CTL_MAY_REASON, "--reason"},
        {call->from_stdin, CTL_MAY_STDIN, "--stdin"},
        {call->out != NULL, CTL_MAY_OUT, "--out"},
        {call->model != NULL, CTL_MAY_MODEL, "--model"},
        {call->route != NULL, CTL_MAY_ROUTE, "--route"},
        {call->window != NULL, CTL_MAY_WINDOW, "--window"},
        {call->feature != NULL, CTL_MAY_TAGS, "--feature"},
        {call->prompt_version != NULL, CTL_MAY_TAGS, "--prompt-version"},
        {call->corpus_version != NULL, CTL_MAY_TAGS, "--corpus-version"},
        {call->key != NULL, CTL_MAY_TAGS, "--key"},
        {call->svg != NULL, CTL_MAY_DRAW, "--svg"},
        {call->folds != NULL, CTL_MAY_PROVE, "--folds"},
        {call->seed != NULL, CTL_MAY_PROVE, "--seed"},
        {call->small_price != NULL, CTL_MAY_PROVE, "--small-price"},
        {call->large_price != NULL, CTL_MAY_PROVE, "--large-price"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(options); i++)
        if (options[i].given && !(c->may & options[i].bit)) {
            fprintf(stderr, "farthingctl: \"%s%s%s\" takes no %s\n", c->name[0],
                    c->name[1][0] != '\0' ? " " : "", c->name[1], options[i].name);
            return false;
        }
    return true;
}

// The longer name first: "budgets reset" before "budgets".
static const struct ctl_command *find(struct ctl_call *call) {
    for (size_t names = 2; names > 0; names--) {
        for (size_t i = 0; i < FARTHING_COUNT(commands) && call->word_count >= names; i++) {
            const struct ctl_command *c = &commands[i];
            if ((names == 2) != (c->name[1][0] != '\0') ||
                strcmp(c->name[0], call->words[0]) != 0 ||
                (names == 2 && strcmp(c->name[1], call->words[1]) != 0))
                continue;
            call->word_count -= names;
            memmove(call->words, call->words + names, call->word_count * sizeof call->words[0]);
            return c;
        }
    }
    return NULL;
}

int ctl_run(struct ctl_call *call) {
    const struct ctl_command *c = find(call);
    if (c == NULL) {
        fprintf(stderr, "farthingctl: there is no command \"%s\"\n", call->words[0]);
        ctl_write_usage(stderr);
        return CTL_USAGE;
    }
    if (!takes_options(c, call))
        return CTL_USAGE;
    if (call->word_count < c->least || call->word_count > c->most)
        return ctl_refuse_words(c);
    return c->run(c, call);
}

void ctl_write_usage(FILE *out) {
    fputs("usage: farthingctl [--admin HOST:PORT] COMMAND [--json]\n"
          "       farthingctl --version | --help\n\n",
          out);
    for (size_t i = 0; i < FARTHING_COUNT(commands); i++) {
        const struct ctl_command *c = &commands[i];
        char left[192];
        snprintf(left, sizeof left, "%s%s%s%s%s%s", c->name[0], c->name[1][0] != '\0' ? " " : "",
                 c->name[1], c->arguments,
                 c->name[1][0] == '\0' && (c->may & CTL_MAY_TENANT) ? " [--tenant NAME]" : "",
                 (c->may & CTL_MAY_REASON) ? " [--reason TEXT]" : "");
        fprintf(out, "  %s\n      %s\n", left, c->help);
    }
    fputs("\ntrain, classify and eval work without a proxy; \"-\" is standard input. eval also\n"
          "takes --small-price and --large-price, of a request (1 and 20 unless said).\n",
          out);
    fputs("\nThe admin address is 127.0.0.1:4001 unless --admin or FARTHING_ADMIN says otherwise.\n"
          "FARTHING_OPERATOR (or USER) is noted in the audit of what is changed.\n",
          out);
}
