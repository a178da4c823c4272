// A picture of quality against something, as SVG: axes with their steps, lines, dots.
#ifndef FARTHING_MAIN_CTL_PICTURE_H
#define FARTHING_MAIN_CTL_PICTURE_H

#include "ctl.h"

// Shares of one on both axes: x from 0 to x_most, y from y_least to y_most.
struct ctl_picture {
    struct buffer out;
    double x_most, y_least, y_most;
};

// x_most, y_least and y_most are set; the titles are our own words.
void ctl_picture_begin(struct ctl_picture *p, const char *title, const char *x_title);
double ctl_picture_x(const struct ctl_picture *p, double x); // in the picture's units
double ctl_picture_y(const struct ctl_picture *p, double y);
void ctl_picture_dashes(struct ctl_picture *p, double x1, double y1, double x2, double y2,
                        const char *title);
void ctl_picture_dot(struct ctl_picture *p, double x, double y, const char *color,
                     const char *label, const char *title);
// A margin around the least and the most that is to be seen.
void ctl_picture_fit(struct ctl_picture *p, double least, double most);
// Ends it and writes the file. False: it was said why. Frees the picture.
bool ctl_picture_write(struct ctl_picture *p, const char *path) FARTHING_MUST_CHECK;

#endif
