#include "tools/draw.h"

#include <math.h>
#include <stddef.h>

enum { STROKES = 4 };

struct colour {
	double channel[3]; /* 0 .. 255 */
};

/* A picture's random choices. Its own coordinates are pixels; those of the thing are turned and scaled to radius 1. */
struct scene {
	double x, y, radius;         /* the thing's middle and size */
	double cosine, sine;         /* its turn */
	double phase, period;        /* its texture, in units of the radius */
	struct colour ink[2];        /* its two colours */
	struct colour background[2]; /* at the two ends of the gradient */
	double along_x, along_y;     /* direction of gradient and light, per pixel */
	double light, slope;         /* brightness in the middle, and its change along the direction */
	double noise;                /* amplitude */
	struct stroke {
		double x, y, dx, dy, half_width;
		struct colour colour;
	} stroke[STROKES];
};

static double clamp(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

/* A triangle wave of period 1 between -1 and 1. No sine is taken of a pixel, so that every libm draws the same. */
static double wave(double t)
{
	return 4 * fabs(t - floor(t) - 0.5) - 1;
}

/* Signed distances to the edge of a shape, negative inside. */

static double disc(double x, double y)
{
	return sqrt(x * x + y * y) - 1;
}

static double square(double x, double y)
{
	return fmax(fabs(x), fabs(y)) - 0.85;
}

static double triangle(double x, double y)
{
	return fmax(-y, 0.5 * y + 0.86602540378443865 * fabs(x)) - 0.6;
}

static double ring(double x, double y)
{
	return fabs(sqrt(x * x + y * y) - 0.72) - 0.26;
}

/* Five tips at radius 1.15, the corners between them at 0.5: the line from the nearest tip to the corner beside it. */
static double star(double x, double y)
{
	static const double tips[5][2] = {{1, 0},
	                                  {0.30901699437494742, 0.95105651629515357},
	                                  {0.30901699437494742, -0.95105651629515357},
	                                  {-0.80901699437494742, 0.58778525229247313},
	                                  {-0.80901699437494742, -0.58778525229247313}};
	const double tip = 1.15, corner_x = 0.5 * 0.80901699437494742, corner_y = 0.5 * 0.58778525229247313;
	const double normal_x = corner_y, normal_y = tip - corner_x;
	double along = -2, across;

	for (int i = 0; i < 5; i++)
		along = fmax(along, x * tips[i][0] + y * tips[i][1]);
	across = sqrt(fmax(x * x + y * y - along * along, 0));
	return ((along - tip) * normal_x + across * normal_y) / sqrt(normal_x * normal_x + normal_y * normal_y);
}

/* Textures: below 0 the first ink, above 0 the second. Distances to the edge, roughly, for a period of 1. */

static double stripes(double x, double y)
{
	(void)y;
	return wave(x) / 4;
}

static double checks(double x, double y)
{
	double a = wave(x / 2) / 2, b = wave(y / 2) / 2;

	return a * b > 0 ? fmin(fabs(a), fabs(b)) : -fmin(fabs(a), fabs(b));
}

static double dots(double x, double y)
{
	double a = x - floor(x) - 0.5, b = y - floor(y) - 0.5;

	return sqrt(a * a + b * b) - 0.3;
}

static double plain(double x, double y)
{
	(void)x, (void)y;
	return -1;
}

static double circles(double x, double y)
{
	return wave(sqrt(x * x + y * y)) / 4;
}

static const struct thing {
	const char *name;
	double (*shape)(double x, double y);
	double (*texture)(double x, double y);
} things[] = {
	{"disc", disc, stripes}, {"ring", ring, plain},        {"square", square, checks},
	{"star", star, circles}, {"triangle", triangle, dots},
};

const char *thaw_draw_name(int i)
{
	return i >= 0 && (size_t)i < sizeof things / sizeof *things ? things[i].name : NULL;
}

/* A colour of about this brightness. */
static struct colour draw_colour(struct thaw_random *random, double low, double high)
{
	double brightness = thaw_random_between(random, low, high);
	struct colour colour;

	for (int c = 0; c < 3; c++)
		colour.channel[c] = brightness + thaw_random_between(random, -45, 45);
	return colour;
}

static void draw_stroke(struct thaw_random *random, double height, double width, struct stroke *stroke)
{
	stroke->x = thaw_random_between(random, 0, width);
	stroke->y = thaw_random_between(random, 0, height);
	stroke->dx = thaw_random_between(random, -0.4, 0.4) * width;
	stroke->dy = thaw_random_between(random, -0.4, 0.4) * height;
	stroke->half_width = thaw_random_between(random, 0.006, 0.03) * height;
	stroke->colour = draw_colour(random, 60, 200);
}

static struct scene draw_scene(struct thaw_random *random, double height, double width)
{
	double shorter = fmin(height, width), turn = thaw_random_between(random, 0, 6.283185307179586);
	double toward = thaw_random_between(random, 0, 6.283185307179586);
	struct scene s = {
		.radius = thaw_random_between(random, 0.26, 0.44) * shorter,
		.cosine = cos(turn),
		.sine = sin(turn),
		.phase = thaw_random_uniform(random),
		.period = thaw_random_between(random, 0.5, 0.65),
		.along_x = cos(toward) / width,
		.along_y = sin(toward) / height,
		.light = thaw_random_between(random, 0.65, 1.1),
		.slope = thaw_random_between(random, 0, 0.5),
		.noise = thaw_random_between(random, 4, 25),
	};

	s.x = thaw_random_between(random, s.radius, width - s.radius);
	s.y = thaw_random_between(random, s.radius, height - s.radius);
	s.background[0] = draw_colour(random, 60, 130);
	s.background[1] = draw_colour(random, 60, 130);
	s.ink[0] = draw_colour(random, 170, 225);
	s.ink[1] = draw_colour(random, 20, 70);
	for (int i = 0; i < STROKES; i++)
		draw_stroke(random, height, width, &s.stroke[i]);
	return s;
}

/* Lays `over` on `colour`; `distance` is to the edge, in pixels, negative inside: the edge is a pixel wide. */
static void blend(struct colour *colour, const struct colour *over, double distance)
{
	double cover = clamp(0.5 - distance, 0, 1);

	for (int c = 0; c < 3; c++)
		colour->channel[c] += cover * (over->channel[c] - colour->channel[c]);
}

static double stroke_distance(const struct stroke *s, double x, double y)
{
	double length = s->dx * s->dx + s->dy * s->dy + 1e-9;
	double t = clamp(((x - s->x) * s->dx + (y - s->y) * s->dy) / length, 0, 1);
	double a = x - s->x - t * s->dx, b = y - s->y - t * s->dy;

	return sqrt(a * a + b * b) - s->half_width;
}

/* The colour at a point before light and noise; `t` is how far along the gradient it lies, -1 .. 1. */
static struct colour colour_at(const struct scene *s, const struct thing *thing, double x, double y, double t)
{
	double u = ((x - s->x) * s->cosine + (y - s->y) * s->sine) / s->radius;
	double v = ((y - s->y) * s->cosine - (x - s->x) * s->sine) / s->radius;
	double edge = thing->shape(u, v) * s->radius;
	struct colour colour = s->background[0], thing_colour = s->ink[1];

	for (int c = 0; c < 3; c++)
		colour.channel[c] += (0.5 + 0.5 * t) * (s->background[1].channel[c] - colour.channel[c]);
	for (int i = 0; i < STROKES; i++)
		blend(&colour, &s->stroke[i].colour, stroke_distance(&s->stroke[i], x, y));
	if (edge < 1) {
		blend(&thing_colour, &s->ink[0],
		      thing->texture(u / s->period + s->phase, v / s->period) * s->period * s->radius);
		blend(&colour, &thing_colour, edge);
	}
	return colour;
}

void thaw_draw(struct thaw_random *random, int i, struct thaw_image *image)
{
	const struct scene s = draw_scene(random, image->height, image->width);
	uint8_t *to = image->pixels;

	for (int row = 0; row < image->height; row++)
		for (int column = 0; column < image->width; column++) {
			double x = column + 0.5, y = row + 0.5;
			double t = (2 * x - image->width) * s.along_x + (2 * y - image->height) * s.along_y;
			struct colour colour = colour_at(&s, &things[i], x, y, clamp(t, -1, 1));
			uint32_t bits = thaw_random_u32(random); /* ten for each channel */

			for (int c = 0; c < 3; c++, bits >>= 10) {
				double noise = s.noise * ((bits & 1023) / 512.0 - 1);

				*to++ = (uint8_t)clamp(colour.channel[c] * (s.light + s.slope * t) + noise + 0.5, 0, 255);
			}
		}
}
