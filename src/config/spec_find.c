// Looking things up in the table, also what somebody may have meant.
#include "spec.h"

const struct spec_section *spec_section_find(const char *parent, const char *name) {
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i]->parent, parent) == 0 && strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

const struct spec_key *spec_key_find(const struct spec_section *section, struct slice name) {
    for (size_t i = 0; i < section->key_count; i++)
        if (slice_equal(slice_of(section->keys[i].name), name))
            return &section->keys[i];
    return NULL;
}

void spec_consider(const char *candidate, struct slice word, const char **best, size_t *distance) {
    size_t d = slice_distance(slice_of(candidate), word);
    if (d < *distance) {
        *distance = d;
        *best = candidate;
    }
}

const char *spec_nearest(const struct spec_section *section, struct slice word) {
    const char *best = NULL;
    size_t distance = word.len / 2 + 1; // farther is another word, not a slip
    const char *inside = section != NULL ? section->name : "";
    for (size_t i = 0; section != NULL && i < section->key_count; i++)
        spec_consider(section->keys[i].name, word, &best, &distance);
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i]->parent, inside) == 0)
            spec_consider(all[i]->name, word, &best, &distance);
    return best;
}

const char *spec_kind_expected(enum spec_kind kind) {
    switch (kind) {
    case SPEC_BOOL:
    case SPEC_FLAG:
        return "true or false";
    case SPEC_COUNT:
    case SPEC_NUMBER:
        return "a whole number";
    case SPEC_DURATION:
        return "a duration such as 250ms, 30s, 10m, 6h or 7d";
    case SPEC_SIZE:
        return "a size such as 64k, 32m or 1g";
    case SPEC_MONEY:
        return "an amount such as \"2.50 usd\"";
    case SPEC_RATE:
        return "a rate such as \"600/min\"";
    case SPEC_MILLI:
        return "a number such as 0.1";
    case SPEC_LIST:
        return "a list of texts";
    case SPEC_TEXT:
    case SPEC_SECRET:
    case SPEC_SPECIAL:
        break;
    }
    return "a text";
}
