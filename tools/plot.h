/*
 * Line charts as SVG, in the manner of Tufte: few lines, round numbers on the axes, names at the curves' ends instead
 * of a legend.
 *
 * Colours are left to the page's style sheet. Its classes: `axis`, `grid`, `tick`, `band`, `band-name`, `mark`; a
 * curve, its points and its name have the class of its series.
 */
#ifndef THAW_TOOLS_PLOT_H
#define THAW_TOOLS_PLOT_H

#include "base/text.h"

enum { THAW_TICKS = 16 };

/* Round numbers for an axis: multiples of 1, 2 or 5 times a power of ten within low .. high, about `wanted` of them
 * (Heckbert, "Nice Numbers for Graph Labels", Graphics Gems, 1990). */
struct thaw_ticks {
	int count;
	double at[THAW_TICKS];
	double step;
	int decimals; /* that their labels need; -1: those of each as it is */
};
struct thaw_ticks thaw_ticks_linear(double low, double high, int wanted);

/* Powers of ten within low .. high, which are > 0; every second, third, ... where there are too many. */
struct thaw_ticks thaw_ticks_log(double low, double high);

struct thaw_series {
	const char *name;    /* at the end of the curve; "": without. Any text */
	const char *style;   /* class: "train" */
	const double *x, *y; /* (count) x rising; where y is not finite the curve is broken */
	int count;
};

/* A part of the x axis: a phase. */
struct thaw_band {
	double from, to;
	const char *name;
};

struct thaw_plot {
	const char *title;    /* above the y axis: "loss" */
	const char *x_name;   /* "epoch" */
	int width, height;    /* pixels */
	double log_from;      /* logarithmic where the largest y is so many times the least, which is > 0; 0: never */
	bool unit_y;          /* y are shares: the axis ends at 1 at most */
	bool steps;           /* y holds until the next x, and jumps */
	const struct thaw_series *series;
	int series_count;     /* the first are drawn last, above the others */
	const struct thaw_band *bands;
	int bands_count;
	double mark;          /* a vertical line at this x; NAN: none */
	const char *mark_name;
};

/* Appends an svg element; nothing but a line that says so when no y is finite. */
void thaw_plot_add(struct thaw_text *svg, const struct thaw_plot *plot);

#endif
