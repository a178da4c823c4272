// GET /v1/models: what can be asked for here, in OpenAI's shape. Answered from
// the file; it costs nothing, and leaves a row all the same.
#include "exchange.h"

static void put_model(struct json_writer *w, struct slice id, struct slice owner) {
    json_object_begin(w);
    json_key(w, SLICE("id"));
    json_put_string(w, id);
    json_key(w, SLICE("object"));
    json_put_string(w, SLICE("model"));
    json_key(w, SLICE("created"));
    json_put_i64(w, 0);
    json_key(w, SLICE("owned_by"));
    json_put_string(w, owner);
    json_object_end(w);
}

static void put_list(const struct config *c, struct buffer *out) {
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("object"));
    json_put_string(&w, SLICE("list"));
    json_key(&w, SLICE("data"));
    json_array_begin(&w);
    if (c->tier_count > 0)
        put_model(&w, SLICE("auto"), SLICE("farthing"));
    for (size_t i = 0; i < c->tier_count; i++)
        put_model(&w, c->tiers[i].name, SLICE("farthing"));
    for (size_t i = 0; i < c->model_count; i++)
        put_model(&w, c->models[i].name, c->models[i].provider->name);
    json_array_end(&w);
    json_object_end(&w);
}

static bool put_one(const struct config *c, struct slice id, struct buffer *out) {
    const struct config_model *model = config_model_find(c, id);
    const struct config_tier *tier = config_tier_find(c, id);
    bool automatic = slice_equal(id, SLICE("auto")) && c->tier_count > 0;
    if (model == NULL && tier == NULL && !automatic)
        return false;
    struct json_writer w;
    json_write_start(&w, out);
    put_model(&w, id, model != NULL ? model->provider->name : SLICE("farthing"));
    return true;
}

// %2F stands for the slash in names, where an SDK escapes it.
static struct slice unescape_slash(struct exchange *x, struct slice s) {
    ptrdiff_t at = slice_find(s, SLICE("%2F"));
    if (at < 0)
        at = slice_find(s, SLICE("%2f"));
    if (at < 0)
        return s;
    return arena_printf(x->arena, "%.*s/%.*s", (int)at, s.ptr,
                        SLICE_ARG(slice_from(s, (size_t)at + 3)));
}

void reply_models(struct exchange *x) {
    struct slice prefix = slice_of(api_endpoint_path(API_MODELS));
    struct slice rest = slice_from(http_request_path(x->request), prefix.len);
    struct buffer body = {0};
    if (rest.len <= 1) {
        put_list(x->config, &body);
    } else {
        struct slice id = unescape_slash(x, slice_from(rest, 1));
        if (!put_one(x->config, id, &body)) {
            (void)exchange_refuse(x, API_ERROR_MODEL_NOT_FOUND, SLICE("model"),
                                  "The model \"%.*s\" is not known here.",
                                  (int)(id.len < 200 ? id.len : 200), id.ptr);
            return;
        }
    }
    x->status = x->reply_status = 200;
    x->content_type = SLICE("application/json");
    station_settle(x);
    reply_whole(x, 200, buffer_slice(&body));
    buffer_free(&body);
    station_record(x);
}
