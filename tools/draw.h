/*
 * Small pictures of five things to tell apart: each has a shape and a texture of its own, while place, size, turn,
 * colours, light and background say nothing about it. A small network needs some epochs for them.
 */
#ifndef THAW_TOOLS_DRAW_H
#define THAW_TOOLS_DRAW_H

#include "base/random.h"
#include "io/image.h"

/* The name of the i-th thing, NULL past the last. */
const char *thaw_draw_name(int i);

/* Draws thing `i` into image->pixels, which has room for image->height * image->width * 3 bytes. */
void thaw_draw(struct thaw_random *random, int i, struct thaw_image *image);

#endif
