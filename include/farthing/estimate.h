// route, its estimate: how many tokens a request's input is, before any provider
// has counted it. From bytes and classes of characters, and from what providers
// reported of earlier requests to the same model.
#ifndef FARTHING_ESTIMATE_H
#define FARTHING_ESTIMATE_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/json.h"

// Of some text: before calibration, never below 1 where there is text, and
// rather too high than too low for every tokenizer in use (English is about 1.25
// of what they count). `text` is JSON source (escapes and all) or plain. Linear,
// under 1 us for each KiB.
int64_t estimate_text(struct slice text);
// Of one value of a request (a message, a list of tools, a schema), with what
// images, files and audio in it may count: by their size where it can be read in
// the base64, else by the most that is usual. JSON_NONE, null: 0.
int64_t estimate_value(const struct json_doc *doc, json_ref value);
// Of the whole input of a request: messages or prompt or input, instructions,
// tools, response format; not of what is no input (metadata, parameters). What lies
// at the provider (previous_response_id, stored prompts, results of its own tools)
// cannot be known here and is not in it. A body that is no JSON object: 0.
int64_t estimate_input(enum api_endpoint e, const struct json_doc *doc);

// What was learned, by model ("provider/model"); shared by all loops. 512 models
// have their own figures, those beyond share theirs.
struct estimator;
struct estimator *estimator_new(void);
void estimator_free(struct estimator *e);

struct estimate {
    int64_t likely; // what the provider will probably report
    int64_t most;   // what it will hardly exceed: what budgets reserve
};
// `raw` is estimate_input's. likely <= most, both within 0.3 to 3 times raw, give
// or take 16; before anything was learned 0.85 and 1 times. Any thread; costs some
// tens of nanoseconds.
struct estimate estimator_ask(struct estimator *e, struct slice model, int64_t raw);
// What the provider reported for it. Updates farthing_token_estimate_ratio{model}
// (a histogram of likely / reported). What cannot be (0 tokens, 100 times as many)
// changes little or nothing. Any thread.
void estimator_learn(struct estimator *e, struct slice model, int64_t raw, int64_t reported);

// Among instances that share a store. A JSON array appended to `out`, as far as it fits
// into `room` bytes, the rest the next time: what was reported here since the last time,
// so that others learn it, too, and nothing is learned twice. `all`: what is known,
// for one that knows less. False: there is nothing, and nothing was appended.
bool estimator_tell(struct estimator *e, struct buffer *out, size_t room, bool all);
// Such an array of another instance, `all` as it was told: of what that one knows by more
// reports its figures count from here on. Whatever is in it: what cannot be is passed
// over. Any thread.
void estimator_hear(struct estimator *e, const struct json_doc *doc, json_ref rows,
                    struct arena *arena, bool all);

#endif
