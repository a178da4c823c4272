// What the commands do: ask, and show the answer.
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "ctl.h"

// ------------------------------------------------------------------------- asking

bool ctl_parse(struct json_doc *doc, const struct buffer *answer) {
    struct error err;
    if (json_parse(doc, buffer_slice(answer), NULL, &err))
        return true;
    fprintf(stderr, "farthingctl: the answer is not valid: %s\n", err.text);
    return false;
}

typedef void show(const struct ctl_command *command, const struct json_doc *doc);

static int ask_and_show(const struct ctl_command *command, const struct ctl_call *call,
                        const char *path, const struct buffer *body, show *print) {
    struct buffer answer = {0};
    if (!ctl_ask(call->admin, path, body, &answer))
        return CTL_FAILED;
    struct json_doc *doc = json_doc_new();
    bool ok = true;
    if (call->json)
        fwrite(answer.ptr, 1, answer.len, stdout);
    else if ((ok = ctl_parse(doc, &answer)))
        print(command, doc);
    json_doc_free(doc);
    buffer_free(&answer);
    return ok ? CTL_OK : CTL_FAILED;
}

static void show_members(const struct ctl_command *command, const struct json_doc *doc) {
    (void)command;
    ctl_print_members(doc, JSON_ROOT);
}

int ctl_run_status(const struct ctl_command *command, struct ctl_call *call) {
    return ask_and_show(command, call, command->path, NULL, show_members);
}

static void show_list(const struct ctl_command *command, const struct json_doc *doc) {
    for (const struct ctl_table *t = command->tables; t->list != NULL; t++) {
        json_ref list = json_get(doc, JSON_ROOT, slice_of(t->list));
        if (list == JSON_NONE)
            continue;
        if (t > command->tables)
            putchar('\n');
        ctl_print_table(doc, list, t->columns);
    }
    if (json_is_true(doc, json_get(doc, JSON_ROOT, SLICE("incomplete"))))
        fputs("farthingctl: not all workers answered in time: there may be more\n", stderr);
}

