#include "tools/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/printable.h"
#include "tools/html.h"

enum {
	LEFT = 46, TOP = 40, BOTTOM = 40, /* margins, pixels */
	INSIDE = 8,                       /* between the frame and the first and last x */
	LINE = 14,                        /* between names below each other */
	POINTS = 40,                      /* with more, a curve has no points */
	NAMES = 16,                       /* at the curves' ends, at most */
};

static const double letter = 6.6; /* mean width of one, pixels */

/* --- ticks ------------------------------------------------------------------------------------------------------- */

/* Multiples of `step` within low .. high, and a little beyond for what rounding did. */
static struct thaw_ticks multiples(double low, double high, double step)
{
	struct thaw_ticks ticks = {.step = step};
	double first = ceil(low / step - 1e-6);

	for (double scaled = step; ticks.decimals < 12 && fabs(scaled - round(scaled)) > 1e-6 * scaled; scaled *= 10)
		ticks.decimals++;
	for (int i = 0; i < THAW_TICKS && first + i <= high / step + 1e-6; i++)
		ticks.at[ticks.count++] = (first + i) * step;
	return ticks;
}

struct thaw_ticks thaw_ticks_linear(double low, double high, int wanted)
{
	double raw = (high - low) / wanted, magnitude = pow(10, floor(log10(raw))), part = raw / magnitude;

	return multiples(low, high, magnitude * (part < 1.5 ? 1 : part < 3 ? 2 : part < 7 ? 5 : 10));
}

struct thaw_ticks thaw_ticks_log(double low, double high)
{
	int first = (int)ceil(log10(low) - 1e-6), last = (int)floor(log10(high) + 1e-6);
	int every = (last - first) / 8 + 1;
	struct thaw_ticks ticks = {.step = pow(10, every), .decimals = -1};

	for (int power = first; power <= last; power += every)
		ticks.at[ticks.count++] = pow(10, power);
	return ticks;
}

/* --- scales ------------------------------------------------------------------------------------------------------ */

/* Where values lie in the picture. */
struct scale {
	double low, high;  /* values, or their logarithms */
	double from, to;   /* pixels */
	bool log;
	struct thaw_ticks ticks;
};

