// farthingctl savings: what routing saved, as tables and as a picture.
#include <math.h>
#include <stdlib.h>

#include "ctl_picture.h"

static const struct ctl_column point_columns[] = {
    {"", "policy", CTL_TEXT, NULL},
    {"COST USD", "cost_usd", CTL_RIGHT, NULL},
    {"OF ALWAYS LARGE", "cost_share", CTL_SHARE, NULL},
    {"GOOD ANSWERS", "quality", CTL_SHARE, NULL},
    {"KNOWN FROM", "quality_from", CTL_TEXT, NULL},
    {0},
};
static const struct ctl_column tier_columns[] = {
    {"TIER", "tier", CTL_TEXT, NULL},
    {"CHOSEN", "requests", CTL_RIGHT, NULL},
    {"JUDGED", "judged", CTL_RIGHT, NULL},
    {"GOOD BY ITSELF", "good_share", CTL_SHARE, NULL},
    {"ANSWERED", "answered", CTL_RIGHT, NULL},
    {0},
};
static const struct ctl_column arm_columns[] = {
    {"ARM", "arm", CTL_TEXT, NULL},
    {"REQUESTS", "requests", CTL_RIGHT, NULL},
    {"JUDGED", "judged", CTL_RIGHT, NULL},
    {"GOOD", "good_share", CTL_SHARE, NULL},
    {0},
};
static const struct ctl_column shadow_columns[] = {
    {"SHADOW AT", "tier", CTL_TEXT, NULL},
    {"REQUESTS", "requests", CTL_RIGHT, NULL},
    {"JUDGED", "judged", CTL_RIGHT, NULL},
    {"GOOD", "good_share", CTL_SHARE, NULL},
    {"COST USD", "cost_usd", CTL_RIGHT, NULL},
    {0},
};
static const struct ctl_table route_tables[] = {
    {"points", point_columns},
    {"tiers", tier_columns},
    {"arms", arm_columns},
    {"shadows", shadow_columns},
    {0},
};

// NAN: null.
static double share_of(const struct json_doc *doc, json_ref object, const char *name) {
    json_ref value = json_get(doc, object, slice_of(name));
    if (json_is_absent(doc, value) || json_type_of(doc, value) != JSON_NUMBER)
        return NAN;
    char text[32];
    struct slice raw = json_raw(doc, value);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(raw));
    return strtod(text, NULL);
}

static int64_t number_of(const struct json_doc *doc, json_ref object, const char *name) {
    int64_t value;
    return json_i64(doc, json_get(doc, object, slice_of(name)), &value) ? value : 0;
}

// ------------------------------------------------------------------------- text

// "REQUESTS  27, 12 while its routing was off" and what else there is to say.
static void print_head(const struct json_doc *doc, json_ref route) {
    struct buffer out = {0};
    int64_t unknown = number_of(doc, route, "unknown"), off = number_of(doc, route, "while_off");
    BUFFER_LITERAL(&out, "route ");
    ctl_put_value(&out, doc, json_get(doc, route, SLICE("route")));
    buffer_printf(&out, ": for %lld requests Farthing chose the tier",
                  (long long)number_of(doc, route, "requests"));
    if (unknown > 0)
        buffer_printf(&out, ", %lld of them without a known price", (long long)unknown);
    if (off > 0)
        buffer_printf(&out, "; %lld came while its routing was off", (long long)off);
    buffer_append_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
    buffer_free(&out);
}

static void print_amount(const struct json_doc *doc, json_ref route, const char *before,
                         const char *name) {
    struct buffer out = {0};
    ctl_put_value(&out, doc, json_get(doc, route, slice_of(name)));
    printf("%s%.*s USD", before, SLICE_ARG(buffer_slice(&out)));
    buffer_free(&out);
}

static void print_net(const struct json_doc *doc, json_ref route) {
    double share = share_of(doc, route, "net_saving_share"),
           escalated = share_of(doc, route, "escalated_share");
    print_amount(doc, route, "net saving ", "net_saving_usd");
    if (!isnan(share))
        printf(", %.1f %% of always large", 100 * share);
    print_amount(doc, route, "; paid for rejected answers ", "retry_cost_usd");
    print_amount(doc, route, ", for the classifier ", "classifier_cost_usd");
    if (!isnan(escalated))
        printf("; %.1f %% escalated, %lld attempts beyond the first", 100 * escalated,
               (long long)number_of(doc, route, "retries"));
    putchar('\n');
}

static void print_route(const struct json_doc *doc, json_ref route) {
    print_head(doc, route);
    if (number_of(doc, route, "requests") == 0 &&
        json_count(doc, json_get(doc, route, SLICE("shadows"))) == 0)
        return;
    print_net(doc, route);
    for (const struct ctl_table *t = route_tables; t->list != NULL; t++) {
        json_ref list = json_get(doc, route, slice_of(t->list));
        if (json_count(doc, list) == 0)
            continue;
        putchar('\n');
        ctl_print_table(doc, list, t->columns);
    }
}

