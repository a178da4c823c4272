// Header fields: which ones end at each hop, and look-up.
#include "farthing/api.h"

bool api_header_is_hop_by_hop(struct slice name) {
    // RFC 9110 7.6.1, with Keep-Alive and Proxy-Connection, which old peers
    // still send without naming them in Connection.
    static const char *const names[] = {
        "connection", "keep-alive", "proxy-connection",    "transfer-encoding", "te",
        "trailer",    "upgrade",    "proxy-authorization", "proxy-authenticate",
    };
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal_nocase(name, slice_of(names[i])))
            return true;
    return false;
}

bool api_header_is_farthing(struct slice name) {
    struct slice prefix = SLICE("x-farthing-");
    return name.len > prefix.len &&
           slice_equal_nocase(slice_make(name.ptr, prefix.len), prefix);
}

struct slice api_header_find(const struct api_header *headers, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(headers[i].name, name))
            return headers[i].value;
    return SLICE_NONE;
}
