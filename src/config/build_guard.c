// What a request, a run or a part of the input may be: contexts of a route,
// tasks, runs. (Caps and limits are plain keys, which the table alone reads.)
#include "loader.h"
#include "names.h"

// ----------------------------------------------------------------- contexts

static bool read_part(struct loader *l, cfg_t *section, enum config_context_part *part) {
    struct slice title = slice_of(cfg_title(section));
    for (size_t i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++)
        if (slice_equal(title, slice_of(config_context_words[i]))) {
            *part = (enum config_context_part)i;
            return true;
        }
    const char *nearest = loader_nearest(title, config_context_words, CONFIG_CONTEXT_PART_COUNT);
    loader_error(l, loader_line(l, section, NULL),
                 "context \"%s\" is no part of the input; expected system, developer, history, "
                 "retrieved, tool_results or total%s",
                 loader_shown(l, title), loader_did_you_mean(l, nearest));
    return false;
}

// Only turns of a conversation can go without leaving the rest senseless.
static void read_action(struct loader *l, cfg_t *section, struct config_context *c) {
    static const char *const actions[] = {"reject", "warn", "trim_oldest"}; // as the enum
    c->action = (enum config_context_action)loader_choice(
        l, section, "action", actions, FARTHING_COUNT(actions), CONFIG_CONTEXT_REJECT);
    bool trims = c->action == CONFIG_CONTEXT_TRIM_OLDEST;
    if (trims && c->part != CONFIG_CONTEXT_HISTORY && c->part != CONFIG_CONTEXT_TOTAL)
        loader_error(l, loader_line(l, section, "action"),
                     "action: \"trim_oldest\" is for history and total only; expected reject or "
                     "warn for %s",
                     config_context_words[c->part]);
    if (!trims && loader_text(section, "keep_turns") != NULL)
        loader_warn(l, loader_line(l, section, "keep_turns"),
                    "keep_turns has no effect without action = \"trim_oldest\"");
}

static void check_markers(struct loader *l, cfg_t *section, const struct config_context *c) {
    if (c->markers.count > 0 && c->part != CONFIG_CONTEXT_RETRIEVED)
        loader_error(l, loader_line(l, section, "markers"),
                     "markers: \"%s\" marks nothing in %s; expected markers in context "
                     "\"retrieved\" only",
                     loader_shown(l, c->markers.items[0]), config_context_words[c->part]);
    for (size_t i = 0; i < c->markers.count; i++)
        if (c->markers.items[i].len == 0)
            loader_error(l, loader_item_line(l, section, "markers", i),
                         "markers: \"\" would fit every text; expected what retrieved texts begin "
                         "with");
}

static void read_context(struct loader *l, cfg_t *section, struct config_context *c) {
    loader_fill_named(l, section, "route", "context", c);
    read_action(l, section, c);
    check_markers(l, section, c);
    loader_require(l, section, "max_tokens", "2000");
}

void loader_read_contexts(struct loader *l, cfg_t *section, struct config_route *r) {
    cfg_t *given[CONFIG_CONTEXT_PART_COUNT] = {NULL};
    unsigned count = cfg_size(section, "context");
    for (unsigned i = 0; i < count; i++) {
        cfg_t *context = cfg_getnsec(section, "context", i);
        enum config_context_part part;
        if (read_part(l, context, &part))
            given[part] = context;
    }
    struct config_context *all = loader_many(l, count, sizeof *all);
    for (size_t part = 0; part < CONFIG_CONTEXT_PART_COUNT; part++)
        if (given[part] != NULL) {
            struct config_context *c = &all[r->context_count++];
            c->part = (enum config_context_part)part;
            read_context(l, given[part], c);
        }
    r->contexts = all;
}

// -------------------------------------------------------------------- tasks

static void build_task(struct loader *l, cfg_t *section, void *element) {
    struct config_task *task = element;
    task->name = loader_title(l, section);
    loader_fill_named(l, section, "", "task", task);
}

void loader_build_tasks(struct loader *l, cfg_t *root) {
    struct config *c = loader_config(l);
    c->tasks =
        loader_build_each(l, root, "task", sizeof(struct config_task), build_task, &c->task_count);
}

// --------------------------------------------------------------------- runs

static void inherit(int64_t *own, int64_t outer) {
    if (*own == CONFIG_UNSET)
        *own = outer;
}

void loader_read_run(struct loader *l, cfg_t *section, const struct config_run *outer,
                     struct config_run *run) {
    loader_fill_named(l, section, "", "run", run);
    if (outer == NULL)
        return;
    inherit(&run->max_steps, outer->max_steps);
    inherit(&run->max_attempts, outer->max_attempts);
    inherit(&run->max_tokens, outer->max_tokens);
    inherit(&run->max_wall_ms, outer->max_wall_ms);
    inherit(&run->max_cost, outer->max_cost);
}