static void print_all(const struct json_doc *doc) {
    json_ref routes = json_get(doc, JSON_ROOT, SLICE("routes"));
    bool some = false;
    for (json_ref route = json_first(doc, routes); route != JSON_NONE;
         route = json_next(doc, routes, route)) {
        if (route != json_first(doc, routes))
            putchar('\n');
        print_route(doc, route);
        some = some || number_of(doc, route, "requests") > 0;
    }
    if (json_is_true(doc, json_get(doc, JSON_ROOT, SLICE("truncated")))) {
        struct buffer since = {0};
        ctl_put_value(&since, doc, json_get(doc, JSON_ROOT, SLICE("since")));
        fprintf(stderr,
                "farthingctl: there are more rows in this window than are read: these are the "
                "newest, since %.*s\n",
                SLICE_ARG(buffer_slice(&since)));
        buffer_free(&since);
    }
    if (!some)
        fputs("farthingctl: in this window there is no request for which Farthing chose the tier: "
              "it does where a client asks for \"auto\", or the route says override_model = true, "
              "and there is a classifier\n",
              stderr);
}

// ---------------------------------------------------------------------- picture

struct point {
    char label[32];
    double cost, quality;
};

static size_t read_points(const struct json_doc *doc, json_ref route, struct point *out,
                          size_t room) {
    json_ref points = json_get(doc, route, SLICE("points"));
    size_t count = 0;
    for (json_ref ref = json_first(doc, points); ref != JSON_NONE && count < room;
         ref = json_next(doc, points, ref)) {
        struct point *p = &out[count];
        struct buffer label = {0};
        p->cost = share_of(doc, ref, "cost_share");
        p->quality = share_of(doc, ref, "quality");
        ctl_put_value(&label, doc, json_get(doc, ref, SLICE("policy")));
        snprintf(p->label, sizeof p->label, "%.*s", SLICE_ARG(buffer_slice(&label)));
        for (char *c = p->label; *c != '\0'; c++)
            if (*c == '_' || *c == '<' || *c == '&')
                *c = ' ';
        buffer_free(&label);
        count += !isnan(p->cost) && !isnan(p->quality);
    }
    return count;
}

static bool draw(const struct json_doc *doc, const char *path) {
    json_ref routes = json_get(doc, JSON_ROOT, SLICE("routes"));
    struct point points[8];
    struct ctl_picture picture = {.x_most = 1};
    double least = 1, most = 0;
    if (json_count(doc, routes) != 1) {
        fputs("farthingctl: --svg draws one route: name it with --route\n", stderr);
        return false;
    }
    size_t count =
        read_points(doc, json_first(doc, routes), points, FARTHING_COUNT(points));
    if (count == 0) {
        fputs("farthingctl: there is nothing to draw: no answer was judged, or no price is "
              "known\n", stderr);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        least = fmin(least, points[i].quality);
        most = fmax(most, points[i].quality);
        picture.x_most = fmax(picture.x_most, points[i].cost);
    }
    ctl_picture_fit(&picture, least, most);
    ctl_picture_begin(&picture, "good answers", "cost, of what the largest tier would have cost");
    if (count > 1)
        ctl_picture_dashes(&picture, points[0].cost, points[0].quality, points[count - 1].cost,
                           points[count - 1].quality, "by chance");
    for (size_t i = 0; i < count; i++) {
        char title[512];
        snprintf(title, sizeof title, "%s: %.1f %% good, cost %.1f %% of always-large",
                 points[i].label, 100 * points[i].quality, 100 * points[i].cost);
        ctl_picture_dot(&picture, points[i].cost, points[i].quality,
                        strcmp(points[i].label, "routed") == 0 ? "#c4441c" : "#1659a5",
                        points[i].label, title);
    }
    return ctl_picture_write(&picture, path);
}

// ------------------------------------------------------------------------ asking

int ctl_run_savings(const struct ctl_command *command, struct ctl_call *call) {
    struct buffer path = {0}, answer = {0};
    buffer_append(&path, slice_of(command->path));
    ctl_put_param(&path, "route", call->route);
    ctl_put_param(&path, "window", call->window);
    buffer_append_char(&path, '\0');
    bool ok = ctl_ask(call->admin, path.ptr, NULL, &answer);
    buffer_free(&path);
    if (!ok)
        return CTL_FAILED;
    struct json_doc *doc = json_doc_new();
    ok = ctl_parse(doc, &answer);
    if (ok && call->json)
        fwrite(answer.ptr, 1, answer.len, stdout);
    else if (ok)
        print_all(doc);
    if (ok && call->svg != NULL)
        ok = draw(doc, call->svg);
    json_doc_free(doc);
    buffer_free(&answer);
    return ok ? CTL_OK : CTL_FAILED;
}
