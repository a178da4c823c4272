// From answers to chances, and to places among all answers. Both are made from what
// models said of rows that they had not seen: of its own rows a model is too sure.
#include <math.h>
#include <stdlib.h>

#include "learn_rows.h"

enum { NEWTON_STEPS = 50 };

struct fit {
    double slope, offset;
};

static double chance(struct fit f, double x) {
    return 1 / (1 + exp(-(f.slope * x + f.offset)));
}

// Cross entropy. It is convex; the small term on the slope keeps one class, or
// answers that part the classes, from going to infinity.
#define SLOPE_WEIGHT 1e-3
static double loss(struct fit f, const double *x, const bool *ok, size_t n, const double goal[2]) {
    double sum = SLOPE_WEIGHT * f.slope * f.slope;
    for (size_t i = 0; i < n; i++) {
        double z = f.slope * x[i] + f.offset;
        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z))) - goal[ok[i]] * z;
    }
    return sum;
}

// The Newton step; false: there is none.
static bool step(struct fit f, const double *x, const bool *ok, size_t n, const double goal[2],
                 struct fit *out) {
    double gs = 2 * SLOPE_WEIGHT * f.slope, go = 0, ss = 2 * SLOPE_WEIGHT, so = 0, oo = 1e-9;
    for (size_t i = 0; i < n; i++) {
        double p = chance(f, x[i]), d = p - goal[ok[i]], v = p * (1 - p);
        gs += d * x[i];
        go += d;
        ss += v * x[i] * x[i];
        so += v * x[i];
        oo += v;
    }
    double det = ss * oo - so * so;
    if (!(det > 1e-18))
        return false;
    out->slope = (gs * oo - go * so) / det;
    out->offset = (go * ss - gs * so) / det;
    return true;
}

void learn_calibrate(const double *answers, const bool *ok, size_t count, double *slope,
                     double *offset) {
    size_t good = 0;
    for (size_t i = 0; i < count; i++)
        good += ok[i];
    // Platt's goals: nobody is ever quite sure.
    double with = (double)good, without = (double)(count - good);
    const double goal[2] = {1 / (without + 2), (with + 1) / (with + 2)};
    const double plain = log((with + 1) / (without + 1));
    struct fit f = {0, plain}, d;
    double now = loss(f, answers, ok, count, goal);
    for (int i = 0; i < NEWTON_STEPS && step(f, answers, ok, count, goal, &d); i++) {
        double by = 1, then = 0;
        struct fit next = f;
        for (; by > 1e-6; by /= 2) {
            next = (struct fit){f.slope - by * d.slope, f.offset - by * d.offset};
            then = loss(next, answers, ok, count, goal);
            if (then < now)
                break;
        }
        bool done = !(then < now - 1e-9 * fabs(now));
        if (then < now) {
            f = next;
            now = then;
        }
        if (done)
            break;
    }
    // An answer that means the contrary was learned from chance.
    if (!(f.slope > 0))
        f = (struct fit){0, plain};
    *slope = f.slope;
    *offset = f.offset;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void learn_quantiles(double *values, size_t count, double knots[LEARN_KNOTS]) {
    if (count > 0)
        qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < LEARN_KNOTS; i++) {
        double at = ((double)i + 0.5) / LEARN_KNOTS * (double)count - 0.5;
        if (count == 0 || at <= 0) {
            knots[i] = count == 0 ? 0 : values[0];
            continue;
        }
        size_t below = (size_t)at;
        double part = at - (double)below;
        knots[i] = below + 1 < count ? values[below] + part * (values[below + 1] - values[below])
                                     : values[count - 1];
    }
}