// RFC 3986: whatever is not unreserved.
static void put_encoded(struct buffer *out, const char *text) {
    for (; *text != '\0'; text++) {
        bool plain = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                     (*text >= 'A' && *text <= 'Z') || strchr("-._~", *text) != NULL;
        if (plain)
            buffer_append_char(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

void ctl_put_param(struct buffer *path, const char *name, const char *value) {
    if (value == NULL)
        return;
    buffer_append_char(path, slice_find_char(buffer_slice(path), '?') < 0 ? '?' : '&');
    buffer_printf(path, "%s=", name);
    put_encoded(path, value);
}

int ctl_run_list(const struct ctl_command *command, struct ctl_call *call) {
    struct buffer path = {0};
    buffer_append(&path, slice_of(command->path));
    ctl_put_param(&path, "tenant", call->tenant);
    buffer_append_char(&path, '\0');
    int code = ask_and_show(command, call, path.ptr, NULL, show_list);
    buffer_free(&path);
    return code;
}

// ------------------------------------------------------------------------- orders

static void show_deed(const struct ctl_command *command, const struct json_doc *doc) {
    (void)command;
    ctl_print_deed(doc, JSON_ROOT);
    if (!json_is_true(doc, json_get(doc, JSON_ROOT, SLICE("saved"))))
        fputs("farthingctl: it is in force, but not known to be on disk: a restart may undo it\n",
              stderr);
}

static void put_member(struct json_writer *w, const char *name, const char *value) {
    if (value == NULL)
        return;
    json_key(w, slice_of(name));
    json_put_string(w, slice_of(value));
}

int ctl_refuse_words(const struct ctl_command *command) {
    fprintf(stderr, "usage: farthingctl %s %s%s\n", command->name[0], command->name[1],
            command->arguments);
    return CTL_USAGE;
}

// "5 usd" without its quotes is two words.
static void join_amount(struct ctl_call *call, char *room, size_t size) {
    size_t n = call->word_count;
    if (n < 2 || !slice_equal_nocase(slice_of(call->words[n - 1]), SLICE("usd")))
        return;
    snprintf(room, size, "%s usd", call->words[n - 2]);
    call->words[n - 2] = room;
    call->word_count--;
}

int ctl_run_budget(const struct ctl_command *command, struct ctl_call *call) {
    bool has_amount = strcmp(command->name[1], "top-up") == 0;
    char amount[64];
    struct buffer body = {0};
    struct json_writer w;
    if (has_amount)
        join_amount(call, amount, sizeof amount);
    size_t n = call->word_count - has_amount;
    if (n < 2 || n > 3)
        return ctl_refuse_words(command);
    json_write_start(&w, &body);
    json_object_begin(&w);
    put_member(&w, "tenant", call->words[0]);
    put_member(&w, "budget", call->words[1]);
    put_member(&w, "value", n == 3 ? call->words[2] : NULL);
    put_member(&w, "amount", has_amount ? call->words[n] : NULL);
    put_member(&w, "reason", call->reason);
    json_object_end(&w);
    int code = ask_and_show(command, call, command->path, &body, show_deed);
    buffer_free(&body);
    return code;
}

int ctl_run_breaker(const struct ctl_command *command, struct ctl_call *call) {
    struct buffer body = {0};
    struct json_writer w;
    json_write_start(&w, &body);
    json_object_begin(&w);
    put_member(&w, "name", call->words[0]);
    put_member(&w, "reason", call->reason);
    json_object_end(&w);
    int code = ask_and_show(command, call, command->path, &body, show_deed);
    buffer_free(&body);
    return code;
}

int ctl_run_purge(const struct ctl_command *command, struct ctl_call *call) {
    struct buffer body = {0};
    struct json_writer w;
    json_write_start(&w, &body);
    json_object_begin(&w);
    put_member(&w, "tenant", call->tenant);
    put_member(&w, "feature", call->feature);
    put_member(&w, "prompt_version", call->prompt_version);
    put_member(&w, "corpus_version", call->corpus_version);
    put_member(&w, "route", call->route);
    put_member(&w, "key", call->key);
    put_member(&w, "reason", call->reason);
    json_object_end(&w);
    int code = ask_and_show(command, call, command->path, &body, show_deed);
    buffer_free(&body);
    return code;
}

int ctl_run_feedback(const struct ctl_command *command, struct ctl_call *call) {
    bool good = strcmp(call->words[1], "good") == 0;
    struct buffer body = {0};
    struct json_writer w;
    if (!good && strcmp(call->words[1], "bad") != 0)
        return ctl_refuse_words(command);
    json_write_start(&w, &body);
    json_object_begin(&w);
    put_member(&w, "request_id", call->words[0]);
    json_key(&w, SLICE("ok"));
    json_put_bool(&w, good);
    put_member(&w, "reason", call->reason);
    json_object_end(&w);
    int code = ask_and_show(command, call, command->path, &body, show_members);
    buffer_free(&body);
    return code;
}

// --------------------------------------------------------------------------- keys

enum { KEY_ROOM = 4096 };

// Typed without being shown.
static size_t read_hidden(char *key, size_t room) {
    struct termios before, hidden;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        hidden = before;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Key: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    size_t n = fgets(key, (int)room, stdin) != NULL ? strlen(key) : 0;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    return n;
}

// One line; its hash is all that leaves this process.
static bool hash_stdin(char out[7 + 2 * DIGEST_LEN + 1]) {
    char key[KEY_ROOM];
    uint8_t digest[DIGEST_LEN];
    struct slice line = slice_make(key, read_hidden(key, sizeof key));
    bool whole = line.len < sizeof key - 1;
    while (line.len > 0 && strchr("\r\n", line.ptr[line.len - 1]) != NULL)
        line.len--;
    if (!whole || line.len == 0) {
        fputs("farthingctl: standard input must hold the key in one line\n", stderr);
        return false;
    }
    digest_sha256(line, digest);
    memcpy(out, "sha256:", 7);
    digest_hex(digest, DIGEST_LEN, out + 7);
    explicit_bzero(key, sizeof key);
    return true;
}

int ctl_run_key(const struct ctl_command *command, struct ctl_call *call) {
    char hashed[7 + 2 * DIGEST_LEN + 1];
    const char *key = call->word_count > 0 ? call->words[0] : NULL;
    struct buffer body = {0};
    struct json_writer w;
    if ((key != NULL) + call->from_stdin + (call->tenant != NULL) != 1)
        return ctl_refuse_words(command);
    if (key != NULL && strncmp(key, "sha256:", 7) != 0) { // perhaps the key itself: not repeated
        fputs("farthingctl: name the key by sha256:HEX (farthingctl keys shows how it begins), or "
              "give it on standard input with --stdin\n",
              stderr);
        return CTL_USAGE;
    }
    if (call->from_stdin) {
        if (!hash_stdin(hashed))
            return CTL_FAILED;
        key = hashed;
    }
    json_write_start(&w, &body);
    json_object_begin(&w);
    put_member(&w, "key", key);
    put_member(&w, "tenant", call->tenant);
    put_member(&w, "reason", call->reason);
    json_object_end(&w);
    int code = ask_and_show(command, call, command->path, &body, show_deed);
    buffer_free(&body);
    return code;
}
