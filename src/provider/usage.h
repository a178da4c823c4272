// A usage object as it was reported, before it is brought to one convention:
// the reports of a stream are put together field by field, as they came.
#ifndef FARTHING_PROVIDER_USAGE_H
#define FARTHING_PROVIDER_USAGE_H

#include "farthing/provider.h"

enum usage_field {
    USAGE_INPUT,
    USAGE_OUTPUT,
    USAGE_TOTAL,
    USAGE_CACHED,       // said to be part of the input
    USAGE_WRITTEN,      // the same, of what was written to the provider's cache
    USAGE_CACHED_APART, // Anthropic's spelling: as a rule beside the input
    USAGE_WRITTEN_APART,
    USAGE_WRITTEN_5M,
    USAGE_WRITTEN_1H,
    USAGE_REASONING,
    USAGE_INPUT_AUDIO,
    USAGE_OUTPUT_AUDIO,
    USAGE_INPUT_IMAGE,
    USAGE_OUTPUT_IMAGE,
    USAGE_FIELD_COUNT
};

struct usage_report {
    uint32_t present; // a bit for each field that was a number
    int64_t value[USAGE_FIELD_COUNT];
    bool prompt_tokens; // OpenAI's older word for the input: the cache is part of it
};

// False: it says nothing about tokens.
bool usage_read(const struct json_doc *doc, json_ref usage, struct usage_report *out);
// The later report wins, field by field; what only an earlier one said stays.
void usage_merge(struct usage_report *into, const struct usage_report *later);
void usage_resolve(const struct usage_report *report, struct api_usage *out);

#endif
