// What routing by a model is worth: as text, as JSON, as a picture.
#include <errno.h>
#include <math.h>

#include "ctl_learn.h"

// Of a request, when a share of all goes to the large model; always-large is 1.
static double cost_of(const struct ctl_proof *p, double share) {
    return (share * p->large_price + (1 - share) * p->small_price) / p->large_price;
}

// Of the gap between the models; NAN: there is none.
static double recovered(const struct ctl_proof *p, double quality) {
    double gap = p->proof.large_quality - p->proof.small_quality;
    return gap > 0 ? (quality - p->proof.small_quality) / gap : NAN;
}

static double share_at(size_t step) {
    return (double)step / LEARN_CURVE_STEPS;
}

// ----------------------------------------------------------------- text

static void print_percent(const char *before, double value, const char *after) {
    if (isnan(value))
        printf("%s-%s", before, after);
    else
        printf("%s%.1f %%%s", before, 100 * value, after);
}

static void print_head(const struct ctl_proof *p) {
    const struct learn_proof *f = &p->proof;
    printf("%zu rows", f->rows);
    if (p->folds > 0)
        printf(", each scored by a model that was trained without it (%u folds)", p->folds);
    printf("\n\n                 QUALITY     COST\n");
    printf("always small   %7.1f %%  %5.1f %%\n", 100 * f->small_quality, 100 * cost_of(p, 0));
    printf("always large   %7.1f %%  %5.1f %%\n", 100 * f->large_quality, 100 * cost_of(p, 1));
    printf("by the model   %7.1f %%  %5.1f %%   score >= %.3f: %.1f %% to the large model\n\n",
           100 * f->quality, 100 * cost_of(p, f->share), f->threshold, 100 * f->share);
    if (isnan(f->apgr)) {
        printf("The large model is not better than the small one here: nothing to route for.\n");
        return;
    }
    printf("APGR %.3f (by chance 0.500)", f->apgr);
    if (p->folds > 0)
        printf(", mean of the folds %.3f, spread %.3f", p->mean, p->spread);
    print_percent("\nCPT(50 %) ", f->cpt50, "");
    print_percent(", CPT(80 %) ", f->cpt80, " of the calls to the large model\n");
}

static void print_confusion(const struct learn_proof *f) {
    static const char *const needs[] = {"either model", "the large one", "the small one",
                                        "neither"};
    printf("\nGOOD ENOUGH       SENT SMALL  SENT LARGE\n");
    for (size_t i = 0; i < FARTHING_COUNT(needs); i++)
        printf("%-16s  %10zu  %10zu\n", needs[i], f->sent_small[i], f->sent_large[i]);
}

static void print_curve(const struct ctl_proof *p) {
    printf("\nTO THE LARGE     COST  QUALITY  BY CHANCE  GAP RECOVERED\n");
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i += LEARN_CURVE_STEPS / 10) {
        double share = share_at(i), quality = p->proof.curve[i];
        double chance = p->proof.small_quality +
                        share * (p->proof.large_quality - p->proof.small_quality);
        printf("%10.0f %%  %5.1f %%  %5.1f %%    %5.1f %%", 100 * share, 100 * cost_of(p, share),
               100 * quality, 100 * chance);
        print_percent("        ", recovered(p, quality), "\n");
    }
}

void ctl_proof_print(const struct ctl_proof *p) {
    print_head(p);
    print_confusion(&p->proof);
    print_curve(p);
}

// ----------------------------------------------------------------- JSON

static void put(struct json_writer *w, const char *name, double value) {
    char text[32];
    json_key(w, slice_of(name));
    if (isnan(value)) {
        json_put_null(w);
        return;
    }
    int n = snprintf(text, sizeof text, "%.6f", value);
    json_put_raw(w, slice_make(text, (size_t)n));
}

static void put_whole(struct json_writer *w, const char *name, uint64_t value) {
    json_key(w, slice_of(name));
    json_put_u64(w, value);
}

static void put_sent(struct json_writer *w, const char *name, const size_t counts[4]) {
    static const char *const needs[] = {"both_ok", "large_only", "small_only", "neither"};
    json_key(w, slice_of(name));
    json_object_begin(w);
    for (size_t i = 0; i < FARTHING_COUNT(needs); i++)
        put_whole(w, needs[i], counts[i]);
    json_object_end(w);
}

static void put_point(struct json_writer *w, const struct ctl_proof *p, double share,
                      double quality) {
    put(w, "large_share", share);
    put(w, "cost", cost_of(p, share));
    put(w, "quality", quality);
    put(w, "gap_recovered", recovered(p, quality));
}

static void put_folds(struct json_writer *w, const struct ctl_proof *p) {
    json_key(w, SLICE("folds"));
    json_object_begin(w);
    put_whole(w, "count", p->folds);
    put_whole(w, "seed", p->seed);
    put(w, "apgr_mean", p->mean);
    put(w, "apgr_spread", p->spread);
    json_object_end(w);
}

