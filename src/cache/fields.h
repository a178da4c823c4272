// The table of request fields, for who looks names up in it often.
#ifndef FARTHING_CACHE_FIELDS_H
#define FARTHING_CACHE_FIELDS_H

// The rows that some endpoint drops stand first, this many.
enum { FIELDS_DROPPED = 12 };

#endif
