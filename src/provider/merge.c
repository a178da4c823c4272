// Merging deltas: see merge.h.
#include "merge.h"

#include <stdlib.h>

enum { DEPTH_MAX = 8, CHILDREN_MAX = 4096 };

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

static struct merge *add_child(struct merge *m, enum merge_kind kind) {
    struct merge *child = merge_new();
    m->kind = kind;
    if (m->last != NULL)
        m->last->next = child;
    else
        m->first = child;
    m->last = child;
    m->child_count++;
    return child;
}

const struct merge *merge_find(const struct merge *m, struct slice name) {
    for (const struct merge *c = m->kind == MERGE_OBJECT ? m->first : NULL; c != NULL; c = c->next)
        if (slice_equal(slice_of(c->name), name))
            return c;
    return NULL;
}

struct merge *merge_member(struct merge *m, struct slice name) {
    struct merge *found = (struct merge *)(uintptr_t)merge_find(m, name);
    if (found != NULL)
        return found;
    struct merge *child = add_child(m, MERGE_OBJECT);
    child->name = slice_dup(name);
    return child;
}

struct merge *merge_element(struct merge *m, int64_t index) {
    for (struct merge *c = m->kind == MERGE_LIST ? m->first : NULL; c != NULL; c = c->next)
        if (c->index == index)
            return c;
    struct merge *child = add_child(m, MERGE_LIST);
    child->index = index;
    return child;
}

void merge_append_text(struct merge *m, struct slice escaped, struct merge_budget *budget) {
    if (m->kind != MERGE_TEXT)
        buffer_clear(&m->text);
    m->kind = MERGE_TEXT;
    if (spend(budget, escaped.len))
        buffer_append(&m->text, escaped);
}

void merge_set_raw(struct merge *m, struct slice raw, struct merge_budget *budget) {
    m->kind = MERGE_RAW;
    budget->bytes_left += m->text.len; // what it replaces
    buffer_clear(&m->text);
    if (spend(budget, raw.len))
        buffer_append(&m->text, raw);
}

// Members that say what a thing is, and come whole: some servers repeat them
// in every delta, where adding them up would be wrong.
static bool comes_whole(struct slice name) {
    static const char *const names[] = {"role", "id",   "type", "name",          "finish_reason",
                                        "model", "object", "stop_reason", "native_finish_reason"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal(name, slice_of(names[i])))
            return true;
    return false;
}

static void merge_at(struct merge *m, const struct json_doc *doc, json_ref value,
                     struct merge_budget *b, int depth);

static void merge_object(struct merge *m, const struct json_doc *doc, json_ref object,
                         struct merge_budget *b, int depth) {
    m->kind = MERGE_OBJECT;
    for (json_ref key = json_first(doc, object); key != JSON_NONE && !b->failed;
         key = json_next(doc, object, key)) {
        struct slice raw = json_raw(doc, key);
        struct slice name = slice_make(raw.ptr + 1, raw.len - 2);
        if (slice_find_char(name, '\\') >= 0 || slice_find_char(name, '\0') >= 0 ||
            m->child_count >= CHILDREN_MAX || !spend(b, name.len + sizeof *m)) {
            b->failed = true; // no name that anybody uses
            return;
        }
        struct merge *member = merge_member(m, name);
        json_ref child = json_value_of(key);
        if (json_type_of(doc, child) == JSON_STRING && comes_whole(name))
            merge_set_raw(member, json_raw(doc, child), b);
        else
            merge_at(member, doc, child, b, depth + 1);
    }
}

static void append_items(struct merge *m, const struct json_doc *doc, json_ref list,
                         struct merge_budget *b) {
    m->kind = MERGE_ITEMS;
    for (json_ref e = json_first(doc, list); e != JSON_NONE; e = json_next(doc, list, e)) {
        struct slice raw = json_raw(doc, e);
        if (!spend(b, raw.len + 1))
            return;
        if (m->text.len > 0)
            buffer_append_char(&m->text, ',');
        buffer_append(&m->text, raw);
    }
}

