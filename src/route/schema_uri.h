// References between schemas: URIs (RFC 3986) and JSON pointers (RFC 6901).
#ifndef FARTHING_ROUTE_SCHEMA_URI_H
#define FARTHING_ROUTE_SCHEMA_URI_H

#include "farthing/base.h"

// The reference as an absolute URI, or a relative one where `base` is empty.
// Neither has a fragment. In the arena.
struct slice schema_uri_resolve(struct arena *arena, struct slice base, struct slice reference);
// Splits at the first '#'; the fragment without it, its percent-escapes decoded.
void schema_uri_split(struct arena *arena, struct slice uri, struct slice *without,
                      struct slice *fragment);
// One token of a pointer, its ~0 and ~1 decoded.
struct slice schema_pointer_token(struct arena *arena, struct slice token);

#endif
