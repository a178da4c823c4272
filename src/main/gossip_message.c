// Messages between instances: the head, and one section for each room.
#include "gossip_message.h"

enum {
    VERSION = 1,
    HEAD_BYTES = 256,  // of a message without its sections, at most
    MEMBER_BYTES = 32, // of a section beside its array
    FROM_BYTES_MAX = 64,
    DEPTH_MAX = 8,
    ARENA_BYTES = 1024, // names seldom have escapes
};

static const char *const words[] = {"hello", "news", "all"};

// -------------------------------------------------------------------- writing

static void put_head(struct json_writer *w, const struct gossip_head *head) {
    json_object_begin(w);
    json_key(w, SLICE("v"));
    json_put_i64(w, VERSION);
    json_key(w, SLICE("say"));
    json_put_string(w, slice_of(words[head->say]));
    json_key(w, SLICE("from"));
    json_put_string(w, head->from);
    json_key(w, SLICE("at"));
    json_put_i64(w, head->at_ms);
}

// The room that is left for a section, in a message that began at `start`.
static size_t room_of(const struct json_writer *w, size_t start) {
    size_t taken = w->out->len - start + MEMBER_BYTES;
    return taken < GOSSIP_BYTES_MAX ? GOSSIP_BYTES_MAX - taken : 0;
}

static void put_section(struct json_writer *w, const char *name, struct buffer *section) {
    if (section->len == 0)
        return;
    json_key(w, slice_of(name));
    json_put_raw(w, buffer_slice(section));
    buffer_clear(section);
}

// What is urgent first: it is what gets room.
static bool put_sections(struct json_writer *w, const struct gossip_rooms *r, bool all,
                         unsigned more, size_t start, int64_t now_ms) {
    struct buffer section = {0};
    bool said = false;
    bool all_open = all || (more & GOSSIP_OPEN) != 0;
    said |= breakers_tell(r->breakers, &section, room_of(w, start), all_open, now_ms);
    put_section(w, "breakers", &section);
    // What a newcomer does not know of retries, nobody will in some seconds.
    if (!all) {
        said |= retry_budgets_tell(r->retry_budgets, &section, room_of(w, start), now_ms);
        put_section(w, "retries", &section);
    }
    if ((more & GOSSIP_SLOW) != 0) {
        said |= estimator_tell(r->estimator, &section, room_of(w, start), all);
        put_section(w, "tokens", &section);
        said |= past_tell(r->past, &section, room_of(w, start), all);
        put_section(w, "past", &section);
    }
    buffer_free(&section);
    return said;
}

bool gossip_write(const struct gossip_rooms *rooms, const struct gossip_head *head, unsigned more,
                  int64_t now_ms, struct buffer *out) {
    size_t start = out->len;
    struct json_writer w;
    json_write_start(&w, out);
    put_head(&w, head);
    bool said = head->say == GOSSIP_HELLO ||
                put_sections(&w, rooms, head->say == GOSSIP_ALL, more, start, now_ms);
    json_object_end(&w);
    if (!said)
        out->len = start;
    return said;
}

// -------------------------------------------------------------------- reading

static bool read_say(const struct json_doc *doc, enum gossip_say *out) {
    json_ref say = json_get(doc, JSON_ROOT, SLICE("say"));
    for (size_t i = 0; i < FARTHING_COUNT(words); i++)
        if (json_string_is(doc, say, slice_of(words[i]))) {
            *out = (enum gossip_say)i;
            return true;
        }
    return false;
}

bool gossip_read(struct json_doc *doc, struct slice message, struct gossip_head *head) {
    const struct json_limits limits = {.depth = DEPTH_MAX, .bytes = GOSSIP_BYTES_MAX + HEAD_BYTES};
    struct error err;
    int64_t version;
    if (!json_parse(doc, message, &limits, &err) || !json_is(doc, JSON_ROOT, JSON_OBJECT) ||
        !json_i64(doc, json_get(doc, JSON_ROOT, SLICE("v")), &version) || version != VERSION ||
        !json_i64(doc, json_get(doc, JSON_ROOT, SLICE("at")), &head->at_ms) || head->at_ms < 0 ||
        !read_say(doc, &head->say))
        return false;
    head->from = json_inner(doc, json_get(doc, JSON_ROOT, SLICE("from")));
    return head->from.len > 0 && head->from.len <= FROM_BYTES_MAX;
}

static json_ref section(const struct json_doc *doc, const char *name) {
    return json_get(doc, JSON_ROOT, slice_of(name));
}

void gossip_take(const struct gossip_rooms *r, const struct gossip_head *head,
                 const struct json_doc *doc, unsigned instances, int64_t sent_ms, int64_t now_ms) {
    bool all = head->say == GOSSIP_ALL;
    if (head->say == GOSSIP_HELLO)
        return;
    struct arena *arena = arena_new(ARENA_BYTES);
    breakers_hear(r->breakers, doc, section(doc, "breakers"), arena, sent_ms, now_ms);
    retry_budgets_hear(r->retry_budgets, doc, section(doc, "retries"), arena, instances, sent_ms,
                       now_ms);
    estimator_hear(r->estimator, doc, section(doc, "tokens"), arena, all);
    past_hear(r->past, doc, section(doc, "past"), arena, all);
    arena_free(arena);
}
