// A route's chain: what sends a request on along it, and what its answers are
// judged by.
#include "loader.h"
#include "names.h"

static void read_escalation(struct loader *l, cfg_t *section, struct config_route *r) {
    r->escalate_on = 1u << CONFIG_ESCALATE_ERROR | 1u << CONFIG_ESCALATE_TIMEOUT |
                     1u << CONFIG_ESCALATE_CONTEXT;
    if (!loader_given(section, "escalate_on"))
        return;
    r->escalate_on = 0;
    struct config_slices given = loader_list(l, section, "escalate_on");
    for (size_t i = 0; i < given.count; i++) {
        int line = loader_item_line(l, section, "escalate_on", i);
        size_t reason = loader_word(l, line, "escalate_on", given.items[i],
                                    config_escalation_words, CONFIG_ESCALATE_COUNT);
        if (reason < CONFIG_ESCALATE_COUNT)
            r->escalate_on |= 1u << reason;
    }
}

static void read_gate_streams(struct loader *l, cfg_t *section, struct config_route *r) {
    enum { TOKENS_MOST = 100000 };
    const char *text = loader_text(section, "gate_streams");
    struct slice value = slice_of(text);
    if (text == NULL || slice_equal(value, SLICE("off")))
        r->gate_streams = CONFIG_GATE_OFF;
    else if (slice_equal(value, SLICE("buffer")))
        r->gate_streams = CONFIG_GATE_BUFFER;
    else if (slice_starts_with(value, SLICE("head ")) &&
             slice_to_i64(slice_trim(slice_from(value, 5)), &r->gate_head_tokens) &&
             r->gate_head_tokens >= 1 && r->gate_head_tokens <= TOKENS_MOST)
        r->gate_streams = CONFIG_GATE_HEAD;
    else
        loader_error(l, loader_line(l, section, "gate_streams"),
                     "gate_streams: \"%s\" is not valid; expected \"off\", \"buffer\" or "
                     "\"head 200\" (1 to %d tokens)",
                     loader_shown(l, value), TOKENS_MOST);
}

// What a gate asks for is only asked where its reason escalates.
static void check_effect(struct loader *l, cfg_t *gate, const struct config_route *r,
                         const char *key, enum config_escalation reason, const char *word) {
    if (loader_text(gate, key) != NULL && (r->escalate_on & 1u << reason) == 0)
        loader_warn(l, loader_line(l, gate, key), "%s has no effect without \"%s\" in escalate_on",
                    key, word);
}

static void check_gate(struct loader *l, cfg_t *gate, const struct config_route *r) {
    loader_check_texts(l, gate, "refusals");
    loader_check_texts(l, gate, "must_match");
    loader_check_texts(l, gate, "must_not_match");
    loader_check_scripts(l, gate);
    check_effect(l, gate, r, "refusals", CONFIG_ESCALATE_REFUSAL, "refusal");
    check_effect(l, gate, r, "must_match", CONFIG_ESCALATE_PATTERN, "pattern");
    check_effect(l, gate, r, "must_not_match", CONFIG_ESCALATE_PATTERN, "pattern");
    check_effect(l, gate, r, "min_characters", CONFIG_ESCALATE_TOO_SHORT, "too_short");
    check_effect(l, gate, r, "scripts", CONFIG_ESCALATE_LANGUAGE, "language");
}

void loader_read_chain(struct loader *l, cfg_t *section, struct config_route *r) {
    cfg_t *gate = cfg_getsec(section, "gate");
    loader_fill_named(l, gate, "route", "gate", r);
    read_escalation(l, section, r);
    read_gate_streams(l, section, r);
    check_gate(l, gate, r);
}
