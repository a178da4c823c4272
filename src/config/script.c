// The names of scripts, in routing.conf and wherever one is shown.
#include "farthing/config.h"

static const char *const names[] = {
    "latin",    "greek",    "cyrillic", "armenian", "hebrew",     "arabic",    "devanagari",
    "bengali",  "gurmukhi", "gujarati", "tamil",    "telugu",     "kannada",   "malayalam",
    "sinhala",  "thai",     "lao",      "tibetan",  "myanmar",    "georgian",  "ethiopic",
    "khmer",    "han",      "hiragana", "katakana", "hangul",     "other",
}; // as enum config_script
_Static_assert(FARTHING_COUNT(names) == CONFIG_SCRIPT_COUNT, "a name for each script");
_Static_assert(CONFIG_SCRIPT_COUNT <= 32, "scripts are bits of 32");

const char *config_script_name(enum config_script s) {
    return names[s];
}

bool config_script_find(struct slice name, enum config_script *out) {
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal(name, slice_of(names[i]))) {
            *out = (enum config_script)i;
            return true;
        }
    return false;
}
