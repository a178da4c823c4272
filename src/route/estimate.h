// What the files of the estimate share.
#ifndef FARTHING_ROUTE_ESTIMATE_H
#define FARTHING_ROUTE_ESTIMATE_H

#include "farthing/estimate.h"

// What is not text (estimate_media.c). Slices are JSON source: base64 has no
// escapes that matter. Where a size cannot be told, the most that is usual.

// An image by its address: a data URL is looked into. `detail`: OpenAI's word.
int64_t estimate_image(struct slice url, struct slice detail);
int64_t estimate_image_base64(struct slice data, struct slice detail);
int64_t estimate_audio_base64(struct slice data);
// `type`: a MIME type, or a file's name.
int64_t estimate_file_base64(struct slice data, struct slice type);
// `data`: a data URL, or base64 of the file called `name`; empty: it is elsewhere.
int64_t estimate_file(struct slice data, struct slice name);
bool estimate_is_data_url(struct slice text); // with base64 in it

#endif
