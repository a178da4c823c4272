// One reading of a file: shared by the files of this room that make a
// snapshot. libconfuse has global state, so there is one at a time.
//
// A line number in here counts the lines of the whole text that libconfuse is
// given, includes and all; messages translate it into a file and its line.
#ifndef FARTHING_CONFIG_LOADER_H
#define FARTHING_CONFIG_LOADER_H

#include <confuse.h>

#include "spec.h"

struct message {
    int line;
    unsigned order; // of arising, so that sorting by line keeps it
    const char *text;
};

// From `line` of the whole text on, the lines are those of `file`, from `file_line` on.
struct place {
    int line;
    const char *file;
    int file_line;
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
    struct arena *arena; // the snapshot's: what must live as long as it
    struct arena *scratch;
    // source.c
    struct buffer text; // what libconfuse reads
    struct place *places;
    size_t place_count;
    int *section_lines; // where each section begins, in the order in which they end
    size_t section_count;
    // syntax.c
    size_t sections_ended;
    struct table *lines;     // "section pointer/key" -> line
    const char *last_secret; // the key, when the last value read was a secret
    int last_line;           // of the last value read
    // load.c
    struct message *errors;
    size_t error_count;
    struct message *warnings;
    size_t warning_count;
};

// load.c
void loader_error(struct loader *l, int line, const char *fmt, ...) FARTHING_PRINTF(3, 4);
void loader_warn(struct loader *l, int line, const char *fmt, ...) FARTHING_PRINTF(3, 4);
const char *loader_format(struct arena *arena, const char *fmt, va_list args) FARTHING_PRINTF(2, 0)
    __attribute__((nonnull));
// A value from the file as a message shows it: in one line, and not endless.
const char *loader_shown(struct loader *l, struct slice value);
bool loader_read_file(struct loader *l, const char *path, size_t max, struct slice *out,
                      const char **why);
// A path of the file's, relative to the directory that the file is in.
const char *loader_path(struct loader *l, const char *file, struct slice path);

// source.c: includes, comments, and what libconfuse cannot report, before it
// sees the text. False when it must not see it at all.
bool loader_scan(struct loader *l, struct slice text) FARTHING_MUST_CHECK;
struct place loader_place(const struct loader *l, int line);

// syntax.c: the text into libconfuse's tree. NULL after an error.
cfg_t *loader_parse(struct loader *l);
// Line of a key in a section, or of where the section begins when `key` is NULL.
int loader_line(struct loader *l, cfg_t *section, const char *key);
int loader_item_line(struct loader *l, cfg_t *section, const char *key, size_t item);
// Is the section in the file? libconfuse makes an empty one where it is not.
bool loader_is_present(const struct loader *l, cfg_t *section);

// fill.c: every plain key of a section into its struct, by the table.
void loader_fill(struct loader *l, cfg_t *section, const struct spec_section *spec, void *target);
const char *loader_text(cfg_t *section, const char *key); // NULL when unset
struct config_slices loader_list(struct loader *l, cfg_t *section, const char *key);

// build.c: the sections into the snapshot, and what refers to what.
void loader_build(struct loader *l, cfg_t *root);

// What its parts share. Each part builds its sections into the snapshot.
struct config *loader_config(struct loader *l);
void *loader_many(struct loader *l, size_t count, size_t size);
void loader_fill_named(struct loader *l, cfg_t *section, const char *parent, const char *name,
                       void *target);
// The section's title, checked: names go into headers, logs and metrics.
struct slice loader_title(struct loader *l, cfg_t *section);
// "FILE:LINE" of a key, or of where the section begins when `key` is NULL, for
// messages of other rooms.
struct slice loader_where(struct loader *l, cfg_t *section, const char *key);
// Does the file set the key, be it to an empty list?
bool loader_given(cfg_t *section, const char *key);
// An error that shows what is expected, where the key is not set or an empty list.
void loader_require(struct loader *l, cfg_t *section, const char *key, const char *example);
// All sections of that name in `parent`, each into an element of the array that is
// returned. `count` is set at the end: until then nothing finds them by name.
typedef void loader_builder(struct loader *l, cfg_t *section, void *element);
void *loader_build_each(struct loader *l, cfg_t *parent, const char *name, size_t size,
                        loader_builder *build, size_t *count);
