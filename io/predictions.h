/*
 * predictions.csv: what a network says of each validation picture, a row each (docs/formats.md).
 *
 *     index,name,label,predicted,probability,loss
 *     0,ants/0013035.jpg,ants,bees,0.731059,1.31326169
 *
 * Classes stand there by their names, so that the file can be read without the shards.
 */
#ifndef THAW_IO_PREDICTIONS_H
#define THAW_IO_PREDICTIONS_H

#include "io/dataset.h"

struct thaw_prediction {
	int64_t index;            /* of the picture in its split */
	int32_t label, predicted; /* places in the class list */
	double probability;       /* of `predicted` */
	double loss;              /* minus the logarithm of the label's probability, which float32 holds: at most 87.4 */
};

/* Publishes `count` rows; names of pictures and classes are the dataset's. */
thaw_status thaw_predictions_write(const char *path, const struct thaw_dataset *dataset,
                                   const struct thaw_prediction *rows, int64_t count);

/* What a file holds. Its classes are those that occur as label or prediction. */
struct thaw_predictions {
	int64_t count;
	struct thaw_prediction *rows; /* (count) as in the file */
	const char **names;           /* (count) of the pictures */
	int classes;
	const char **class_names;     /* (classes) ascending, byte-wise */
	char *bytes;                  /* of the file, which the names point into */
};

/* THAW_FAILED names path, line and what is wrong. */
thaw_status thaw_predictions_read(const char *path, struct thaw_predictions *predictions_out);
void thaw_predictions_release(struct thaw_predictions *predictions);

#endif
