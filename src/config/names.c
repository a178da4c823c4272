// The words of routing.conf that are also said elsewhere, in rows, metrics and
// messages: each list stands here once, in the order of its enum.
#include "names.h"

#define ASSERT_ALL(words, count) _Static_assert(FARTHING_COUNT(words) == (count), "a word for each")

const char *const config_script_words[] = {
    "latin",    "greek",    "cyrillic", "armenian", "hebrew",     "arabic",    "devanagari",
    "bengali",  "gurmukhi", "gujarati", "tamil",    "telugu",     "kannada",   "malayalam",
    "sinhala",  "thai",     "lao",      "tibetan",  "myanmar",    "georgian",  "ethiopic",
    "khmer",    "han",      "hiragana", "katakana", "hangul",     "other",
};
ASSERT_ALL(config_script_words, CONFIG_SCRIPT_COUNT);
_Static_assert(CONFIG_SCRIPT_COUNT <= 32, "scripts are bits of 32");

const char *const config_effort_words[] = {"",       "none", "minimal", "low",
                                           "medium", "high", "xhigh"};
ASSERT_ALL(config_effort_words, CONFIG_EFFORT_COUNT);

const char *const config_context_words[] = {"system",    "developer",    "history",
                                            "retrieved", "tool_results", "total"};
ASSERT_ALL(config_context_words, CONFIG_CONTEXT_PART_COUNT);

const char *const config_escalation_words[] = {
    "error",       "timeout", "length",  "content_filter", "empty",    "refusal",    "json",
    "json_schema", "tools",   "pattern", "too_short",      "language", "repetition", "context",
};
ASSERT_ALL(config_escalation_words, CONFIG_ESCALATE_COUNT);
_Static_assert(CONFIG_ESCALATE_COUNT <= 32, "reasons are bits of 32");

const char *config_script_name(enum config_script s) {
    return config_script_words[s];
}

bool config_script_find(struct slice name, enum config_script *out) {
    for (size_t i = 0; i < CONFIG_SCRIPT_COUNT; i++)
        if (slice_equal(name, slice_of(config_script_words[i]))) {
            *out = (enum config_script)i;
            return true;
        }
    return false;
}

const char *config_effort_name(enum config_effort e) {
    return config_effort_words[e];
}

const char *config_context_part_name(enum config_context_part part) {
    return config_context_words[part];
}

const char *config_escalation_name(enum config_escalation reason) {
    return config_escalation_words[reason];
}
