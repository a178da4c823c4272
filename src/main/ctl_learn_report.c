// What routing by a model is worth: as text, as JSON, as a picture.
#include <math.h>

#include "ctl_learn.h"
#include "ctl_picture.h"

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
    put_whole(&w, "assumed", p->assumed);
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

static void fit(struct ctl_picture *out, const struct learn_proof *f) {
    double least = f->curve[0], most = f->curve[0];
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++) {
        least = fmin(least, f->curve[i]);
        most = fmax(most, f->curve[i]);
    }
    ctl_picture_fit(out, least, most);
}

static void put_curve(struct ctl_picture *out, const struct learn_proof *f) {
    BUFFER_LITERAL(&out->out, "<polyline fill=\"none\" stroke=\"#1659a5\" stroke-width=\"2\" points=\"");
    for (size_t i = 0; i <= LEARN_CURVE_STEPS; i++)
        buffer_printf(&out->out, "%.1f,%.1f ", ctl_picture_x(out, share_at(i)),
                      ctl_picture_y(out, f->curve[i]));
    BUFFER_LITERAL(&out->out, "\"/>\n");
}

bool ctl_proof_write_svg(const struct ctl_proof *p, const char *path) {
    const struct learn_proof *f = &p->proof;
    struct ctl_picture out = {.x_most = 1};
    char title[64] = "good answers; the large model is not better", best[128];
    if (!isnan(f->apgr))
        snprintf(title, sizeof title, "good answers; APGR %.3f", f->apgr);
    snprintf(best, sizeof best, "score at least %.3f: %.1f %% good, cost %.1f %% of always-large",
             f->threshold, 100 * f->quality, 100 * cost_of(p, f->share));
    fit(&out, f);
    ctl_picture_begin(&out, title, "share of requests sent to the large model");
    ctl_picture_dashes(&out, 0, f->curve[0], 1, f->curve[LEARN_CURVE_STEPS], "by chance");
    put_curve(&out, f);
    ctl_picture_dot(&out, f->share, f->quality, "#c4441c", "the threshold", best);
    return ctl_picture_write(&out, path);
}
