// farthingctl: asks the admin address, and tells it what an operator wants.
// Here: the command line.
#include "ctl.h"

#include <stdlib.h>

// The value of an option: "--tenant acme". NULL, and said so, when it is missing.
static const char *value_of(int argc, char **argv, int *i) {
    if (*i + 1 < argc)
        return argv[++*i];
    fprintf(stderr, "farthingctl: %s needs a value\n", argv[*i]);
    return NULL;
}

// "-1 usd" is an amount.
static bool is_option(const char *word) {
    return word[0] == '-' && word[1] != '\0' && strchr("0123456789.", word[1]) == NULL;
}

static bool read_option(struct ctl_call *call, int argc, char **argv, int *i) {
    const struct {
        const char *name;
        const char **value;
    } with_value[] = {
        {"--admin", &call->admin},
        {"--tenant", &call->tenant},
        {"--reason", &call->reason},
        {"--route", &call->route},
        {"--window", &call->window},
        {"--feature", &call->feature},
        {"--prompt-version", &call->prompt_version},
        {"--corpus-version", &call->corpus_version},
        {"--key", &call->key},
        {"--out", &call->out},
        {"--model", &call->model},
        {"--svg", &call->svg},
        {"--folds", &call->folds},
        {"--seed", &call->seed},
        {"--small-price", &call->small_price},
        {"--large-price", &call->large_price},
    };
    const char *option = argv[*i];
    for (size_t k = 0; k < FARTHING_COUNT(with_value); k++)
        if (strcmp(option, with_value[k].name) == 0)
            return (*with_value[k].value = value_of(argc, argv, i)) != NULL;
    if (strcmp(option, "--json") == 0)
        call->json = true;
    else if (strcmp(option, "--stdin") == 0)
        call->from_stdin = true;
    else {
        fprintf(stderr, "farthingctl: there is no option \"%s\"\n", option);
        return false;
    }
    return true;
}

static bool read_words(struct ctl_call *call, int argc, char **argv) {
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && is_option(argv[i])) {
            if (!read_option(call, argc, argv, &i))
                return false;
        } else if (call->word_count < CTL_WORDS_MAX) {
            call->words[call->word_count++] = argv[i];
        } else {
            fprintf(stderr, "farthingctl: \"%s\" is one word too many\n", argv[i]);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    struct ctl_call call = {.admin = getenv("FARTHING_ADMIN")};
    if (call.admin == NULL)
        call.admin = "127.0.0.1:4001";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("farthingctl %s\n", FARTHING_VERSION);
            return CTL_OK;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ctl_write_usage(stdout);
            return CTL_OK;
        }
    }
    if (!read_words(&call, argc, argv))
        return CTL_USAGE;
    if (call.word_count == 0) {
        ctl_write_usage(stderr);
        return CTL_USAGE;
    }
    return ctl_run(&call);
}
