// Chunks of chat completions, as literals.
#ifndef FARTHING_TESTS_PROVIDER_CHUNKS_H
#define FARTHING_TESTS_PROVIDER_CHUNKS_H

#include "support.h"

#define HEAD "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
#define CHUNK(delta, reason)                                                                       \
    EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" reason "}]}")
#define TEXT(text) CHUNK("{\"content\":\"" text "\"}", "null")
#define STOP       CHUNK("{}", "\"stop\"")
#define USAGE_OBJECT                                                                               \
    "{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13,"                            \
    "\"prompt_tokens_details\":{\"cached_tokens\":8,\"audio_tokens\":2},"                          \
    "\"completion_tokens_details\":{\"reasoning_tokens\":3,\"audio_tokens\":1}}"
#define USAGE EVENT(HEAD "\"choices\":[],\"usage\":" USAGE_OBJECT "}")
#define USAGE_READ                                                                                 \
    {                                                                                              \
        .known = true, .input_tokens = 9, .output_tokens = 4, .cached_tokens = 8,                  \
        .reasoning_tokens = 3, .input_audio_tokens = 2, .output_audio_tokens = 1                   \
    }

#endif
