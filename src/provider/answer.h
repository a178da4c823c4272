// What whole answers and events of streams say alike.
#ifndef FARTHING_PROVIDER_ANSWER_H
#define FARTHING_PROVIDER_ANSWER_H

#include "farthing/provider.h"

// The error that `object` reports, in OpenAI's shape, Anthropic's, or as an
// object that is itself one. False: none. Strings as provider_read_answer's.
bool answer_read_error(const struct json_doc *doc, json_ref object, struct arena *arena,
                       struct provider_answer *out);
// Finish reasons that say that the provider broke off: not to be kept.
bool answer_broke_off(struct slice finish_reason);

#endif
