// Compiling and searching with PCRE2. Work is counted by callouts, which it is told
// to make before each item of a pattern: they see every place where a search
// begins, which its own limits on a match do not.
#include "pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

#include "pattern_ecma.h"

enum {
    // Second nets below the budget: what recursion may take, and the calls between
    // two steps that are counted.
    DEPTH_MAX = 20000,
    HEAP_KIB_MAX = 16384,
    CALLS_MAX = 2000000,
    NESTING_MAX = 100,
    WORK_FLOOR = 200000,
    WORK_PER_BYTE = 8,
    BYTES_A_STEP = 16, // passing over so many costs no more than a step
};

struct pattern {
    pcre2_code *code;
    bool machine; // translated to machine code
};

// What never changes, made once and kept for the life of the process.
static pcre2_compile_context *compile_plain, *compile_ecma;
static pthread_key_t match_key; // this thread's pcre2_match_data
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *must(void *made) {
    if (made == NULL) {
        log_write(LOG_ERROR, "out of memory for patterns");
        abort();
    }
    return made;
}

static void free_match_data(void *data) {
    pcre2_match_data_free(data);
}

static pcre2_compile_context *new_compile_context(uint32_t newline, uint32_t extra) {
    pcre2_compile_context *c = must(pcre2_compile_context_create(NULL));
    pcre2_set_parens_nest_limit(c, NESTING_MAX);
    pcre2_set_newline(c, newline);
    pcre2_set_compile_extra_options(c, extra);
    return c;
}

static void set_up(void) {
    compile_plain = new_compile_context(PCRE2_NEWLINE_LF, 0);
    // Its line ends are CR, LF and two rare ones.
    compile_ecma = new_compile_context(PCRE2_NEWLINE_ANYCRLF, PCRE2_EXTRA_ALT_BSUX);
    if (pthread_key_create(&match_key, free_match_data) != 0)
        (void)must(NULL);
}

static pcre2_match_data *match_data_of_thread(void) {
    pcre2_match_data *data = pthread_getspecific(match_key);
    if (data == NULL) {
        data = must(pcre2_match_data_create(1, NULL));
        if (pthread_setspecific(match_key, data) != 0)
            (void)must(NULL);
    }
    return data;
}

// ------------------------------------------------------------------ compile

static pcre2_code *compile(struct slice text, unsigned flags, struct error *err) {
    // A callout before each item is what counts the work.
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                       PCRE2_AUTO_CALLOUT | PCRE2_DOLLAR_ENDONLY;
    bool ecma = (flags & PATTERN_ECMA) != 0;
    options |= ecma ? PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF
                    : PCRE2_UCP;
    if ((flags & PATTERN_CASELESS) != 0)
        options |= PCRE2_CASELESS;
    if ((flags & PATTERN_AT_START) != 0)
        options |= PCRE2_ANCHORED;
    int code;
    PCRE2_SIZE offset;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(text.len > 0 ? text.ptr : ""), text.len,
                                         options, &code, &offset,
                                         ecma ? compile_ecma : compile_plain);
    if (compiled == NULL) {
        PCRE2_UCHAR words[200];
        (void)pcre2_get_error_message(code, words, sizeof words);
        (void)error_set(err, "%s at byte %zu", (const char *)words, (size_t)offset);
    }
    return compiled;
}

struct pattern *pattern_compile(struct slice text, unsigned flags, struct error *err) {
    pthread_once(&once, set_up);
    if (text.len > PATTERN_BYTES_MAX) {
        (void)error_set(err, "a pattern of %zu bytes; at most %d are taken", text.len,
                        PATTERN_BYTES_MAX);
        return NULL;
    }
    struct buffer translated = {0};
    pcre2_code *code = NULL;
    if ((flags & PATTERN_ECMA) == 0)
        code = compile(text, flags, err);
    else if (pattern_from_ecma(text, &translated, err))
        code = compile(buffer_slice(&translated), flags, err);
    buffer_free(&translated);
    if (code == NULL)
        return NULL;
    struct pattern *p = base_calloc(1, sizeof *p);
    p->code = code;
    // Where memory that can be executed is forbidden, it is interpreted.
    p->machine = (flags & PATTERN_LASTING) != 0 && pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    return p;
}

void pattern_free(struct pattern *p) {
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    free(p);
}

// ------------------------------------------------------------------- search

struct meter {
    int64_t left;
    PCRE2_SIZE at; // where the last step stood
};

// What a repeat has passed over shows in how far the next step is from the last.
static int count_step(pcre2_callout_block *block, void *arg) {
    struct meter *m = arg;
    PCRE2_SIZE at = block->current_position;
    m->left -= 1 + (int64_t)((at > m->at ? at - m->at : m->at - at) / BYTES_A_STEP);
    m->at = at;
    return m->left < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

int64_t pattern_work_for(size_t text_bytes) {
    return WORK_FLOOR + WORK_PER_BYTE * (int64_t)text_bytes;
}

static enum pattern_result search(const struct pattern *p, struct slice text, struct meter *m) {
    pcre2_match_context *context = must(pcre2_match_context_create(NULL));
    pcre2_set_match_limit(context, CALLS_MAX);
    pcre2_set_depth_limit(context, DEPTH_MAX);
    pcre2_set_heap_limit(context, HEAP_KIB_MAX);
    pcre2_set_callout(context, count_step, m);
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.len > 0 ? text.ptr : "");
    pcre2_match_data *data = match_data_of_thread();
    int result = pcre2_match(p->code, subject, text.len, 0, 0, data, context);
    // The machine code's stack is small; the interpreter's grows.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT && p->machine)
        result = pcre2_match(p->code, subject, text.len, 0, PCRE2_NO_JIT, data, context);
    pcre2_match_context_free(context);
    return result >= 0                      ? PATTERN_FOUND
           : result == PCRE2_ERROR_NOMATCH ? PATTERN_ABSENT
                                           : PATTERN_UNKNOWN;
}

enum pattern_result pattern_search(const struct pattern *p, struct slice text, int64_t *work) {
    if (*work <= 0)
        return PATTERN_UNKNOWN;
    int64_t own = pattern_work_for(text.len);
    int64_t given = *work < own ? *work : own;
    struct meter m = {.left = given};
    enum pattern_result result = search(p, text, &m);
    // The text was looked through at least for its UTF-8.
    *work -= given - m.left + 1 + (int64_t)(text.len / WORK_PER_BYTE);
    return result;
}

bool pattern_find(const struct pattern *p, struct slice text) {
    int64_t work = pattern_work_for(text.len);
    return pattern_search(p, text, &work) == PATTERN_FOUND;
}