static double place(const struct scale *scale, double value)
{
	double v = scale->log ? log10(value) : value;

	return scale->from + (v - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
}

/* The least and the largest finite number of all series; false if there is none. */
static bool find_range(const struct thaw_plot *plot, bool of_y, double *low_out, double *high_out)
{
	double low = INFINITY, high = -INFINITY;

	for (int s = 0; s < plot->series_count; s++)
		for (int i = 0; i < plot->series[s].count; i++) {
			double value = of_y ? plot->series[s].y[i] : plot->series[s].x[i];

			if (isfinite(value) && isfinite(plot->series[s].y[i])) {
				low = fmin(low, value);
				high = fmax(high, value);
			}
		}
	*low_out = low;
	*high_out = high;
	return low <= high;
}

/* The y axis begins and ends with a tick, and at 0 where that is not far away. */
static struct scale y_scale(const struct thaw_plot *plot, double low, double high)
{
	struct scale scale = {.from = plot->height - BOTTOM,
	                      .to = TOP,
	                      .log = plot->log_from > 0 && low > 0 && high >= plot->log_from * low};
	double step;

	if (scale.log) {
		scale.low = floor(log10(low) + 1e-6);
		scale.high = fmax(ceil(log10(high) - 1e-6), scale.low + 1);
		scale.ticks = thaw_ticks_log(pow(10, scale.low), pow(10, scale.high));
		return scale;
	}
	if (low > 0 && low < 0.4 * high)
		low = 0;
	if (!(low < high)) {
		high = low > 0 ? low : low < 0 ? 0 : 1;
		low = low < 0 ? low : 0;
	}
	step = thaw_ticks_linear(low, high, (plot->height - TOP - BOTTOM) / 40 + 1).step;
	scale.low = floor(low / step + 1e-6) * step;
	scale.high = ceil(high / step - 1e-6) * step;
	if (plot->unit_y && scale.high > 1)
		scale.high = 1;
	scale.ticks = multiples(scale.low, scale.high, step);
	return scale;
}

/* x are whole numbers. */
static struct scale x_scale(double low, double high, int left, int right)
{
	struct scale scale = {.low = low, .high = high, .from = left + INSIDE, .to = right - INSIDE};
	double step;

	if (!(low < high)) {
		scale.low = low - 1;
		scale.high = low + 1;
		scale.ticks = multiples(low, low, 1);
		return scale;
	}
	step = thaw_ticks_linear(low, high, (right - left) / 60).step;
	scale.ticks = multiples(low, high, step < 1 ? 1 : step);
	return scale;
}

/* --- parts of the picture ---------------------------------------------------------------------------------------- */

static void add_number(struct thaw_text *svg, double value, const struct thaw_ticks *ticks)
{
	if (ticks->decimals < 0 || ticks->decimals > 4 || fabs(value) >= 1e6)
		thaw_text_add(svg, "%g", value);
	else
		thaw_text_add(svg, "%.*f", ticks->decimals, value);
}

static void add_text(struct thaw_text *svg, double x, double y, const char *style, const char *anchor, const char *text)
{
	thaw_text_add(svg, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, style, anchor);
	thaw_html_add(svg, text);
	thaw_text_add(svg, "</text>\n");
}

/* Phases: every second one shaded, with a name where it has room. */
static void add_bands(struct thaw_text *svg, const struct thaw_plot *plot, const struct scale *x)
{
	double left = x->from - INSIDE, right = x->to + INSIDE;

	for (int i = 0; i < plot->bands_count; i++) {
		const struct thaw_band *band = &plot->bands[i];
		double from = fmax(place(x, band->from), left), to = fmin(place(x, band->to), right);

		if (!(from < to))
			continue;
		if (i % 2 == 1)
			thaw_text_add(svg, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" class=\"band\"/>\n", from,
			              TOP - LINE - 2, to - from, plot->height - BOTTOM - TOP + LINE + 2);
		if (letter * thaw_characters(band->name) < to - from - 4)
			add_text(svg, from + 4, TOP - 5, "band-name", "start", band->name);
	}
}

static void add_axes(struct thaw_text *svg, const struct thaw_plot *plot, const struct scale *x, const struct scale *y)
{
	double left = x->from - INSIDE, right = x->to + INSIDE, bottom = y->from;
	bool mark_is_left = isfinite(plot->mark) && place(x, plot->mark) < (left + right) / 2;

	for (int i = 0; i < y->ticks.count; i++) {
		double at = place(y, y->ticks.at[i]);

		thaw_text_add(svg, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", left, right, at,
		              at, at < bottom - 0.5 ? "grid" : "axis");
		thaw_text_add(svg, "<text x=\"%.1f\" y=\"%.1f\" class=\"tick\" text-anchor=\"end\">", left - 6, at + 4);
		add_number(svg, y->ticks.at[i], &y->ticks);
		thaw_text_add(svg, "</text>\n");
	}
	for (int i = 0; i < x->ticks.count; i++) {
		thaw_text_add(svg, "<text x=\"%.1f\" y=\"%.1f\" class=\"tick\" text-anchor=\"middle\">",
		              place(x, x->ticks.at[i]), bottom + 16);
		add_number(svg, x->ticks.at[i], &x->ticks);
		thaw_text_add(svg, "</text>\n");
	}
	add_text(svg, 0, 12, "title", "start", plot->title);
	add_text(svg, mark_is_left ? right : left, bottom + 32, "tick", mark_is_left ? "end" : "start", plot->x_name);
	if (isfinite(plot->mark)) {
		double at = place(x, plot->mark);

		thaw_text_add(svg, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\" class=\"mark\"/>\n", at, at, TOP,
		              bottom + 3);
		add_text(svg, at, bottom + 32, "mark-name", "middle", plot->mark_name);
	}
}

static void add_curve(struct thaw_text *svg, const struct thaw_plot *plot, const struct thaw_series *series,
                      const struct scale *x, const struct scale *y)
{
	bool down = false; /* the pen */

	thaw_text_add(svg, "<g class=\"%s\"><path d=\"", series->style);
	for (int i = 0; i < series->count; i++) {
		double at_x = place(x, series->x[i]), at_y = place(y, series->y[i]);

		if (!isfinite(series->y[i])) {
			down = false;
			continue;
		}
		if (down && plot->steps)
			thaw_text_add(svg, "H%.1fV%.1f", at_x, at_y);
		else
			thaw_text_add(svg, "%c%.1f %.1f", down ? 'L' : 'M', at_x, at_y);
		down = true;
	}
	thaw_text_add(svg, "\"/>\n");
	for (int i = 0; i < series->count && series->count <= POINTS && !plot->steps; i++)
		if (isfinite(series->y[i])) {
			thaw_text_add(svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>", place(x, series->x[i]),
			              place(y, series->y[i]));
			thaw_html_add(svg, series->name);
			thaw_text_add(svg, " %.4g, %s %g</title></circle>\n", series->y[i], plot->x_name, series->x[i]);
		}
	thaw_text_add(svg, "</g>\n");
}

/* --- names at the ends ------------------------------------------------------------------------------------------- */

struct end {
	const struct thaw_series *series;
	double x, y; /* pixels */
};

static int compare_ends(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	return (x->y > y->y) - (x->y < y->y);
}

/* The ends of the curves that have names, from top to bottom, pushed apart so that names do not cover each other. */
static int find_ends(const struct thaw_plot *plot, const struct scale *x, const struct scale *y, struct end ends[NAMES])
{
	double limit = y->from + LINE;
	int count = 0;

	for (int s = 0; s < plot->series_count && count < NAMES; s++) {
		const struct thaw_series *series = &plot->series[s];
		int last = series->count - 1;

		while (last >= 0 && !isfinite(series->y[last]))
			last--;
		if (last >= 0 && series->name[0])
			ends[count++] = (struct end){series, place(x, series->x[last]), place(y, series->y[last])};
	}
	qsort(ends, (size_t)count, sizeof *ends, compare_ends);
	for (int i = 1; i < count; i++)
		ends[i].y = fmax(ends[i].y, ends[i - 1].y + LINE);
	for (int i = count - 1; i >= 0; i--) {
		ends[i].y = fmin(ends[i].y, limit);
		limit = ends[i].y - LINE;
	}
	return count;
}

static void add_names(struct thaw_text *svg, const struct thaw_plot *plot, const struct scale *x, const struct scale *y)
{
	struct end ends[NAMES];
	int count = find_ends(plot, x, y, ends);

	for (int i = 0; i < count; i++) {
		struct thaw_shown name = thaw_show(ends[i].series->name);

		thaw_text_add(svg, "<g class=\"%s\">", ends[i].series->style);
		add_text(svg, x->to + INSIDE + 4, ends[i].y + 4, "name", "start", name.text);
		thaw_text_add(svg, "</g>");
	}
}

/* Room for the longest of the names, and for a short one where there is none: the axes of plots below each other end
 * at the same place. */
static int right_margin(const struct thaw_plot *plot)
{
	int longest = 5;

	for (int s = 0; s < plot->series_count; s++) {
		int characters = thaw_characters(thaw_show(plot->series[s].name).text);

		longest = characters > longest ? characters : longest;
	}
	return (int)(letter * longest) + 12;
}

void thaw_plot_add(struct thaw_text *svg, const struct thaw_plot *plot)
{
	double low_x, high_x, low_y, high_y;
	struct scale x, y;

	if (!find_range(plot, false, &low_x, &high_x) || !find_range(plot, true, &low_y, &high_y)) {
		thaw_text_add(svg, "<p class=\"note\">nothing to draw for %s</p>\n", plot->title);
		return;
	}
	x = x_scale(low_x, high_x, LEFT, plot->width - right_margin(plot));
	y = y_scale(plot, low_y, high_y);
	thaw_text_add(svg, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"", plot->width,
	              plot->height, plot->width, plot->height);
	thaw_html_add(svg, plot->title);
	thaw_text_add(svg, "\">\n");
	add_bands(svg, plot, &x);
	add_axes(svg, plot, &x, &y);
	for (int s = plot->series_count - 1; s >= 0; s--)
		add_curve(svg, plot, &plot->series[s], &x, &y);
	add_names(svg, plot, &x, &y);
	thaw_text_add(svg, "</svg>\n");
}
