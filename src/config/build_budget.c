// Budgets: how much money, in which window, for whom.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "loader.h"

#define ZONEINFO "/usr/share/zoneinfo" // where the C library looks unless TZDIR says otherwise

// ------------------------------------------------------------------- window

int64_t loader_window(struct loader *l, cfg_t *section, enum loader_window otherwise) {
    static const char *const windows[] = {"1h", "1d", "1w", "1mo", "total"}; // as the enum
    static const int64_t hours[] = {1, 24, 7 * 24, 30 * 24, 0};
    size_t window =
        loader_choice(l, section, "window", windows, FARTHING_COUNT(windows), otherwise);
    return hours[window] * 3600 * 1000;
}

static void read_window(struct loader *l, cfg_t *section, struct config_budget *budget) {
    budget->window_ms = loader_window(l, section, LOADER_WINDOW_TOTAL);
    if (budget->sliding && budget->window_ms == 0)
        loader_error(l, loader_line(l, section, "sliding"),
                     "sliding: a total has no window that could slide; expected window = 1h, 1d, "
                     "1w or 1mo");
}

// Without a dot and a leading slash, nothing outside the directory can be named.
static bool is_zone_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && strchr("_+-/", c) == NULL)
            return false;
    }
    return name.len > 0 && name.ptr[0] != '/';
}

// Lists and tables lie beside the zones: a zone begins with its format's name
// (RFC 9636, 3.1).
static bool is_zone_file(const char *path) {
    char magic[4];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    FILE *f = fopen(path, "re");
    bool zone = f != NULL && fread(magic, sizeof magic, 1, f) == 1 &&
                memcmp(magic, "TZif", sizeof magic) == 0;
    if (f != NULL)
        fclose(f);
    return zone;
}

static void check_zone(struct loader *l, int line, struct slice name) {
    const char *directory = getenv("TZDIR");
    struct stat st;
    if (directory == NULL || directory[0] == '\0')
        directory = ZONEINFO;
    bool present = stat(directory, &st) == 0 && S_ISDIR(st.st_mode);
    if (!present)
        loader_error(l, line,
                     "timezone: \"%s\" cannot be used: there is no directory %s; expected \"UTC\", "
                     "or that the system's time zones are installed",
                     loader_shown(l, name), loader_shown(l, slice_of(directory)));
    else if (!is_zone_name(name) ||
             !is_zone_file(arena_printf(l->scratch, "%s/%.*s", directory, SLICE_ARG(name)).ptr))
        loader_error(l, line,
                     "timezone: \"%s\" is not valid; expected the name of a zone below %s such as "
                     "\"Europe/Berlin\" or \"UTC\"",
                     loader_shown(l, name), loader_shown(l, slice_of(directory)));
}

static void read_timezone(struct loader *l, cfg_t *section, struct config_budget *budget) {
    if (loader_text(section, "timezone") == NULL)
        return;
    int line = loader_line(l, section, "timezone");
    bool utc = slice_equal(budget->timezone, SLICE("UTC"));
    if (!utc)
        check_zone(l, line, budget->timezone);
    if (budget->sliding)
        loader_error(l, line,
                     "timezone: \"%s\" has no meaning for a sliding window, which follows no "
                     "calendar; expected one of sliding and timezone",
                     loader_shown(l, budget->timezone));
    else if (budget->window_ms == 0)
        loader_warn(l, line, "timezone has no effect on a budget without a window");
    if (utc)
        budget->timezone = SLICE_NONE; // needs no file
}

// ------------------------------------------------------------------ warn_at

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void read_warn_at(struct loader *l, cfg_t *section, struct config_budget *budget) {
    struct config_slices given = loader_list(l, section, "warn_at");
    int64_t *percent = loader_many(l, given.count, sizeof *percent);
    size_t valid = 0, kept = 0;
    for (size_t i = 0; i < given.count; i++) {
        struct slice text = given.items[i];
        if (slice_ends_with(text, SLICE("%")))
            text.len--;
        if (slice_to_i64(text, &percent[valid]) && percent[valid] >= 1 && percent[valid] <= 100)
            valid++;
        else
            loader_error(l, loader_item_line(l, section, "warn_at", i),
                         "warn_at: \"%s\" is not valid; expected shares from \"1%%\" to \"100%%\"",
                         loader_shown(l, given.items[i]));
    }
    qsort(percent, valid, sizeof *percent, by_size);
    for (size_t i = 0; i < valid; i++)
        if (kept == 0 || percent[i] != percent[kept - 1])
            percent[kept++] = percent[i];
    budget->warn_at_percent = percent;
    budget->warn_at_count = kept;
}

// ------------------------------------------------------------------ budgets

static void build_budget(struct loader *l, cfg_t *section, void *element) {
    static const char *const each[] = {"feature", "user", "run", "key"}; // as the enum, from 1 on
    struct config_budget *budget = element;
    budget->name = loader_title(l, section);
    loader_fill_named(l, section, "tenant", "budget", budget);
    read_window(l, section, budget);
    read_timezone(l, section, budget);
    read_warn_at(l, section, budget);
    if (loader_text(section, "per") != NULL)
        budget->per = (enum config_budget_per)(
            CONFIG_PER_FEATURE + loader_choice(l, section, "per", each, FARTHING_COUNT(each), 0));
    loader_require(l, section, "amount", "\"50 usd\"");
}

void loader_read_budgets(struct loader *l, cfg_t *section, struct config_tenant *t) {
    t->budgets = loader_build_each(l, section, "budget", sizeof(struct config_budget), build_budget,
                                   &t->budget_count);
}
