// Merging deltas: see merge.h.
#include "merge.h"

#include <stdlib.h>

// No answer nests deeper or has more parts; both bound what a hostile stream
// can make us do.
enum { DEPTH_MAX = 8, CHILDREN_MAX = 1024 };

enum merge_kind {
    MERGE_UNSET,
    MERGE_NULL,
    MERGE_TEXT,   // text: the inside of a JSON string
    MERGE_RAW,    // text: a JSON value
    MERGE_ITEMS,  // text: elements of a list, with commas
    MERGE_OBJECT, // children by name
    MERGE_LIST,   // children by index
};

struct merge {
    enum merge_kind kind;
    struct buffer text;
    char *name;
    int64_t index;
    struct merge *first, *last, *next;
    size_t child_count;
};

struct merge *merge_new(void) {
    return base_calloc(1, sizeof(struct merge));
}

void merge_free(struct merge *m) {
    // DEPTH_MAX bounds the recursion.
    for (struct merge *child = m != NULL ? m->first : NULL, *next; child != NULL; child = next) {
        next = child->next;
        merge_free(child);
    }
    if (m == NULL)
        return;
    buffer_free(&m->text);
    free(m->name);
    free(m);
}

static bool spend(struct merge_budget *b, size_t bytes) {
    if (bytes > b->bytes_left)
        b->failed = true;
    else
        b->bytes_left -= bytes;
    return !b->failed;
}

// What a value is, it stays: a string that goes on as a list (as Mistral's
// reasoning models do) has no whole form that is known.
static bool become(struct merge *m, enum merge_kind kind, struct merge_budget *b) {
    bool unset = m->kind == MERGE_UNSET || m->kind == MERGE_NULL;
    bool empty_list = m->kind == MERGE_ITEMS && m->text.len == 0 && kind == MERGE_LIST;
    if (!unset && !empty_list && m->kind != kind)
        b->failed = true;
    else
        m->kind = kind;
    return !b->failed;
}

static struct merge *add_child(struct merge *m, size_t name_bytes, struct merge_budget *b) {
    if (m->child_count >= CHILDREN_MAX)
        b->failed = true;
    if (b->failed || !spend(b, name_bytes + sizeof(struct merge)))
        return NULL;
    struct merge *child = merge_new();
    if (m->last != NULL)
        m->last->next = child;
    else
        m->first = child;
    m->last = child;
    m->child_count++;
    return child;
}

static struct merge *child_named(const struct merge *m, struct slice name) {
    for (struct merge *c = m->kind == MERGE_OBJECT ? m->first : NULL; c != NULL; c = c->next)
        if (slice_equal(slice_of(c->name), name))
            return c;
    return NULL;
}

const struct merge *merge_find(const struct merge *m, struct slice name) {
    return child_named(m, name);
}

struct merge *merge_member(struct merge *m, struct slice name, struct merge_budget *b) {
    struct merge *child = m != NULL ? child_named(m, name) : NULL;
    if (m == NULL || b->failed || child != NULL || !become(m, MERGE_OBJECT, b))
        return b->failed ? NULL : child;
    // Escaped, it could be a second spelling of a name: nobody uses one.
    if (slice_find_char(name, '\\') >= 0) {
        b->failed = true;
        return NULL;
    }
    child = add_child(m, name.len, b);
    if (child != NULL)
        child->name = slice_dup(name);
    return child;
}

struct merge *merge_element(struct merge *m, int64_t index, struct merge_budget *b) {
    if (m == NULL || b->failed || !become(m, MERGE_LIST, b))
        return NULL;
    for (struct merge *c = m->first; c != NULL; c = c->next)
        if (c->index == index)
            return c;
    struct merge *child = add_child(m, 0, b);
    if (child != NULL)
        child->index = index;
    return child;
}

void merge_append_text(struct merge *m, struct slice escaped, struct merge_budget *b) {
    if (m != NULL && become(m, MERGE_TEXT, b) && spend(b, escaped.len))
        buffer_append(&m->text, escaped);
}

void merge_append_item(struct merge *m, struct slice raw, struct merge_budget *b) {
    if (m == NULL || !become(m, MERGE_ITEMS, b) || !spend(b, raw.len + 1))
        return;
    if (m->text.len > 0)
        buffer_append_char(&m->text, ',');
    buffer_append(&m->text, raw);
}

void merge_set_raw(struct merge *m, struct slice raw, struct merge_budget *b) {
    if (m == NULL || !become(m, MERGE_RAW, b))
        return;
    b->bytes_left += m->text.len; // what it replaces
    buffer_clear(&m->text);
    if (spend(b, raw.len))
        buffer_append(&m->text, raw);
}

// Members that say what a thing is, and come whole: some servers repeat them
// in every delta, or leave them empty after the first.
static bool comes_whole(struct slice name) {
    static const char *const names[] = {"role", "id", "type", "name", "format"};
    return SLICE_IS_ONE_OF(name, names);
}

static void set_once(struct merge *m, struct slice raw, struct merge_budget *b) {
    bool blank = m == NULL || merge_is_blank(m);
    if (blank)
        merge_set_raw(m, raw, b);
    else if (raw.len > 2 && !slice_equal(merge_text(m), raw))
        b->failed = true; // two things under one index, as some gateways send
}

struct merging {
    const struct json_doc *doc;
    enum merge_lists lists;
    struct merge_budget *budget;
};

static void merge_at(const struct merging *g, struct merge *m, json_ref value, int depth);

