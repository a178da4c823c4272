// Blocks as this room's files share them: blocks.c has them in memory and in the journal,
// blocks_share.c tells other instances of them over a shared store, blocks_wire.c is how
// they are written there.
//
// An order (to block, to unblock) is dated, and that is its number: of two about the same
// key the newer counts, wherever and in whatever sequence they were given. It is the
// shared store's time, but always later than what the instance knew of that key; of two
// from one millisecond the one that blocks counts. So an order that was given while the
// shared store was away takes its place when it is back, and does not undo a later one.
// That is also why what is unblocked is not forgotten: an instance that was away would
// bring the block back.
#ifndef FARTHING_TENANT_BLOCKS_ROOM_H
#define FARTHING_TENANT_BLOCKS_ROOM_H

#include "farthing/store.h"
#include "farthing/tenant.h"

enum {
    BLOCKS_PAGE = 64, // told and heard at once: no call keeps the shared store busy for long
    BLOCKS_ID_MAX = 40,
};
#define BLOCKS_AT_MAX INT64_C(253402300799999) // the year 9999 ends

struct block_entry; // in blocks.c
struct blocks_share;

// ------------------------------------- between blocks.c and blocks_share.c

// What the shared store may not know yet.
struct blocks_offer {
    struct block_entry *entry;
    struct key_block block;
};

struct store *blocks_store(const struct key_blocks *b);
// The next ones, and how many.
size_t blocks_offer(struct key_blocks *b, struct blocks_offer offers[BLOCKS_PAGE]);
void blocks_note_told(struct key_blocks *b, const struct blocks_offer *offers, size_t count);
bool blocks_all_told(struct key_blocks *b);
// The shared store may know nothing.
void blocks_tell_all(struct key_blocks *b);
// What the shared store has: taken where it is newer, and told otherwise where it is not.
// False: there are too many.
bool blocks_learn(struct key_blocks *b, const struct key_block *block) FARTHING_MUST_CHECK;
void blocks_attach(struct key_blocks *b, struct blocks_share *s); // NULL: none
struct blocks_share *blocks_attached(struct key_blocks *b);
// Of blocks_share.c, to blocks.c: something is to be told.
void blocks_share_wake(struct blocks_share *s);

// ------------------------------------------------------- blocks_wire.c, pure

void blocks_put_name(struct buffer *out, const struct key_block *block);
void blocks_put_order(struct buffer *out, const struct key_block *block);

// As blocks.lua answers.
struct blocks_answer {
    char id[BLOCKS_ID_MAX + 1];
    uint64_t from, to;
    bool more;
    struct slice rest; // orders that are still to be read
};

// False: it is no answer.
bool blocks_answer_read(struct slice text, struct blocks_answer *out) FARTHING_MUST_CHECK;
// The next order; its slices lie in the answer, and its digest, if any, in `digest`. What a
// later version may have written otherwise is passed over. False: there is none.
bool blocks_answer_next(struct blocks_answer *a, struct key_block *out,
                        uint8_t digest[DIGEST_LEN]) FARTHING_MUST_CHECK;

#endif
