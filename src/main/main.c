// farthing: options, and what each of them starts.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "process.h"

static const char usage[] =
    "usage: farthing -c FILE         run the proxy with this configuration\n"
    "       farthing -t -c FILE      test the configuration\n"
    "       farthing demo            run the proxy with a built-in mock provider\n"
    "       farthing mock [OPTIONS]  run the mock provider alone\n"
    "         --listen ADDRESS         default 127.0.0.1:4010\n"
    "         --delay-ms N             before the first byte\n"
    "         --token-delay-ms N       between a stream's events\n"
    "         --words N                length of answers\n"
    "       farthing --version | --help\n"
    "\n"
    "SIGHUP reloads the configuration and reopens the cost log; SIGTERM and SIGINT drain,\n"
    "a second one ends at once. Exit status: 0, 1 when it cannot run, 2 for wrong options.\n";

static int fail_usage(const char *what, const char *word) {
    fprintf(stderr, "farthing: %s%s%s\n%s", what, word != NULL ? ": " : "", word != NULL ? word : "",
            usage);
    return 2;
}

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static const struct config *load(const char *path) {
    struct buffer messages = {0};
    const struct config *config = config_load(path, &messages);
    if (messages.len > 0)
        fwrite(messages.ptr, 1, messages.len, stderr);
    buffer_free(&messages);
    for (size_t i = 0; config != NULL && i < config->warnings.count; i++)
        fprintf(stderr, "%.*s\n", SLICE_ARG(config->warnings.items[i]));
    return config;
}

static int test_config(const char *path) {
    const struct config *config = load(path);
    if (config == NULL)
        return 1;
    struct error err;
    bool ok = process_check(config, &err); // the files that it names
    if (ok)
        printf("%s: the configuration is valid\n", path);
    else
        fprintf(stderr, "%s: %s\n", path, err.text);
    config_unref(config);
    return ok ? 0 : 1;
}

static int run(const char *path) {
    const struct config *config = load(path);
    if (config == NULL)
        return 1;
    raise_file_limit();
    return process_run(config, path, NULL);
}

static int run_demo(void) {
    static const char directory[] = "farthing-data/demo";
    raise_file_limit();
    (void)mkdir("farthing-data", 0700);
    struct demo_mock *mock = demo_mock_start("127.0.0.1:0", &(struct mock_options){180, 15, 0});
    if (mock == NULL)
        return 1;
    struct buffer text = {0}, messages = {0};
    demo_config(&text, demo_mock_port(mock), directory);
    const struct config *config = config_load_text(buffer_slice(&text), "demo", &messages);
    if (messages.len > 0)
        fwrite(messages.ptr, 1, messages.len, stderr);
    static const char hello[] =
        "\n"
        "Farthing runs with a mock provider. In another terminal, twice (a miss, then a hit):\n"
        "\n"
        "  curl -si http://127.0.0.1:4000/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        "    -d '{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"What is a farthing?\"}]}'\n"
        "\n"
        "Add \"stream\":true for a stream, ask for \"mock-flaky\" to see a retry, and read the rows in\n"
        "  farthing-data/demo/cost.jsonl\n"
        "Metrics: http://127.0.0.1:4001/metrics    Stop: Ctrl-C\n\n";
    int code = config != NULL ? process_run(config, NULL, hello) : 1;
    demo_mock_stop(mock);
    buffer_free(&text);
    buffer_free(&messages);
    return code;
}

static bool number_option(const char *value, int64_t *out) {
    return value != NULL && slice_to_i64(slice_of(value), out) && *out >= 0;
}

static int run_mock(int argc, char **argv) {
    const char *listen = "127.0.0.1:4010";
    struct mock_options options = {0};
    for (int i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool ok = value != NULL;
        if (strcmp(argv[i], "--listen") == 0)
            listen = value;
        else if (strcmp(argv[i], "--delay-ms") == 0)
            ok = number_option(value, &options.delay_ms);
        else if (strcmp(argv[i], "--token-delay-ms") == 0)
            ok = number_option(value, &options.token_delay_ms);
        else if (strcmp(argv[i], "--words") == 0)
            ok = number_option(value, &options.answer_words);
        else
            return fail_usage("unknown option", argv[i]);
        if (!ok)
            return fail_usage("this option needs a value", argv[i]);
    }
    raise_file_limit();
    struct demo_mock *mock = demo_mock_start(listen, &options);
    if (mock == NULL)
        return 1;
    printf("the mock provider listens on port %u\n", demo_mock_port(mock));
    fflush(stdout);
    process_wait_for_signal();
    demo_mock_stop(mock);
    return 0;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); // a closed connection is an error value of the write
    const char *file = NULL;
    bool test = false;
    if (argc >= 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "demo") == 0)
        return run_demo();
    if (argc >= 2 && strcmp(argv[1], "mock") == 0)
        return run_mock(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("farthing %s\n", FARTHING_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "-t") == 0)
            test = true;
        else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            file = argv[++i];
        else
            return fail_usage("unknown option", argv[i]);
    }
    if (file == NULL)
        return fail_usage("no configuration was given", NULL);
    return test ? test_config(file) : run(file);
}