static void merge_object(const struct merging *g, struct merge *m, json_ref object, int depth) {
    if (!become(m, MERGE_OBJECT, g->budget))
        return;
    for (json_ref key = json_first(g->doc, object); key != JSON_NONE && !g->budget->failed;
         key = json_next(g->doc, object, key)) {
        struct slice name = json_inner(g->doc, key);
        struct merge *member = merge_member(m, name, g->budget);
        json_ref child = json_value_of(key);
        if (member == NULL)
            return;
        if (json_type_of(g->doc, child) == JSON_STRING && comes_whole(name))
            set_once(member, json_raw(g->doc, child), g->budget);
        else
            merge_at(g, member, child, depth + 1);
    }
}

static bool index_of(const struct merging *g, json_ref element, int64_t *index) {
    return json_i64(g->doc, json_get(g->doc, element, SLICE("index")), index) && *index >= 0;
}

static void merge_list(const struct merging *g, struct merge *m, json_ref list, int depth) {
    json_ref first = json_first(g->doc, list);
    int64_t index;
    bool by_index = g->lists == MERGE_BY_INDEX && first != JSON_NONE && index_of(g, first, &index);
    // An empty list goes on as either.
    if (first == JSON_NONE && m->kind != MERGE_LIST)
        (void)become(m, MERGE_ITEMS, g->budget);
    for (json_ref e = first; e != JSON_NONE && !g->budget->failed; e = json_next(g->doc, list, e)) {
        if (!by_index) {
            merge_append_item(m, json_raw(g->doc, e), g->budget);
        } else if (!index_of(g, e, &index)) {
            g->budget->failed = true;
        } else {
            struct merge *element = merge_element(m, index, g->budget);
            if (element != NULL)
                merge_at(g, element, e, depth + 1);
        }
    }
}

static void merge_at(const struct merging *g, struct merge *m, json_ref value, int depth) {
    if (depth > DEPTH_MAX) {
        g->budget->failed = true;
        return;
    }
    switch (json_type_of(g->doc, value)) {
    case JSON_NULL:
        if (m->kind == MERGE_UNSET)
            m->kind = MERGE_NULL;
        return;
    case JSON_STRING:
        merge_append_text(m, json_inner(g->doc, value), g->budget);
        return;
    case JSON_OBJECT:
        merge_object(g, m, value, depth);
        return;
    case JSON_ARRAY:
        merge_list(g, m, value, depth);
        return;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
        merge_set_raw(m, json_raw(g->doc, value), g->budget);
        return;
    }
}

void merge_value(struct merge *m, const struct json_doc *doc, json_ref value,
                 enum merge_lists lists, struct merge_budget *budget) {
    if (m != NULL && !budget->failed)
        merge_at(&(struct merging){doc, lists, budget}, m, value, 0);
}

bool merge_is_set(const struct merge *m) {
    return m != NULL && m->kind != MERGE_UNSET && m->kind != MERGE_NULL;
}

bool merge_is_blank(const struct merge *m) {
    if (!merge_is_set(m))
        return true;
    struct slice text = buffer_slice(&m->text);
    return (m->kind == MERGE_TEXT && text.len == 0) ||
           (m->kind == MERGE_RAW &&
            (slice_equal(text, SLICE("\"\"")) || slice_equal(text, SLICE("0"))));
}

struct slice merge_text(const struct merge *m) {
    return buffer_slice(&m->text);
}

const struct merge *merge_first(const struct merge *m) {
    return m->first;
}

const struct merge *merge_next(const struct merge *m) {
    return m->next;
}

const struct merge *merge_above(const struct merge *list, int64_t index) {
    const struct merge *found = NULL;
    for (const struct merge *c = list->kind == MERGE_LIST ? list->first : NULL; c != NULL;
         c = c->next)
        if (c->index > index && (found == NULL || c->index < found->index))
            found = c;
    return found;
}

struct slice merge_name(const struct merge *m) {
    return slice_of(m->name);
}

int64_t merge_index(const struct merge *m) {
    return m->index;
}

static void write_object(const struct merge *m, struct buffer *out) {
    buffer_append_char(out, '{');
    for (const struct merge *c = m->first; c != NULL; c = c->next) {
        buffer_append(out, c == m->first ? SLICE("\"") : SLICE(",\""));
        buffer_append(out, slice_of(c->name));
        BUFFER_LITERAL(out, "\":");
        merge_write(c, out);
    }
    buffer_append_char(out, '}');
}

// In the order of their index: they may have come in another.
static void write_list(const struct merge *m, struct buffer *out) {
    buffer_append_char(out, '[');
    const struct merge *first = merge_above(m, -1);
    for (const struct merge *c = first; c != NULL; c = merge_above(m, c->index)) {
        if (c != first)
            buffer_append_char(out, ',');
        merge_write(c, out);
    }
    buffer_append_char(out, ']');
}

static void write_within(const struct merge *m, struct buffer *out, char open, char close) {
    buffer_append_char(out, open);
    buffer_append(out, buffer_slice(&m->text));
    buffer_append_char(out, close);
}

void merge_write(const struct merge *m, struct buffer *out) {
    switch (m != NULL ? m->kind : MERGE_UNSET) {
    case MERGE_UNSET:
    case MERGE_NULL:
        BUFFER_LITERAL(out, "null");
        return;
    case MERGE_TEXT:
        write_within(m, out, '"', '"');
        return;
    case MERGE_RAW:
        buffer_append(out, buffer_slice(&m->text));
        return;
    case MERGE_ITEMS:
        write_within(m, out, '[', ']');
        return;
    case MERGE_OBJECT:
        write_object(m, out);
        return;
    case MERGE_LIST:
        write_list(m, out);
        return;
    }
}
