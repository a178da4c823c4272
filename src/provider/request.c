// What a request says of its own size: the cap on output, choices, tools.
//
// Budgets and limits are held against these figures before the provider has
// seen the request, so they err on the high side: a reading that a strict
// provider would refuse costs nothing, but one that is lower than what a lenient
// server understands would let a request through for less than it takes.
#include "request.h"

#define NAMED(text) text, sizeof(text) - 1
enum {
    CHAT = 1 << API_CHAT_COMPLETIONS,
    COMPLETIONS = 1 << API_COMPLETIONS,
    RESPONSES = 1 << API_RESPONSES,
    MESSAGES = 1 << API_MESSAGES,
};

static const struct {
    const char *name;
    uint8_t len, field, endpoints;
} fields[] = {
    {NAMED("n"), REQUEST_N, CHAT | COMPLETIONS},
    {NAMED("tools"), REQUEST_TOOLS, CHAT | RESPONSES | MESSAGES},
    {NAMED("functions"), REQUEST_TOOLS, CHAT},
    {NAMED("max_tokens"), REQUEST_CAP, CHAT | COMPLETIONS | MESSAGES},
    {NAMED("max_completion_tokens"), REQUEST_CAP, CHAT},
    {NAMED("max_output_tokens"), REQUEST_CAP, RESPONSES},
    {NAMED("best_of"), REQUEST_N, COMPLETIONS},
    {NAMED("prompt"), REQUEST_PROMPT, COMPLETIONS},
    {NAMED("thinking"), REQUEST_THINKING, MESSAGES},
};

// The letters of these names have one escape only, \uXXXX: spelled so, a name is longer by
// five bytes or more, and begins as it should or with the escape.
enum { ESCAPE_EXTRA = 5 };

static enum request_field field_of(unsigned endpoint, const struct json_doc *doc, json_ref key) {
    struct slice raw = json_raw(doc, key);
    const char *name = raw.ptr + 1;
    size_t len = raw.len - 2;
    for (size_t i = 0; i < FARTHING_COUNT(fields); i++) {
        if ((*name != fields[i].name[0] && *name != '\\') || (fields[i].endpoints & endpoint) == 0)
            continue;
        if (len == fields[i].len ? memcmp(fields[i].name, name, len) == 0
                                 : len >= (size_t)fields[i].len + ESCAPE_EXTRA &&
                                       json_string_is(doc, key, slice_make(fields[i].name,
                                                                           fields[i].len)))
            return (enum request_field)fields[i].field;
    }
    return REQUEST_OTHER;
}

json_ref request_next(enum api_endpoint e, const struct json_doc *doc, json_ref key,
                      enum request_field *field) {
    if (key == JSON_NONE && !json_is(doc, JSON_ROOT, JSON_OBJECT))
        return JSON_NONE;
    key = key == JSON_NONE ? json_first(doc, JSON_ROOT) : json_next(doc, JSON_ROOT, key);
    while (key != JSON_NONE && (*field = field_of(1u << e, doc, key)) == REQUEST_OTHER)
        key = json_next(doc, JSON_ROOT, key);
    return key;
}

// ---------------------------------------------------------------- numbers

static struct request_number odd_number(const struct json_doc *doc, json_ref value) {
    double number;
    if (json_raw(doc, value).ptr[0] == '-')
        return (struct request_number){.kind = REQUEST_NEGATIVE};
    // 2^63; what json_double refuses is larger still.
    if (!json_double(doc, value, &number) || number >= 0x1p63)
        return (struct request_number){REQUEST_WHOLE, INT64_MAX};
    int64_t below = (int64_t)number;
    return (struct request_number){REQUEST_FRACTION, below + ((double)below < number ? 1 : 0)};
}

struct request_number request_number_of(const struct json_doc *doc, json_ref value) {
    struct request_number n = {.kind = REQUEST_WHOLE};
    switch (json_type_of(doc, value)) {
    case JSON_NULL:
        n.kind = REQUEST_NULL;
        return n;
    case JSON_NUMBER:
        if (!json_i64(doc, value, &n.value))
            return odd_number(doc, value);
        if (n.value < 0)
            n.kind = REQUEST_NEGATIVE;
        return n;
    case JSON_STRING:
        if (!slice_to_i64(json_inner(doc, value), &n.value) || n.value < 0)
            n.kind = REQUEST_TEXT;
        return n;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    n.kind = REQUEST_NO_SUCH;
    return n;
}

int64_t request_cap_of(struct request_number n) {
    switch (n.kind) {
    case REQUEST_WHOLE:
    case REQUEST_FRACTION:
        return n.value > 0 ? n.value : -1;
    case REQUEST_NEGATIVE: // "no limit" to llama.cpp and Ollama
    case REQUEST_TEXT:
        return INT64_MAX;
    case REQUEST_NULL:
    case REQUEST_NO_SUCH:
        break;
    }
    return -1;
}

// ----------------------------------------------------------------- reading

// 1 for what the provider refuses or takes as its default.
static int64_t choices_of(struct request_number n) {
    switch (n.kind) {
    case REQUEST_WHOLE:
    case REQUEST_FRACTION:
        return n.value > 0 ? n.value : 1;
    case REQUEST_TEXT:
        return INT64_MAX;
    case REQUEST_NULL:
    case REQUEST_NEGATIVE:
    case REQUEST_NO_SUCH:
        break;
    }
    return 1;
}

// A list of strings or of lists of tokens; one list of tokens is one prompt.
static int64_t prompts_in(const struct json_doc *doc, json_ref prompt) {
    if (json_type_of(doc, prompt) != JSON_ARRAY)
        return 1;
    int64_t count = 0;
    for (json_ref p = json_first(doc, prompt); p != JSON_NONE; p = json_next(doc, prompt, p)) {
        if (json_type_of(doc, p) != JSON_STRING && json_type_of(doc, p) != JSON_ARRAY)
            return 1;
        count++;
    }
    return count > 0 ? count : 1;
}

int64_t provider_count_prompts(enum api_endpoint e, const struct json_doc *doc) {
    if (e != API_COMPLETIONS && e != API_EMBEDDINGS)
        return 1;
    struct slice name = e == API_COMPLETIONS ? SLICE("prompt") : SLICE("input");
    json_ref prompt = json_get(doc, JSON_ROOT, name);
    return prompt != JSON_NONE ? prompts_in(doc, prompt) : 1;
}

void provider_read_request(enum api_endpoint e, const struct json_doc *doc,
                           struct provider_request *out) {
    int64_t cap = -1, choices = 1, prompts = 1, tools = 0, billed;
    enum request_field field;
    for (json_ref key = request_next(e, doc, JSON_NONE, &field); key != JSON_NONE;
         key = request_next(e, doc, key, &field)) {
        json_ref value = json_value_of(key);
        switch (field) {
        case REQUEST_CAP:
            cap = request_highest(cap, request_cap_of(request_number_of(doc, value)));
            break;
        case REQUEST_N:
            choices = request_highest(choices, choices_of(request_number_of(doc, value)));
            break;
        case REQUEST_PROMPT:
            prompts = request_highest(prompts, prompts_in(doc, value));
            break;
        case REQUEST_TOOLS:
            if (json_type_of(doc, value) == JSON_ARRAY)
                tools += (int64_t)json_count(doc, value);
            break;
        case REQUEST_THINKING:
        case REQUEST_OTHER:
            break;
        }
    }
    if (__builtin_mul_overflow(choices, prompts, &billed))
        billed = INT64_MAX;
    *out = (struct provider_request){
        .output_cap = request_clamp(cap),
        .n = request_clamp(billed),
        .tools = tools,
    };
}
