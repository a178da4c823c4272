// Caps come from the route, the task and the tenant; the lowest of each counts,
// because each of the three was promised to hold.
#include "farthing/route.h"

static void lower(int64_t *into, int64_t cap) {
    if (cap != CONFIG_UNSET && (*into == CONFIG_UNSET || cap < *into))
        *into = cap;
}

static void lower_all(struct config_caps *into, const struct config_caps *caps) {
    lower(&into->max_output_tokens, caps->max_output_tokens);
    lower(&into->max_input_tokens, caps->max_input_tokens);
    lower(&into->max_cost, caps->max_cost);
    lower(&into->max_n, caps->max_n);
    lower(&into->max_tools, caps->max_tools);
}

struct config_caps route_caps(const struct config_route *route, const struct config_task *task,
                              const struct config_tenant *tenant) {
    struct config_caps caps = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                               CONFIG_UNSET};
    if (route != NULL)
        lower_all(&caps, &route->caps);
    if (task != NULL)
        lower_all(&caps, &task->caps);
    if (tenant != NULL)
        lower_all(&caps, &tenant->caps);
    return caps;
}
