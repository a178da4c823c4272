// The tables of the classifier, its rules and its categories.
#include "spec_tables.h"

static const struct spec_key classifier_keys[] = {
    {"default_tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Where no rule, category or model decides: the tier that \"auto\" begins with; not set: the "
     "first of the chain."},
    {"model", SPEC_TEXT, 0, 0, AT(config_classifier, model), NULL, 0, 0,
     "File of a learned model, which farthingctl train wrote."},
    {"embedding_table", SPEC_TEXT, 0, 0, AT(config_classifier, embedding_table), NULL, 0, 0,
     "What makes vectors for categories: file of a static embedding table in model2vec's format "
     "(model.safetensors). With neither this nor embedding_model: hashed n-grams."},
    {"embedding_tokenizer", SPEC_TEXT, 0, 0, AT(config_classifier, embedding_tokenizer), NULL, 0, 0,
     "File of the table's tokenizer; not set: tokenizer.json beside the table."},
    {"embedding_model", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Or: a model, \"provider/model\", that is asked by /v1/embeddings; its provider's dialect is "
     "openai."},
    {"embedding_timeout", SPEC_DURATION, 0, 0, AT(config_classifier, embedding_timeout_ms), "5ms",
     1, 5,
     "How long a request waits for the answer of embedding_model; later, categories are "
     "passed over."},
    {"embedding_budget", SPEC_MONEY, 0, 0, AT(config_classifier, embedding_budget), NULL, 1,
     MONEY_MAX, "What embedding_model may cost in a day (UTC); not set: no budget."},
    {"capture", SPEC_TEXT, 0, 0, AT(config_classifier, capture), NULL, 0, 0,
     "File that prompts are kept in, with what gates and feedback said of their answers, for "
     "farthingctl train; not set: nothing is kept."},
};

static const struct spec_key category_keys[] = {
    {"examples", SPEC_LIST, 0, 0, AT(config_category, examples), NULL, 0, 0,
     "What users say in requests of this kind. At least one."},
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "The tier that \"auto\" begins with. Where the route's chain lacks it, the category is passed "
     "over. Must be set."},
    {"threshold", SPEC_MILLI, 0, 0, AT(config_category, threshold_milli), "0.8", 0, 1000,
     "How near the nearest example must be: the cosine, from 0 to 1."},
};

// clang-format off
#define RULE_LIST(name, field, help) \
    {name, SPEC_LIST, 0, 0, AT(config_rule, field), NULL, 0, 0, help}
#define RULE_BOUNDS(name, signal, most, what) \
    UNSET("min_" name, SPEC_NUMBER, config_rule, signals[signal].min, 0, most, \
          "At least so many " what "."), \
    UNSET("max_" name, SPEC_NUMBER, config_rule, signals[signal].max, 0, most, \
          "At most so many " what ".")
#define RULE_RANGE(name, signal, what) RULE_BOUNDS(name, signal, TOKENS_MAX, what)
// clang-format on

static const struct spec_key rule_keys[] = {
    RULE_LIST("keywords", keywords,
              "Any of these, as whole words, in any case, in what users say (not in system or "
              "developer messages, answers or tool results)."),
    RULE_LIST("contains", contains, "The same, but also within words."),
    RULE_LIST("patterns", patterns, "Any of these PCRE2 patterns is found in it."),
    RULE_LIST("features", features, "Globs; the request's feature fits one."),
    RULE_LIST("models", models, "Globs; the requested model fits one."),
    RULE_LIST("prompt_versions", prompt_versions, "Globs; the prompt version fits one."),
    RULE_LIST("scripts", scripts,
              "Letters of any of these are in what users say: latin, greek, cyrillic, han, ... "
              "(Unicode's names), or other."),
    RULE_RANGE("input_tokens", CONFIG_SIGNAL_INPUT_TOKENS, "tokens of input, as estimated"),
    RULE_RANGE("turns", CONFIG_SIGNAL_TURNS, "turns of users"),
    RULE_RANGE("tools", CONFIG_SIGNAL_TOOLS, "tools that are offered"),
    RULE_RANGE("tool_results", CONFIG_SIGNAL_TOOL_RESULTS, "results of tools"),
    RULE_RANGE("images", CONFIG_SIGNAL_IMAGES, "images"),
    RULE_RANGE("code_blocks", CONFIG_SIGNAL_CODE_BLOCKS, "fenced code blocks of users"),
    RULE_RANGE("code_lines", CONFIG_SIGNAL_CODE_LINES, "lines in them"),
    RULE_RANGE("questions", CONFIG_SIGNAL_QUESTIONS, "question marks of users"),
    RULE_RANGE("numbers", CONFIG_SIGNAL_NUMBERS, "numbers that users say"),
    RULE_RANGE("math", CONFIG_SIGNAL_MATH, "marks of mathematics that users make"),
    RULE_RANGE("schema_bytes", CONFIG_SIGNAL_SCHEMA_BYTES, "bytes of JSON Schema for the answer"),
    RULE_RANGE("output_tokens", CONFIG_SIGNAL_OUTPUT_TOKENS,
               "tokens of output that the client allows; where it says nothing, neither min nor "
               "max fits"),
    RULE_RANGE("deadline_ms", CONFIG_SIGNAL_DEADLINE_MS,
               "milliseconds are left until the request's deadline; where it has none, neither min "
               "nor max fits"),
    RULE_BOUNDS("past_success", CONFIG_SIGNAL_PAST_SUCCESS, 100,
                "percent of the answers to this feature from the chain's first tier were good "
                "enough lately, as gates and feedback say; where too few were seen, neither min "
                "nor max fits"),
    {"no_tools", SPEC_FLAG, 0, 0, AT(config_rule, no_tools), NULL, 0, 0,
     "true: no tools are offered; false: some are."},
    {"json", SPEC_FLAG, 0, 0, AT(config_rule, json_output), NULL, 0, 0,
     "true: the answer shall be JSON; false: it need not."},
    {"tier", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0,
     "Outcome: the tier that \"auto\" begins with. Where the route's chain lacks it, the rule is "
     "passed over."},
    {"route", SPEC_SPECIAL, 0, 0, 0, NULL, 0, 0, "Or: another route, with its chain."},
    {"score", SPEC_MILLI, 0, 0, AT(config_rule, score_milli), NULL, -1000, 1000,
     "Or: from -1 (easy) to 1 (hard): so much less is each tier's chance by the learned model; "
     "without one it is a place in the chain, from the first to the last tier. Exactly one of the "
     "three must be set."},
};

const struct spec_section spec_classifier =
    SECTION("classifier", "", false, classifier_keys,
            "How hard is a request?");

const struct spec_section spec_classifier_rule =
    SECTION("rule", "classifier", true, rule_keys,
            "One rule; the first that fits wins.");

const struct spec_section spec_classifier_category =
    SECTION("category", "classifier", true, category_keys,
            "Requests that are like these examples, where no rule decides: the nearest example of "
            "all categories counts.");
