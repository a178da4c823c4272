// Splice edits: what is changed is cut in, everything else stays byte for
// byte. Edits are noted first and turned into cuts when they are applied,
// because where a comma goes depends on which members stay.
//
// Whatever is noted, the result is JSON: of two values for one place the later
// counts, and what lies inside something that goes away goes with it.
#include "doc.h"

#include <stdlib.h>

enum edit_kind { EDIT_REPLACE, EDIT_REMOVE, EDIT_ADD, EDIT_INSERT };

struct edit {
    enum edit_kind kind;
    json_ref container; // REMOVE, ADD, INSERT
    json_ref at;        // REPLACE: the value; REMOVE: the key or element; INSERT: the one behind
    struct slice raw;
    struct slice name; // ADD: quoted
    size_t order;
};

struct json_edits {
    const struct json_doc *doc;
    struct arena *arena;
    struct edit *edits;
    size_t count, cap;
};

// Bytes [from, to) of the text are replaced by `with`.
struct cut {
    size_t from, to;
    struct slice with;
    size_t order;
};

struct json_edits *json_edits_new(const struct json_doc *doc, struct arena *arena) {
    struct json_edits *e = arena_calloc(arena, sizeof *e);
    e->doc = doc;
    e->arena = arena;
    return e;
}

bool json_edits_empty(const struct json_edits *e) {
    return e->count == 0;
}

static void note(struct json_edits *e, struct edit edit) {
    if (e->count == e->cap) {
        size_t cap = e->cap == 0 ? 8 : e->cap * 2;
        struct edit *grown = arena_alloc(e->arena, cap * sizeof *grown);
        if (e->count > 0)
            memcpy(grown, e->edits, e->count * sizeof *grown);
        e->edits = grown;
        e->cap = cap;
    }
    edit.order = e->count;
    e->edits[e->count++] = edit;
}

void json_edit_replace(struct json_edits *e, json_ref value, struct slice raw) {
    note(e, (struct edit){.kind = EDIT_REPLACE, .at = value, .raw = raw});
}

static struct slice quote(struct json_edits *e, struct slice text) {
    struct buffer quoted = {0};
    json_quote(&quoted, text);
    struct slice copy = arena_copy(e->arena, buffer_slice(&quoted));
    buffer_free(&quoted);
    return copy;
}

void json_edit_set(struct json_edits *e, json_ref object, struct slice name, struct slice raw) {
    json_ref value = json_get(e->doc, object, name);
    if (value != JSON_NONE) {
        json_edit_replace(e, value, raw);
        return;
    }
    struct slice quoted = quote(e, name);
    for (size_t i = 0; i < e->count; i++) {
        struct edit *before = &e->edits[i];
        if (before->kind == EDIT_ADD && before->container == object &&
            slice_equal(before->name, quoted)) {
            before->raw = raw;
            return;
        }
    }
    note(e, (struct edit){.kind = EDIT_ADD, .container = object, .raw = raw, .name = quoted});
}

void json_edit_set_string(struct json_edits *e, json_ref object, struct slice name,
                          struct slice text) {
    json_edit_set(e, object, name, quote(e, text));
}

void json_edit_remove_key(struct json_edits *e, json_ref object, json_ref key) {
    note(e, (struct edit){.kind = EDIT_REMOVE, .container = object, .at = key});
}

void json_edit_remove(struct json_edits *e, json_ref object, struct slice name) {
    json_ref value = json_get(e->doc, object, name);
    if (value != JSON_NONE)
        json_edit_remove_key(e, object, value - 1);
}

void json_edit_remove_element(struct json_edits *e, json_ref array, json_ref element) {
    note(e, (struct edit){.kind = EDIT_REMOVE, .container = array, .at = element});
}

void json_edit_insert(struct json_edits *e, json_ref array, size_t index, struct slice raw) {
    note(e, (struct edit){.kind = EDIT_INSERT,
                          .container = array,
                          .at = json_at(e->doc, array, index),
                          .raw = raw});
}

// ------------------------------------------------------------------- cutting

struct cutting {
    struct json_edits *e;
    struct cut *cuts;
    size_t count;
};

static void cut(struct cutting *c, size_t from, size_t to, struct slice with, size_t order) {
    c->cuts[c->count++] = (struct cut){from, to, with, order};
}

static size_t start_of(const struct cutting *c, json_ref ref) {
    return c->e->doc->nodes[ref].start;
}

static size_t end_of(const struct cutting *c, json_ref ref) {
    return c->e->doc->nodes[ref].end;
}

// The edits of one container stand together: [first, last) of the sorted list.
static size_t group_end(const struct json_edits *e, size_t first) {
    size_t last = first + 1;
    while (last < e->count && e->edits[last].kind != EDIT_REPLACE &&
           e->edits[last].container == e->edits[first].container)
        last++;
    return last;
}

