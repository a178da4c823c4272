// What a text shows by itself: refusal, script, patterns, length.
#include "gate_room.h"
#include "signals_char.h"

enum {
    HEAD_BYTES = 500,   // where a refusal stands
    LETTERS_MIN = 20,   // fewer say nothing of a language
    QUOTED_BYTES = 200,
};

struct slice gate_cut(struct slice s, size_t max) {
    size_t len = s.len < max ? s.len : max;
    while (len > 0 && len < s.len && ((unsigned char)s.ptr[len] & 0xC0) == 0x80)
        len--;
    return slice_make(s.ptr, len);
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool gate_is_blank(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (!is_space(text.ptr[i]))
            return false;
    return true;
}

// ------------------------------------------------------------------ refusal

// Behind blanks, quotes and marks of emphasis.
static struct slice first_words(struct slice text) {
    static const char *const skipped[] = {"*", "_", "#", ">", "\"", "“", "「", "«", "„"};
    for (size_t before = text.len + 1; before > text.len;) {
        before = text.len;
        while (text.len > 0 && is_space(text.ptr[0]))
            text = slice_from(text, 1);
        for (size_t i = 0; i < FARTHING_COUNT(skipped); i++)
            if (slice_starts_with(text, slice_of(skipped[i])))
                text = slice_from(text, strlen(skipped[i]));
        before = before == text.len ? 0 : before;
    }
    return gate_cut(text, HEAD_BYTES);
}

static const struct pattern *first_found(const struct gate_pattern_list *list, struct slice text,
                                         size_t *index) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] != NULL && pattern_find(list->items[i], text)) {
            *index = i;
            return list->items[i];
        }
    return NULL;
}

bool gate_is_refusal(struct gate_run *run, struct slice text) {
    const struct gate *g = run->gate;
    size_t index;
    bool own = g->route->gate.refusals.count > 0;
    const struct gate_pattern_list *list = !own                  ? g->builtin_refusals
                                           : g->patterns != NULL ? &g->patterns->refusals
                                                                 : NULL;
    struct slice head = own ? gate_cut(text, HEAD_BYTES) : first_words(text);
    if (list == NULL || first_found(list, head, &index) == NULL)
        return false;
    BUFFER_LITERAL(&run->words, "The answer declined the request.");
    return true;
}

// ------------------------------------------------------------------- script

// Where the code or the address that begins here ends; the place itself where
// none does. A fence or a quote that is never closed goes up to the end.
static const char *skip_code(const char *at, const char *begin, const char *end) {
    struct slice rest = slice_make(at, (size_t)(end - at));
    const char *mark = slice_starts_with(rest, SLICE("```")) ? "```" : *at == '`' ? "`" : NULL;
    if (mark != NULL) {
        size_t len = strlen(mark);
        ptrdiff_t close = slice_find(slice_from(rest, len), slice_of(mark));
        return close < 0 ? end : at + len + (size_t)close + len;
    }
    bool word = at == begin || is_space(at[-1]) || at[-1] == '(' || at[-1] == '<';
    if (word && (slice_starts_with(rest, SLICE("http://")) ||
                 slice_starts_with(rest, SLICE("https://"))))
        while (at < end && !is_space(*at))
            at++;
    return at;
}

bool gate_is_in_wrong_script(struct gate_run *run, struct slice text) {
    const uint8_t *chars = signals_chars();
    const char *end = text.ptr + text.len;
    size_t letters = 0, wanted = 0;
    if (run->gate->scripts == 0)
        return false;
    for (const char *at = text.ptr; at < end;) {
        const char *behind = *at == '`' || *at == 'h' ? skip_code(at, text.ptr, end) : at;
        if (behind > at) {
            at = behind;
            continue;
        }
        unsigned len;
        uint32_t code = signals_decode((const uint8_t *)at, (const uint8_t *)end, &len);
        unsigned script = signals_char(chars, code) & CHAR_SCRIPT;
        letters += script != 0;
        wanted += script != 0 && (run->gate->scripts >> (script - 1) & 1) != 0;
        at += len;
    }
    if (letters < LETTERS_MIN || wanted * 2 >= letters)
        return false;
    BUFFER_LITERAL(&run->words, "The answer is not written in the script that was asked for:");
    const struct config_slices *names = &run->gate->route->gate.scripts;
    for (size_t i = 0; i < names->count; i++)
        buffer_printf(&run->words, "%s %.*s", i == 0 ? "" : " or", SLICE_ARG(names->items[i]));
    BUFFER_LITERAL(&run->words, ".");
    return true;
}

// ------------------------------------------------------------------ patterns

bool gate_lacks_match(struct gate_run *run, struct slice text) {
    const struct gate_patterns *p = run->gate->patterns;
    for (size_t i = 0; p != NULL && i < p->must_match.count; i++) {
        int64_t work = pattern_work_for(text.len);
        if (p->must_match.items[i] == NULL ||
            pattern_search(p->must_match.items[i], text, &work) != PATTERN_ABSENT)
            continue;
        struct slice pattern = gate_cut(run->gate->route->gate.must_match.items[i], QUOTED_BYTES);
        buffer_printf(&run->words,
                      "The answer lacks what must be in it: a match of the pattern %.*s",
                      SLICE_ARG(pattern));
        return true;
    }
    return false;
}

bool gate_has_forbidden_match(struct gate_run *run, struct slice text) {
    const struct gate_patterns *p = run->gate->patterns;
    size_t i;
    if (p == NULL || first_found(&p->must_not_match, text, &i) == NULL)
        return false;
    struct slice pattern = gate_cut(run->gate->route->gate.must_not_match.items[i], QUOTED_BYTES);
    buffer_printf(&run->words, "The answer has what must not be in it: a match of the pattern %.*s",
                  SLICE_ARG(pattern));
    return true;
}

// -------------------------------------------------------------------- length

bool gate_is_too_short(struct gate_run *run, struct slice text) {
    int64_t least = run->gate->route->gate.min_characters, count = 0;
    while (text.len > 0 && is_space(text.ptr[0]))
        text = slice_from(text, 1);
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    if (least == CONFIG_UNSET || count >= least)
        return false;
    buffer_printf(&run->words, "The answer has %lld characters; at least %lld were asked for.",
                  (long long)count, (long long)least);
    return true;
}