static void merge_list(struct merge *m, const struct json_doc *doc, json_ref list,
                       struct merge_budget *b, int depth) {
    json_ref first = json_first(doc, list);
    int64_t index;
    bool indexed = first != JSON_NONE && json_type_of(doc, first) == JSON_OBJECT &&
                   json_i64(doc, json_get(doc, first, SLICE("index")), &index);
    if (!indexed || m->kind == MERGE_ITEMS) {
        if (m->kind != MERGE_LIST)
            append_items(m, doc, list, b);
        return;
    }
    for (json_ref e = first; e != JSON_NONE && !b->failed; e = json_next(doc, list, e)) {
        if (!json_i64(doc, json_get(doc, e, SLICE("index")), &index) || index < 0 ||
            m->child_count >= CHILDREN_MAX) {
            b->failed = true;
            return;
        }
        struct merge *element = merge_element(m, index);
        merge_at(element, doc, e, b, depth + 1);
        merge_drop(element, SLICE("index"));
    }
}

static void merge_at(struct merge *m, const struct json_doc *doc, json_ref value,
                     struct merge_budget *b, int depth) {
    if (depth > DEPTH_MAX) {
        b->failed = true;
        return;
    }
    struct slice raw = json_raw(doc, value);
    switch (json_type_of(doc, value)) {
    case JSON_NULL:
        if (m->kind == MERGE_UNSET)
            m->kind = MERGE_NULL;
        return;
    case JSON_STRING:
        merge_append_text(m, slice_make(raw.ptr + 1, raw.len - 2), b);
        return;
    case JSON_OBJECT:
        merge_object(m, doc, value, b, depth);
        return;
    case JSON_ARRAY:
        merge_list(m, doc, value, b, depth);
        return;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
        merge_set_raw(m, raw, b);
        return;
    }
}

void merge_value(struct merge *m, const struct json_doc *doc, json_ref value,
                 struct merge_budget *budget) {
    if (!budget->failed)
        merge_at(m, doc, value, budget, 0);
}

void merge_drop(struct merge *m, struct slice name) {
    struct merge *before = NULL;
    for (struct merge *c = m->first; c != NULL; before = c, c = c->next) {
        if (!slice_equal(slice_of(c->name), name))
            continue;
        if (before != NULL)
            before->next = c->next;
        else
            m->first = c->next;
        if (m->last == c)
            m->last = before;
        c->next = NULL;
        m->child_count--;
        merge_free(c);
        return;
    }
}

bool merge_is_set(const struct merge *m) {
    return m != NULL && m->kind != MERGE_UNSET && m->kind != MERGE_NULL;
}

size_t merge_text_len(const struct merge *m) {
    return m->text.len;
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

struct slice merge_name(const struct merge *m) {
    return slice_of(m->name);
}

int64_t merge_index(const struct merge *m) {
    return m->index;
}

static void write_children(const struct merge *m, struct buffer *out, bool named) {
    buffer_append_char(out, named ? '{' : '[');
    for (const struct merge *c = m->first; c != NULL; c = c->next) {
        if (c != m->first)
            buffer_append_char(out, ',');
        if (named) {
            buffer_append_char(out, '"');
            buffer_append(out, slice_of(c->name));
            BUFFER_LITERAL(out, "\":");
        }
        merge_write(c, out);
    }
    buffer_append_char(out, named ? '}' : ']');
}

void merge_write(const struct merge *m, struct buffer *out) {
    switch (m->kind) {
    case MERGE_UNSET:
    case MERGE_NULL:
        BUFFER_LITERAL(out, "null");
        return;
    case MERGE_TEXT:
        buffer_append_char(out, '"');
        buffer_append(out, buffer_slice(&m->text));
        buffer_append_char(out, '"');
        return;
    case MERGE_RAW:
        buffer_append(out, buffer_slice(&m->text));
        return;
    case MERGE_ITEMS:
        buffer_append_char(out, '[');
        buffer_append(out, buffer_slice(&m->text));
        buffer_append_char(out, ']');
        return;
    case MERGE_OBJECT:
    case MERGE_LIST:
        write_children(m, out, m->kind == MERGE_OBJECT);
        return;
    }
}
