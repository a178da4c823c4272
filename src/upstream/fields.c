// Header fields in both directions: what of a request's may be sent, and what
// of an answer's is passed on. Bytes in, fields out; no I/O.
#include "attempt.h"

enum { HEAD_BYTES_MAX = 256 * 1024 }; // of all heads of one answer, the 1xx and trailers too

// RFC 9110 5.6.2
static const bool token_chars[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

bool fields_is_token(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (!token_chars[(unsigned char)s.ptr[i]])
            return false;
    return s.len > 0;
}

// Of one hop, or of the framing and coding that libcurl does for both sides.
static bool is_of_this_hop(struct slice name) {
    static const char letters[] = "cktupheaCKTUPHEA";
    // Nearly all others differ from each of these in length or first letter.
    const uint32_t lengths = 1u << 2 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 14 |
                             1u << 15 | 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19;
    if (name.len > 19 || (lengths >> name.len & 1u) == 0 || strchr(letters, name.ptr[0]) == NULL)
        return false;
    return slice_equal_nocase(name, SLICE("host")) || slice_equal_nocase(name, SLICE("expect")) ||
           slice_equal_nocase(name, SLICE("content-length")) ||
           slice_equal_nocase(name, SLICE("accept-encoding")) || api_header_is_hop_by_hop(name);
}

// What could end a line early becomes a blank (RFC 9110 5.5).
static void blank_out(char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (bytes[i] == '\r' || bytes[i] == '\n' || bytes[i] == '\0')
            bytes[i] = ' ';
}

// ----------------------------------------------------------------- requests

// The list in the making. Its nodes come from the arena: libcurl only reads them.
struct lines {
    struct arena *arena;
    struct curl_slist *first, *last;
};

static void add_line(struct lines *l, const char *text) {
    struct curl_slist *node = arena_alloc(l->arena, sizeof *node);
    node->data = (char *)(uintptr_t)text;
    node->next = NULL;
    if (l->last != NULL)
        l->last->next = node;
    else
        l->first = node;
    l->last = node;
}

static void add_field(struct lines *l, struct slice name, struct slice value) {
    char *line = arena_alloc(l->arena, name.len + value.len + 3);
    memcpy(line, name.ptr, name.len);
    char *at = line + name.len;
    if (value.len == 0) { // libcurl sends a field without value when it ends so
        memcpy(at, ";", 2);
    } else {
        memcpy(at, ": ", 2);
        memcpy(at + 2, value.ptr, value.len);
        at[2 + value.len] = '\0';
        blank_out(at + 2, value.len);
    }
    add_line(l, line);
}

static struct slice trimmed(struct slice value) {
    while (value.len > 0 && (unsigned char)value.ptr[value.len - 1] <= ' ')
        value.len--;
    while (value.len > 0 && (unsigned char)value.ptr[0] <= ' ')
        value = slice_from(value, 1);
    return value;
}

// A caller's word on what is_of_this_hop would be sent beside libcurl's own.
struct curl_slist *fields_of_request(struct arena *arena, const struct api_header *headers,
                                     size_t count) {
    struct lines l = {.arena = arena};
    bool has_type = false, has_accept = false, has_agent = false;
    for (size_t i = 0; i < count; i++) {
        struct slice name = headers[i].name;
        if (!fields_is_token(name) || is_of_this_hop(name))
            continue;
        has_type = has_type || slice_equal_nocase(name, SLICE("content-type"));
        has_accept = has_accept || slice_equal_nocase(name, SLICE("accept"));
        has_agent = has_agent || slice_equal_nocase(name, SLICE("user-agent"));
        add_field(&l, name, trimmed(headers[i].value));
    }
    // What libcurl would add by itself.
    add_line(&l, "Expect:");
    if (!has_type)
        add_line(&l, "Content-Type:");
    if (!has_accept)
        add_line(&l, "Accept: */*");
    if (!has_agent)
        add_line(&l, "User-Agent: farthing/" FARTHING_VERSION);
    return l.first;
}

// ------------------------------------------------------------------ answers

static bool refuse(struct answer *a, const char *why) {
    a->wrong = why;
    return false;
}

// "HTTP/1.1 200 OK", "HTTP/2 200": libcurl has seen to it that it is one.
static bool take_status(struct answer *a, struct slice line) {
    ptrdiff_t space = slice_find_char(line, ' ');
    uint64_t status = 0;
    struct slice rest = space < 0 ? SLICE_NONE : slice_from(line, (size_t)space + 1);
    if (rest.len < 3 || !slice_to_u64(slice_make(rest.ptr, 3), &status) || status < 100)
        return refuse(a, "no status in the status line");
    a->status = (int)status;
    a->count = 0;
    return true;
}

static void store_field(struct answer *a, struct slice name, struct slice value) {
    if (a->count == a->cap) {
        size_t cap = a->cap == 0 ? 24 : a->cap * 2;
        struct api_header *grown = arena_alloc(a->arena, cap * sizeof *grown);
        if (a->count > 0)
            memcpy(grown, a->fields, a->count * sizeof *grown);
        a->fields = grown;
        a->cap = cap;
    }
    a->fields[a->count++] = (struct api_header){name, value};
}

// A line that begins with a blank goes on where the last one ended (obs-fold,
// RFC 9112 5.2, which a proxy may replace by a blank).
static void continue_field(struct answer *a, struct slice line) {
    if (a->count == 0)
        return;
    struct slice *value = &a->fields[a->count - 1].value, more = slice_trim(line);
    char *joined = arena_alloc(a->arena, value->len + 1 + more.len);
    if (value->len > 0)
        memcpy(joined, value->ptr, value->len);
    joined[value->len] = ' ';
    memcpy(joined + value->len + 1, more.ptr, more.len);
    blank_out(joined, value->len + 1 + more.len);
    *value = slice_make(joined, value->len + 1 + more.len);
}

// What is no field (RFC 9112 5.1 lets a proxy take the blank before the colon
// away) is left out: who comes after us shall not read something else in it.
static void take_field(struct answer *a, struct slice line) {
    ptrdiff_t colon = slice_find_char(line, ':');
    if (colon <= 0)
        return;
    char *copy = arena_alloc(a->arena, line.len);
    memcpy(copy, line.ptr, line.len);
    blank_out(copy, line.len);
    struct slice name = slice_trim(slice_make(copy, (size_t)colon));
    struct slice value = slice_trim(slice_make(copy + colon + 1, line.len - (size_t)colon - 1));
    if (fields_is_token(name))
        store_field(a, name, value);
}

static bool named_by_connection(const struct answer *a, struct slice name) {
    for (size_t i = 0; i < a->count; i++) {
        struct slice list = a->fields[i].value, part;
        if (!slice_equal_nocase(a->fields[i].name, SLICE("connection")))
            continue;
        while (slice_split(&list, ',', &part))
            if (slice_equal_nocase(slice_trim(part), name))
                return true;
    }
    return false;
}

// Two lengths are one too many (RFC 9112 6.3), and what libcurl reads as a
// number ("5, 7" is 5 to it) is not always one.
static bool lengths_agree(struct answer *a) {
    struct slice first = SLICE_NONE;
    for (size_t i = 0; i < a->count; i++) {
        struct slice value = a->fields[i].value;
        uint64_t number;
        if (!slice_equal_nocase(a->fields[i].name, SLICE("content-length")))
            continue;
        if (!slice_to_u64(value, &number))
            return refuse(a, "a Content-Length that is no number");
        if (first.ptr != NULL && !slice_equal(first, value))
            return refuse(a, "two Content-Lengths that differ");
        first = value;
    }
    return true;
}

static bool passes(const struct answer *a, struct slice name, bool connection_names) {
    return !is_of_this_hop(name) && !slice_equal_nocase(name, SLICE("content-encoding")) &&
           !(connection_names && named_by_connection(a, name));
}

// Leaves out what ends at this hop, and what is no longer true once decoded.
static void drop_fields(struct answer *a) {
    struct api_header *kept = arena_alloc(a->arena, (a->count + 1) * sizeof *kept);
    size_t count = 0;
    bool connection_names = api_header_find(a->fields, a->count, SLICE("connection")).ptr != NULL;
    for (size_t i = 0; i < a->count; i++)
        if (passes(a, a->fields[i].name, connection_names))
            kept[count++] = a->fields[i];
    a->fields = kept;
    a->count = count;
}

static bool end_head(struct answer *a) {
    if (a->status == 101)
        return refuse(a, "a switch of protocols that nobody asked for");
    if (a->status < 200) { // the answer is still to come
        a->status = 0;
        return true;
    }
    if (!lengths_agree(a))
        return false;
    drop_fields(a);
    a->done = true;
    return true;
}

bool fields_take_line(struct answer *a, struct slice line) {
    a->bytes += line.len;
    if (a->bytes > HEAD_BYTES_MAX)
        return refuse(a, "too many header fields");
    if (a->done)
        return true; // trailers
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (a->status == 0)
        return take_status(a, line);
    if (line.len == 0)
        return end_head(a);
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        continue_field(a, line);
    else
        take_field(a, line);
    return true;
}
