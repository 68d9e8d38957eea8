/*
 * Which classes are taken for which, from the label and the prediction of each picture.
 *
 * The matrix has a row for each label and a column for each prediction. Of its cells those that are not 0 are kept, so
 * that a thousand classes cost no million numbers.
 *
 *     recall     of the pictures of a class, the share that was found
 *     precision  of the pictures that were taken for a class, the share that belongs to it
 *     F1         the harmonic mean of both (van Rijsbergen 1979), 2 right / (pictures + taken for it)
 *     balanced accuracy: the mean recall of the classes that have pictures (Brodersen et al. 2010)
 *
 * Pure functions. What has nothing to divide by is NaN.
 */
#ifndef THAW_BASE_CONFUSION_H
#define THAW_BASE_CONFUSION_H

#include "base/text.h"

struct thaw_confusion_cell {
	int32_t label, predicted;
	int64_t count; /* >= 1 */
};

struct thaw_class_counts {
	int64_t pictures, predicted, right; /* with this label; taken for it; both */
};

struct thaw_confusion {
	int classes;
	int64_t pictures, right;
	struct thaw_class_counts *of;      /* (classes) */
	int64_t cells_count;
	struct thaw_confusion_cell *cells; /* (cells_count) by label, then by prediction */
};

/* Counts `count` pictures; labels and predictions are 0 .. classes - 1. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_confusion_init(const int32_t *labels, const int32_t *predicted, int64_t count, int classes,
                                struct thaw_confusion *confusion_out);
void thaw_confusion_release(struct thaw_confusion *confusion);

/* Pictures with this label that were taken for `predicted`. */
int64_t thaw_confusion_at(const struct thaw_confusion *confusion, int label, int predicted);

double thaw_recall(const struct thaw_class_counts *of);
double thaw_precision(const struct thaw_class_counts *of);
double thaw_f1(const struct thaw_class_counts *of);
double thaw_balanced_accuracy(const struct thaw_confusion *confusion);

/* The most frequent mistakes, most first, and in the order of the matrix where they are equal. `mistakes_out` has room
 * for `limit`; returns how many there are up to that. */
int thaw_confusion_mistakes(const struct thaw_confusion *confusion, int limit,
                            struct thaw_confusion_cell *mistakes_out);

/* Appends lines for a terminal: pictures, recall, precision and F1 of each class, up to ten classes as columns behind
 * the matrix, beyond twenty of the ten with the lowest F1 only; without a matrix the ten most frequent mistakes; then
 * balanced accuracy. `names` (classes) are printable. */
void thaw_confusion_add_text(const struct thaw_confusion *confusion, const char *const *names, struct thaw_text *text);

/* Adds to an open object: "balanced", "classes" (name, pictures, recall, precision, f1 of each), "confusion" (label,
 * predicted, count of each cell that is not 0). */
void thaw_confusion_add_json(const struct thaw_confusion *confusion, const char *const *names, struct thaw_text *json);

#endif
