// farthingctl train, classify, eval.
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl_learn.h"

// ---------------------------------------------------------------- train

static enum ctl_row_state learn_row(void *arg, const struct ctl_row *row) {
    struct learn_rows *rows = arg;
    if (row->state != CTL_ROW_GOOD)
        return row->state;
    for (size_t i = 0; i < row->piece_count; i++)
        learn_rows_text(rows, row->pieces[i]);
    return learn_rows_end(rows, row->small_ok, row->large_ok) ? CTL_ROW_GOOD : CTL_ROW_LEFT_OUT;
}

static bool read_all(const struct ctl_call *call, struct learn_rows *rows,
                     struct ctl_row_counts *counts) {
    if (!ctl_rows_read(call->words, call->word_count, true, learn_row, rows, counts))
        return false;
    if (ctl_rows_report(counts, "used"))
        return true;
    fputs("farthingctl: there is no row with a prompt, small_ok and large_ok, or "
          "outcomes\n", stderr);
    return false;
}

static bool write_all(int file, struct slice bytes) {
    while (bytes.len > 0) {
        ssize_t n = write(file, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return false;
        bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return fsync(file) == 0;
}

// Whole or not at all: a running proxy may load it at any moment.
static bool write_file(const char *path, struct slice bytes) {
    struct buffer name = {0};
    buffer_printf(&name, "%s.%ld.new", path, (long)getpid());
    buffer_append_char(&name, '\0');
    int file = open(name.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = file >= 0 && write_all(file, bytes);
    if (file >= 0 && close(file) != 0)
        good = false;
    good = good && rename(name.ptr, path) == 0;
    if (!good) {
        fprintf(stderr, "farthingctl: %s: %s\n", path, strerror(errno));
        if (file >= 0)
            unlink(name.ptr);
    }
    buffer_free(&name);
    return good;
}

static void print_trained(const struct ctl_call *call, const struct ctl_row_counts *counts,
                          const struct learn_model_info *info, size_t bytes) {
    double rows = (double)info->rows;
    if (call->json)
        printf("{\"rows\":%llu,\"unused\":%llu,\"assumed\":%llu,\"small_ok\":%llu,"
               "\"large_ok\":%llu,\"strength\":%g,\"bytes\":%zu}\n",
               (unsigned long long)info->rows, (unsigned long long)ctl_rows_unused(counts),
               (unsigned long long)counts->assumed,
               (unsigned long long)info->small_ok, (unsigned long long)info->large_ok,
               info->strength, bytes);
    else
        printf("%s: learned from %llu rows; the small model was good enough in %.1f %%, the large "
               "one in %.1f %%\n",
               call->out, (unsigned long long)info->rows, 100 * (double)info->small_ok / rows,
               100 * (double)info->large_ok / rows);
}

int ctl_run_train(const struct ctl_command *command, struct ctl_call *call) {
    struct ctl_row_counts counts = {0};
    struct buffer bytes = {0};
    struct error err;
    if (call->out == NULL)
        return ctl_refuse_words(command);
    struct learn_rows *rows = learn_rows_new();
    struct learn_model *model = NULL;
    bool good = read_all(call, rows, &counts);
    if (good && (model = learn_train(rows, NULL, 0, &err)) == NULL) {
        fprintf(stderr, "farthingctl: %s\n", err.text);
        good = false;
    }
    if (good) {
        struct learn_model_info info = learn_model_info(model);
        learn_model_write(model, &bytes);
        good = write_file(call->out, buffer_slice(&bytes));
        if (good)
            print_trained(call, &counts, &info, bytes.len);
    }
    buffer_free(&bytes);
    learn_model_unref(model);
    learn_rows_free(rows);
    return good ? CTL_OK : CTL_FAILED;
}

// ------------------------------------------------------------- classify

static struct learn_model *load(const struct ctl_call *call) {
    struct error err;
    struct learn_model *model = learn_model_load(call->model, &err);
    if (model == NULL)
        fprintf(stderr, "farthingctl: %s\n", err.text);
    return model;
}

static struct learn_score score_row(const struct learn_model *model, const struct ctl_row *row) {
    struct learn_reading reading;
    learn_score_begin(&reading);
    for (size_t i = 0; i < row->piece_count; i++)
        learn_score_text(&reading, model, row->pieces[i]);
    return learn_score_end(&reading, model);
}

struct classifying {
    const struct learn_model *model;
    bool several; // files
    struct buffer text;
};

static enum ctl_row_state classify_row(void *arg, const struct ctl_row *row) {
    struct classifying *c = arg;
    struct json_writer w;
    buffer_clear(&c->text);
    json_write_start(&w, &c->text);
    json_object_begin(&w);
    if (c->several) {
        json_key(&w, SLICE("file"));
        json_put_string(&w, slice_of(row->file));
    }
    json_key(&w, SLICE("line"));
    json_put_u64(&w, row->line);
    if (row->id.len > 0) {
        json_key(&w, SLICE("id"));
        json_put_raw(&w, row->id);
    }
    if (row->state == CTL_ROW_GOOD) {
        char figures[160];
        struct learn_score s = score_row(c->model, row);
        int n = snprintf(figures, sizeof figures, "%.9f", s.score);
        json_key(&w, SLICE("score"));
        json_put_raw(&w, slice_make(figures, (size_t)n));
        n = snprintf(figures, sizeof figures, "{\"small\":%.6f,\"large\":%.6f}", s.p_small,
                     s.p_large);
        json_key(&w, SLICE("tiers"));
        json_put_raw(&w, slice_make(figures, (size_t)n));
    } else {
        json_key(&w, SLICE("error"));
        json_put_string(&w, slice_of(ctl_row_problem(row->state)));
    }
    json_object_end(&w);
    buffer_append_char(&c->text, '\n');
    fwrite(c->text.ptr, 1, c->text.len, stdout);
    return row->state;
}

static bool flush(void) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    fprintf(stderr, "farthingctl: standard output: %s\n", strerror(errno));
    return false;
}

int ctl_run_classify(const struct ctl_command *command, struct ctl_call *call) {
    struct ctl_row_counts counts = {0};
    if (call->model == NULL)
        return ctl_refuse_words(command);
    struct learn_model *model = load(call);
    if (model == NULL)
        return CTL_FAILED;
    struct classifying c = {.model = model, .several = call->word_count > 1};
    bool good = ctl_rows_read(call->words, call->word_count, false, classify_row, &c, &counts);
    // Nothing but lines that are of no use is a mistake; no line at all is none.
    if (good && !ctl_rows_report(&counts, "classified") && ctl_rows_unused(&counts) > 0)
        good = false;
    good = flush() && good;
    buffer_free(&c.text);
    learn_model_unref(model);
    return good ? CTL_OK : CTL_FAILED;
}

// ----------------------------------------------------------------- eval

struct outcomes {
    const struct learn_model *model;
    struct learn_outcome *list;
    size_t count, cap;
};

static void add_outcome(struct outcomes *o, double score, bool small_ok, bool large_ok) {
    if (o->count == o->cap) {
        o->cap = o->cap * 2 + 64;
        o->list = base_realloc(o->list, o->cap * sizeof *o->list);
    }
    o->list[o->count++] = (struct learn_outcome){score, small_ok, large_ok};
}

static enum ctl_row_state judge_row(void *arg, const struct ctl_row *row) {
    struct outcomes *o = arg;
    if (row->state == CTL_ROW_GOOD)
        add_outcome(o, score_row(o->model, row).score, row->small_ok, row->large_ok);
    return row->state;
}

static bool judge_model(const struct ctl_call *call, struct outcomes *o, struct ctl_proof *p) {
    struct ctl_row_counts counts = {0};
    struct learn_model *model = load(call);
    if (model == NULL)
        return false;
    o->model = model;
    bool good = ctl_rows_read(call->words, call->word_count, true, judge_row, o, &counts);
    learn_model_unref(model);
    p->unused = ctl_rows_unused(&counts);
    p->assumed = counts.assumed;
    if (good && !ctl_rows_report(&counts, "used")) {
        fputs("farthingctl: there is no row with a prompt, small_ok and large_ok, or "
          "outcomes\n", stderr);
        good = false;
    }
    return good;
}

// One fold: trains without it, and scores it.
static bool judge_fold(const struct learn_rows *rows, const bool *ok, const uint8_t *folds,
                       unsigned fold, struct outcomes *o, double *apgr) {
    struct error err;
    struct learn_model *model = learn_train(rows, folds, fold, &err);
    struct outcomes own = {0};
    struct learn_proof proof;
    if (model == NULL) {
        fprintf(stderr, "farthingctl: fold %u: %s\n", fold, err.text);
        return false;
    }
    for (size_t i = 0; i < learn_rows_count(rows); i++)
        if (folds[i] == fold) {
            double score = learn_rows_score(rows, i, model).score;
            add_outcome(&own, score, ok[2 * i], ok[2 * i + 1]);
            add_outcome(o, score, ok[2 * i], ok[2 * i + 1]);
        }
    learn_prove(own.list, own.count, &proof);
    *apgr = proof.apgr;
    free(own.list);
    learn_model_unref(model);
    return true;
}

static void set_spread(struct ctl_proof *p) {
    double sum = 0, square = 0, n = 0;
    for (unsigned i = 0; i < p->folds; i++)
        if (!isnan(p->apgr[i])) {
            sum += p->apgr[i];
            n++;
        }
    p->mean = n > 0 ? sum / n : NAN;
    for (unsigned i = 0; i < p->folds; i++)
        if (!isnan(p->apgr[i]))
            square += (p->apgr[i] - p->mean) * (p->apgr[i] - p->mean);
    p->spread = n > 1 ? sqrt(square / (n - 1)) : NAN;
}

struct labelled {
    struct learn_rows *rows;
    bool *ok; // small and large, of each row
    size_t cap;
};

static enum ctl_row_state keep_row(void *arg, const struct ctl_row *row) {
    struct labelled *l = arg;
    size_t at = 2 * learn_rows_count(l->rows);
    enum ctl_row_state state = learn_row(l->rows, row);
    if (state != CTL_ROW_GOOD)
        return state;
    if (at + 2 > l->cap) {
        l->cap = l->cap * 2 + 128;
        l->ok = base_realloc(l->ok, l->cap * sizeof *l->ok);
    }
    l->ok[at] = row->small_ok;
    l->ok[at + 1] = row->large_ok;
    return state;
}

static bool cross_validate(const struct ctl_call *call, struct outcomes *o, struct ctl_proof *p) {
    struct ctl_row_counts counts = {0};
    struct labelled l = {.rows = learn_rows_new()};
    bool good = ctl_rows_read(call->words, call->word_count, true, keep_row, &l, &counts);
    p->unused = ctl_rows_unused(&counts);
    p->assumed = counts.assumed;
    if (good)
        ctl_rows_report(&counts, "used");
    if (good && learn_rows_count(l.rows) < p->folds) {
        fprintf(stderr, "farthingctl: %zu rows are too few for %u folds\n",
                learn_rows_count(l.rows), p->folds);
        good = false;
    }
    uint8_t *folds = base_alloc(learn_rows_count(l.rows) + 1);
    learn_rows_fold(l.rows, p->folds, p->seed, folds);
    for (unsigned fold = 0; fold < p->folds && good; fold++)
        good = judge_fold(l.rows, l.ok, folds, fold, o, &p->apgr[fold]);
    set_spread(p);
    free(folds);
    free(l.ok);
    learn_rows_free(l.rows);
    return good;
}

enum { FOLDS_DEFAULT = 5, FOLDS_MOST = 100 };

static bool read_price(const char *name, const char *text, double *out) {
    char *end;
    if (text == NULL)
        return true;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out > 0 && *out < 1e9)
        return true;
    fprintf(stderr, "farthingctl: %s: \"%s\" is no price; expected a number above 0\n", name, text);
    return false;
}

static bool read_whole(const char *name, const char *text, uint64_t least, uint64_t most,
                       uint64_t *out) {
    if (text == NULL || (slice_to_u64(slice_of(text), out) && *out >= least && *out <= most))
        return true;
    fprintf(stderr, "farthingctl: %s: \"%s\" is no number from %llu to %llu\n", name, text,
            (unsigned long long)least, (unsigned long long)most);
    return false;
}

static bool read_settings(const struct ctl_call *call, struct ctl_proof *p) {
    uint64_t folds = FOLDS_DEFAULT;
    if (call->model != NULL && (call->folds != NULL || call->seed != NULL)) {
        fputs("farthingctl: --folds and --seed are for training; with --model nothing is trained\n",
              stderr);
        return false;
    }
    if (!read_whole("--folds", call->folds, 2, FOLDS_MOST, &folds) ||
        !read_whole("--seed", call->seed, 0, UINT64_MAX, &p->seed) ||
        !read_price("--small-price", call->small_price, &p->small_price) ||
        !read_price("--large-price", call->large_price, &p->large_price))
        return false;
    p->folds = call->model == NULL ? (unsigned)folds : 0;
    return true;
}

int ctl_run_eval(const struct ctl_command *command, struct ctl_call *call) {
    struct ctl_proof p = {.small_price = 1, .large_price = 20};
    double apgr[FOLDS_MOST];
    struct outcomes o = {0};
    (void)command;
    p.apgr = apgr;
    if (!read_settings(call, &p))
        return CTL_USAGE;
    bool good = p.folds > 0 ? cross_validate(call, &o, &p) : judge_model(call, &o, &p);
    if (good) {
        learn_prove(o.list, o.count, &p.proof);
        if (call->json)
            ctl_proof_print_json(&p);
        else
            ctl_proof_print(&p);
        good = flush();
        if (call->svg != NULL)
            good = ctl_proof_write_svg(&p, call->svg) && good;
    }
    free(o.list);
    return good ? CTL_OK : CTL_FAILED;
}