// The position of the word among the words; `count` after an error that names them.
size_t loader_word(struct loader *l, int line, const char *key, struct slice word,
                   const char *const *words, size_t count);
// The position of the key's value among the words, `otherwise` when it is not
// set, and after an error that names the words.
size_t loader_choice(struct loader *l, cfg_t *section, const char *key, const char *const *words,
                     size_t count, size_t otherwise);
// The word nearest to `word`, or NULL when nothing is near.
const char *loader_nearest(struct slice word, const char *const *words, size_t count);
// "; did you mean "WORD"?", for the end of a message; empty when `nearest` is NULL.
const char *loader_did_you_mean(struct loader *l, const char *nearest);
// "known: a, b, c", for a message about a name that refers to nothing. The
// name is the first member of every titled section's struct.
#define LOADER_KNOWN(l, array, count) loader_known_names((l), (array), (count), sizeof *(array))
const char *loader_known_names(struct loader *l, const void *array, size_t count, size_t size);

void loader_build_server(struct loader *l, cfg_t *root); // build_server.c
void loader_build_store(struct loader *l, cfg_t *root);
void loader_build_log(struct loader *l, cfg_t *root);
void loader_build_providers(struct loader *l, cfg_t *root); // build_provider.c
void loader_build_models(struct loader *l, cfg_t *root);    // build_model.c
void loader_build_tiers(struct loader *l, cfg_t *root);
// The tier of that name, or NULL after an error.
const struct config_tier *loader_tier(struct loader *l, int line, const char *key,
                                      struct slice name);
// The tier that the key names; NULL when the key is not set, and after an error.
const struct config_tier *loader_tier_of(struct loader *l, cfg_t *section, const char *key);
void loader_build_routes(struct loader *l, cfg_t *root);  // build_route.c
void loader_build_tenants(struct loader *l, cfg_t *root); // build_tenant.c
void loader_build_classifier(struct loader *l, cfg_t *root); // build_rule.c
// Texts that are searched for must not be empty: that would be found everywhere.
void loader_check_texts(struct loader *l, cfg_t *section, const char *key);
void loader_check_scripts(struct loader *l, cfg_t *section);
void loader_read_chain(struct loader *l, cfg_t *section, struct config_route *r); // build_chain.c
void loader_read_similar(struct loader *l, cfg_t *section,
                         struct config_classifier *c); // build_similar.c

// build_trial.c
void loader_read_trials(struct loader *l, cfg_t *section, struct config_route *r);
// Warns where Farthing's own requests to the model would need a client's key.
void loader_check_own_key(struct loader *l, int line, const char *what,
                          const struct config_model *model);

// build_own.c
#define LOADER_OWN_TENANT "farthing"
bool loader_has_own_tenant(const struct config *c); // after routes and classifier
void loader_build_own_tenant(struct loader *l, struct config_tenant *own);

// build_guard.c
void loader_build_tasks(struct loader *l, cfg_t *root);
void loader_read_contexts(struct loader *l, cfg_t *section, struct config_route *r);
// What the section leaves open is as in `outer` (NULL: unset). section NULL: none.
void loader_read_run(struct loader *l, cfg_t *section, const struct config_run *outer,
                     struct config_run *run);
// build_budget.c
void loader_read_budgets(struct loader *l, cfg_t *section, struct config_tenant *t);
// The section's key `window` in ms, 0 for a total.
enum loader_window { LOADER_WINDOW_DAY = 1, LOADER_WINDOW_TOTAL = 4 };
int64_t loader_window(struct loader *l, cfg_t *section, enum loader_window otherwise);

#endif
