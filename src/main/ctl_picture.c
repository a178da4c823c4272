// Pictures: what every one of them has. Without a library and without a font of its own.
#include "ctl_picture.h"

#include <errno.h>
#include <math.h>

enum { WIDTH = 640, HEIGHT = 420, LEFT = 64, TOP = 24, RIGHT = 24, BOTTOM = 56, STEPS = 5 };

double ctl_picture_x(const struct ctl_picture *p, double x) {
    return LEFT + x / p->x_most * (WIDTH - LEFT - RIGHT);
}

double ctl_picture_y(const struct ctl_picture *p, double y) {
    return TOP + (p->y_most - y) / (p->y_most - p->y_least) * (HEIGHT - TOP - BOTTOM);
}

void ctl_picture_fit(struct ctl_picture *p, double least, double most) {
    double margin = fmax((most - least) * 0.08, 0.005);
    p->y_least = least - margin;
    p->y_most = most + margin;
}

void ctl_picture_begin(struct ctl_picture *p, const char *title, const char *x_title) {
    buffer_printf(&p->out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  WIDTH, HEIGHT);
    for (int i = 0; i <= STEPS; i++) {
        double x = p->x_most * i / STEPS;
        double quality = p->y_least + (p->y_most - p->y_least) * i / STEPS;
        double y = ctl_picture_y(p, quality);
        buffer_printf(&p->out,
                      "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
                      "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f %%</text>\n"
                      "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f %%</text>\n",
                      LEFT, y, WIDTH - RIGHT, y, LEFT - 6, y + 4, 100 * quality,
                      ctl_picture_x(p, x), HEIGHT - BOTTOM + 16, 100 * x);
    }
    buffer_printf(&p->out,
                  "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
                  "<text x=\"%d\" y=\"%d\">%s</text>\n",
                  (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_title, LEFT, TOP - 8, title);
}

void ctl_picture_dashes(struct ctl_picture *p, double x1, double y1, double x2, double y2,
                        const char *title) {
    buffer_printf(&p->out,
                  "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#999\" "
                  "stroke-dasharray=\"5 4\"><title>%s</title></line>\n",
                  ctl_picture_x(p, x1), ctl_picture_y(p, y1), ctl_picture_x(p, x2),
                  ctl_picture_y(p, y2), title);
}

// The label stands on the side that has room.
void ctl_picture_dot(struct ctl_picture *p, double x, double y, const char *color,
                     const char *label, const char *title) {
    bool right = x > p->x_most / 2;
    buffer_printf(&p->out,
                  "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>%s</title></circle>\n"
                  "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                  ctl_picture_x(p, x), ctl_picture_y(p, y), color, title,
                  ctl_picture_x(p, x) + (right ? -8 : 8), ctl_picture_y(p, y) + 4,
                  right ? "end" : "start", label);
}

bool ctl_picture_write(struct ctl_picture *p, const char *path) {
    BUFFER_LITERAL(&p->out, "</svg>\n");
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fwrite(p->out.ptr, 1, p->out.len, file) == p->out.len;
    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "farthingctl: %s: %s\n", path, strerror(errno));
    buffer_free(&p->out);
    return good;
}