// Removed members take the comma behind them along, or, at the end of the
// object, the one before; what is added follows whatever stays.
static void cut_object(struct cutting *c, size_t first, size_t last) {
    const struct json_doc *doc = c->e->doc;
    const struct edit *edits = c->e->edits;
    json_ref object = edits[first].container;
    size_t next = first; // removals come first, in the order of their keys
    bool survivor = false;
    size_t survivor_end = start_of(c, object) + 1, object_end = survivor_end;
    size_t pending_from = 0;
    bool pending = false; // removed members since the last survivor
    for (json_ref key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key)) {
        bool removed = next < last && edits[next].kind == EDIT_REMOVE && edits[next].at == key;
        object_end = end_of(c, json_value_of(key));
        if (removed) {
            while (next < last && edits[next].kind == EDIT_REMOVE && edits[next].at == key)
                next++;
            if (!pending)
                pending_from = start_of(c, key);
            pending = true;
            continue;
        }
        if (pending)
            cut(c, pending_from, start_of(c, key), SLICE_NONE, 0);
        pending = false;
        survivor = true;
        survivor_end = object_end;
    }
    if (pending)
        cut(c, survivor ? survivor_end : pending_from, object_end, SLICE_NONE, 0);
    for (; next < last; next++) {
        if (edits[next].kind != EDIT_ADD)
            continue;
        struct slice comma = survivor ? SLICE(",") : SLICE_NONE;
        cut(c, object_end, object_end,
            ARENA_JOIN(c->e->arena, comma, edits[next].name, SLICE(":"), edits[next].raw),
            edits[next].order);
        survivor = true;
    }
}

// As in objects; what is inserted before an element that goes stays where that was.
static void cut_array(struct cutting *c, size_t first, size_t last) {
    const struct json_doc *doc = c->e->doc;
    const struct edit *edits = c->e->edits;
    json_ref array = edits[first].container;
    size_t removal = first, insertion = first; // removals come first, both in order of place
    while (insertion < last && edits[insertion].kind == EDIT_REMOVE)
        insertion++;
    size_t removals = insertion, pending_from = 0, survivor_end = 0, elements_end = 0;
    bool pending = false, survivor = false;
    for (json_ref r = json_first(doc, array); r != JSON_NONE; r = json_next(doc, array, r)) {
        bool removed = removal < removals && edits[removal].at == r;
        while (removal < removals && edits[removal].at == r)
            removal++;
        if (!pending)
            pending_from = start_of(c, r);
        elements_end = end_of(c, r);
        pending = removed;
        if (removed)
            continue;
        for (; insertion < last && edits[insertion].at <= r; insertion++)
            cut(c, pending_from, pending_from,
                ARENA_JOIN(c->e->arena, edits[insertion].raw, SLICE(",")), insertion);
        if (pending_from < start_of(c, r))
            cut(c, pending_from, start_of(c, r), SLICE_NONE, SIZE_MAX);
        survivor = true;
        survivor_end = elements_end;
    }
    if (pending)
        cut(c, survivor ? survivor_end : pending_from, elements_end, SLICE_NONE, SIZE_MAX);
    for (; insertion < last; insertion++) {
        struct slice comma = survivor ? SLICE(",") : SLICE_NONE;
        size_t at = end_of(c, array) - 1;
        cut(c, at, at, ARENA_JOIN(c->e->arena, comma, edits[insertion].raw), insertion);
        survivor = true;
    }
}

static int by_container(const void *a, const void *b) {
    const struct edit *x = a, *y = b;
    bool rx = x->kind == EDIT_REPLACE, ry = y->kind == EDIT_REPLACE;
    if (rx != ry)
        return rx ? -1 : 1;
    if (!rx && x->container != y->container)
        return x->container < y->container ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if ((x->kind == EDIT_REMOVE || x->kind == EDIT_INSERT) && x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

// At one place, what is put in comes before what is replaced there, in the
// order of noting; of two cuts the wider comes first, and of equal ones the
// later: what the first has cut away, the others cannot change any more.
static int by_place(const void *a, const void *b) {
    const struct cut *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    bool insert_x = x->to == x->from, insert_y = y->to == y->from;
    if (insert_x != insert_y)
        return insert_x ? -1 : 1;
    if (x->to != y->to)
        return x->to > y->to ? -1 : 1;
    int noted = x->order < y->order ? -1 : x->order > y->order;
    return insert_x ? noted : -noted;
}

static struct slice put_together(struct cutting *c) {
    struct slice text = c->e->doc->text;
    size_t at = 0;
    struct slice *parts = arena_alloc(c->e->arena, (2 * c->count + 1) * sizeof *parts);
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct cut *k = &c->cuts[i];
        if (k->from < at)
            continue; // inside what was cut away
        parts[count++] = slice_make(text.ptr + at, k->from - at);
        parts[count++] = k->with;
        at = k->to;
    }
    parts[count++] = slice_from(text, at);
    return arena_join(c->e->arena, parts, count);
}

struct slice json_edits_apply(struct json_edits *e) {
    if (e->count == 0)
        return e->doc->text;
    // A run of removals is at most one cut each, and one more for its tail.
    struct cutting c = {.e = e, .cuts = arena_alloc(e->arena, 2 * e->count * sizeof *c.cuts)};
    qsort(e->edits, e->count, sizeof *e->edits, by_container);
    for (size_t i = 0; i < e->count;) {
        const struct edit *edit = &e->edits[i];
        if (edit->kind == EDIT_REPLACE) {
            cut(&c, start_of(&c, edit->at), end_of(&c, edit->at), edit->raw, edit->order);
            i++;
            continue;
        }
        size_t last = group_end(e, i);
        if (json_type_of(e->doc, edit->container) == JSON_ARRAY)
            cut_array(&c, i, last);
        else
            cut_object(&c, i, last);
        i = last;
    }
    qsort(c.cuts, c.count, sizeof *c.cuts, by_place);
    return put_together(&c);
}
