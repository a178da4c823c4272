// One reading of a file: shared by the files of this room that make a
// snapshot. libconfuse has global state, so there is one at a time.
#ifndef FARTHING_CONFIG_LOADER_H
#define FARTHING_CONFIG_LOADER_H

#include <confuse.h>

#include "spec.h"

struct message {
    int line;
    char *text;
};

// The snapshot and what keeps it alive.
struct snapshot {
    struct config config; // first: a config is its snapshot
    struct arena *arena;
    _Atomic unsigned references;
};

struct loader {
    const char *file;
    struct snapshot *snapshot;
    struct arena *arena;
    struct table *lines;    // "section pointer/key" -> line
    struct message *errors; // sorted by line at the end
    size_t error_count;
    struct slice *warnings;
    size_t warning_count;
};

void loader_error(struct loader *l, int line, const char *fmt, ...) FARTHING_PRINTF(3, 4);
void loader_warn(struct loader *l, int line, const char *fmt, ...) FARTHING_PRINTF(3, 4);
// Line of a key in a section; of the section's first key when `key` is NULL.
int loader_line(struct loader *l, cfg_t *section, const char *key);
void loader_note_line(struct loader *l, cfg_t *section, const char *key, int line);

// environment.c: reports each ${NAME} that is not set.
void loader_check_environment(struct loader *l, struct slice text);

// fill.c: every plain key of a section into its struct, by the table.
void loader_fill(struct loader *l, cfg_t *section, const struct spec_section *spec, void *target);
const char *loader_text(cfg_t *section, const char *key); // NULL when unset
struct config_slices loader_list(struct loader *l, cfg_t *section, const char *key);

// build.c: the sections into the snapshot, and what refers to what.
void loader_build(struct loader *l, cfg_t *root);

#endif
