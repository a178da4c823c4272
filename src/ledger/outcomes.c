// The file of outcomes: JSON lines, by the same writer as the cost log's.
//
// A prompt may have hundreds of KB, and each line of the file is one, so that
// nothing but its own bounds keeps the file small: prompts are cut, the queue is
// short beside the cost log's, and whoever runs it rotates it.
#include "farthing/outcomes.h"

#include <errno.h>
#include <stdlib.h>

#include "farthing/json.h"
#include "line_writer.h"

enum { QUEUE_BYTES = 16 << 20 };

static const struct metric_family errors_family = {
    "farthing_outcomes_errors_total", "Writes to the file of outcomes that failed.",
    METRIC_COUNTER, {0}, 0, 0, 0, 0};
static const struct metric_family dropped_family = {
    "farthing_outcomes_dropped_total", "Outcomes that could not be written.", METRIC_COUNTER,
    {0}, 0, 0, 0, 0};
// Nobody else's to read: it holds what users wrote.
static const struct line_kind kind = {"capture", "outcomes", 0600, &errors_family,
                                      &dropped_family};

struct outcomes {
    struct line_writer *writer;
};

struct outcomes *outcomes_open(const char *path, struct error *err) {
    // Beside cost rows and whatever else reads them there, prompts have no place.
    if (strcmp(path, "-") == 0) {
        error_set(err, "capture must be the path of a file, not \"-\"");
        return NULL;
    }
    struct outcomes *o = base_calloc(1, sizeof *o);
    o->writer = line_writer_open(
        &(struct line_writer_options){.kind = &kind, .path = path, .queue_bytes = QUEUE_BYTES});
    if (o->writer == NULL)
        error_set(err, "cannot open the file of outcomes \"%s\": %s", path, strerror(errno));
    else if (line_writer_start(o->writer))
        return o;
    else
        error_set(err, "cannot start the thread that writes outcomes");
    outcomes_close(o);
    return NULL;
}

void outcomes_reopen(struct outcomes *o) {
    line_writer_reopen(o->writer);
}

void outcomes_flush(struct outcomes *o) {
    line_writer_flush(o->writer);
}

void outcomes_close(struct outcomes *o) {
    if (o == NULL)
        return;
    line_writer_close(o->writer);
    free(o);
}

// ---------------------------------------------------------------------- lines

struct line {
    struct buffer text;
    struct json_writer w;
};

static void begin(struct line *l) {
    l->text = (struct buffer){0};
    json_write_start(&l->w, &l->text);
    json_object_begin(&l->w);
}

static void put_text(struct line *l, const char *name, struct slice text) {
    if (text.len == 0)
        return;
    json_key(&l->w, slice_of(name));
    json_put_string(&l->w, text);
}

static void put_time(struct line *l, int64_t wall_ms) {
    char text[25];
    clock_format_ms(wall_ms, text);
    put_text(l, "ts", slice_of(text));
}

static void end(struct line *l, struct outcomes *o) {
    json_object_end(&l->w);
    buffer_append_char(&l->text, '\n');
    line_writer_add(o->writer, buffer_slice(&l->text));
    buffer_free(&l->text);
}

// Not amid a character.
static struct slice cut(struct slice text, size_t most) {
    if (text.len <= most)
        return text;
    text.len = most;
    while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80)
        text.len--;
    return text;
}

static void put_prompt(struct line *l, const struct outcome_line *line) {
    size_t room = OUTCOMES_PROMPT_MAX;
    if (line->prompt_count == 0)
        return;
    json_key(&l->w, SLICE("prompt"));
    if (line->prompt_count == 1) {
        json_put_string(&l->w, cut(line->prompt[0], room));
        return;
    }
    json_array_begin(&l->w);
    for (size_t i = 0; i < line->prompt_count && room > 0; i++) {
        struct slice text = cut(line->prompt[i], room);
        json_put_string(&l->w, text);
        // What was cut was the last; an empty text takes its comma and quotes.
        room = text.len < line->prompt[i].len || text.len + 3 > room ? 0 : room - text.len - 3;
    }
    json_array_end(&l->w);
}

static void put_outcome(struct line *l, const struct outcome *outcome) {
    json_object_begin(&l->w);
    put_text(l, "tier", outcome->tier);
    if (outcome->places > 0) {
        json_key(&l->w, SLICE("place")), json_put_u64(&l->w, outcome->place);
        json_key(&l->w, SLICE("places")), json_put_u64(&l->w, outcome->places);
    }
    json_key(&l->w, SLICE("ok")), json_put_bool(&l->w, outcome->ok);
    if (!outcome->ok)
        put_text(l, "reason", outcome->reason);
    json_object_end(&l->w);
}

void outcomes_record(struct outcomes *o, const struct outcome_line *line) {
    struct line l;
    if (o == NULL)
        return;
    begin(&l);
    put_text(&l, "request_id", line->request_id);
    if (line->ts_ms > 0)
        put_time(&l, line->ts_ms);
    put_text(&l, "shadow_of", line->shadow_of);
    put_text(&l, "route", line->route);
    put_text(&l, "feature", line->feature);
    put_prompt(&l, line);
    json_key(&l.w, SLICE("outcomes"));
    json_array_begin(&l.w);
    for (size_t i = 0; i < line->outcome_count; i++)
        put_outcome(&l, &line->outcomes[i]);
    json_array_end(&l.w);
    end(&l, o);
}

void outcomes_feedback(struct outcomes *o, struct slice request_id, bool ok, struct slice who,
                       struct slice reason) {
    struct line l;
    if (o == NULL)
        return;
    begin(&l);
    put_text(&l, "request_id", request_id);
    put_time(&l, clock_wall_ms());
    json_key(&l.w, SLICE("feedback")), json_put_bool(&l.w, ok);
    put_text(&l, "who", who);
    put_text(&l, "reason", reason);
    end(&l, o);
}
