// The lists of names.c as the loader looks for words in them.
#ifndef FARTHING_CONFIG_NAMES_H
#define FARTHING_CONFIG_NAMES_H

#include "farthing/config.h"

extern const char *const config_script_words[CONFIG_SCRIPT_COUNT];
extern const char *const config_effort_words[CONFIG_EFFORT_COUNT]; // the first: unset, no word
extern const char *const config_context_words[CONFIG_CONTEXT_PART_COUNT];
extern const char *const config_escalation_words[CONFIG_ESCALATE_COUNT];

#endif