static void put_ends(struct json_writer *w, const struct ctl_proof *p) {
    json_key(w, SLICE("always_small"));
    json_object_begin(w);
    put_point(w, p, 0, p->proof.small_quality);
    json_object_end(w);
    json_key(w, SLICE("always_large"));
    json_object_begin(w);
    put_point(w, p, 1, p->proof.large_quality);
    json_object_end(w);
    json_key(w, SLICE("best"));
    json_object_begin(w);
    put(w, "threshold", p->proof.threshold);
    put_point(w, p, p->proof.share, p->proof.quality);
    put_sent(w, "sent_small", p->proof.sent_small);
    put_sent(w, "sent_large", p->proof.sent_large);
    json_object_end(w);
}

void ctl_proof_print_json(const struct ctl_proof *p) {
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    put_whole(&w, "rows", p->proof.rows);
    put_whole(&w, "unused", p->unused);
    put(&w, "apgr", p->proof.apgr);
    put(&w, "cpt50", p->proof.cpt50);
    put(&w, "cpt80", p->proof.cpt80);
    if (p->folds > 0)
        put_folds(&w, p);
    put_ends(&w, p);
    json_key(&w, SLICE("curve"));
    json_array_begin(&w);
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++) {
        json_object_begin(&w);
        put_point(&w, p, share_at(i), p->proof.curve[i]);
        json_object_end(&w);
    }
    json_array_end(&w);
    json_object_end(&w);
    buffer_append_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
    buffer_free(&out);
}

// -------------------------------------------------------------- picture

enum { WIDTH = 640, HEIGHT = 420, LEFT = 64, TOP = 24, RIGHT = 24, BOTTOM = 56 };

// Quality from the least to the most that the curve sees, with a margin.
struct scale {
    double least, most;
};

static struct scale scale_of(const struct learn_proof *f) {
    struct scale s = {f->curve[0], f->curve[0]};
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++) {
        s.least = fmin(s.least, f->curve[i]);
        s.most = fmax(s.most, f->curve[i]);
    }
    double margin = fmax((s.most - s.least) * 0.08, 0.005);
    return (struct scale){s.least - margin, s.most + margin};
}

static double x_of(double share) {
    return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct scale *s, double quality) {
    return TOP + (s->most - quality) / (s->most - s->least) * (HEIGHT - TOP - BOTTOM);
}

static void put_axes(struct buffer *out, const struct ctl_proof *p, const struct scale *s) {
    for (int i = 0; i <= 5; i++) {
        double share = i / 5.0, quality = s->least + share * (s->most - s->least);
        buffer_printf(out,
                      "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
                      "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f %%</text>\n"
                      "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d %%</text>\n",
                      LEFT, y_of(s, quality), WIDTH - RIGHT, y_of(s, quality), LEFT - 6,
                      y_of(s, quality) + 4, 100 * quality, x_of(share), HEIGHT - BOTTOM + 16,
                      i * 20);
    }
    buffer_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">share of requests sent to "
                       "the large model</text>\n<text x=\"%d\" y=\"%d\">good answers; ",
                  (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, LEFT, TOP - 8);
    if (isnan(p->proof.apgr))
        BUFFER_LITERAL(out, "the large model is not better</text>\n");
    else
        buffer_printf(out, "APGR %.3f</text>\n", p->proof.apgr);
}

static void put_picture(struct buffer *out, const struct ctl_proof *p) {
    const struct learn_proof *f = &p->proof;
    struct scale s = scale_of(f);
    buffer_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  WIDTH, HEIGHT);
    put_axes(out, p, &s);
    buffer_printf(out,
                  "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#999\" "
                  "stroke-dasharray=\"5 4\"><title>by chance</title></line>\n<polyline "
                  "fill=\"none\" stroke=\"#1659a5\" stroke-width=\"2\" points=\"",
                  x_of(0), y_of(&s, f->curve[0]), x_of(1),
                  y_of(&s, f->curve[LEARN_CURVE_STEPS]));
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++)
        buffer_printf(out, "%.1f,%.1f ", x_of(share_at(i)), y_of(&s, f->curve[i]));
    buffer_printf(out,
                  "\"/>\n<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#c4441c\"><title>score "
                  "at least %.3f: %.1f %% good, cost %.1f %% of always-large</title></circle>\n"
                  "</svg>\n",
                  x_of(f->share), y_of(&s, f->quality), f->threshold, 100 * f->quality,
                  100 * cost_of(p, f->share));
}

bool ctl_proof_write_svg(const struct ctl_proof *p, const char *path) {
    struct buffer out = {0};
    put_picture(&out, p);
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fwrite(out.ptr, 1, out.len, file) == out.len;
    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "farthingctl: %s: %s\n", path, strerror(errno));
    buffer_free(&out);
    return good;
}
