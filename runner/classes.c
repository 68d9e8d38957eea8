#include "runner/classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/verdict.h"

thaw_status thaw_classes_count(const struct thaw_setup *setup, const struct thaw_prediction *predictions, int64_t count,
                               struct thaw_confusion *confusion_out)
{
	int32_t *labels = thaw_alloc((size_t)count, sizeof *labels),
			*predicted = thaw_alloc((size_t)count, sizeof *predicted);
	thaw_status status = labels && predicted ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int64_t i = 0; i < count && !status; i++) {
		labels[i] = predictions[i].label;
		predicted[i] = predictions[i].predicted;
	}
	if (!status)
		status = thaw_confusion_init(labels, predicted, count, setup->facts->classes, confusion_out);
	free(predicted);
	free(labels);
	return status;
}

thaw_status thaw_classes_tell(const struct thaw_setup *setup, const struct thaw_prediction *predictions, int64_t count,
                              double *guessed_out)
{
	const char **names = thaw_setup_class_names(setup);
	struct thaw_confusion confusion = {0};
	struct thaw_text text = THAW_TEXT_EMPTY;
	thaw_status status = names ? thaw_classes_count(setup, predictions, count, &confusion) : THAW_OUT_OF_MEMORY;

	if (!status) {
		thaw_confusion_add_text(&confusion, names, &text);
		status = thaw_text_status(&text);
	}
	if (!status) {
		thaw_log("%s", "");
		thaw_log_lines(text.data);
		if (guessed_out)
			*guessed_out = thaw_guessed_share(&confusion);
	}
	thaw_confusion_release(&confusion);
	thaw_text_release(&text);
	free(names);
	return status;
}

/* The file's classes are those that occur, the setup's are all; both ascend. */
static thaw_status find_places(const struct thaw_setup *setup, const char *path, struct thaw_predictions *p)
{
	int32_t *places = thaw_alloc((size_t)p->classes, sizeof *places);
	thaw_status status = places ? THAW_OK : THAW_OUT_OF_MEMORY;
	int place = 0;

	for (int c = 0; c < p->classes && !status; c++) {
		while (place < setup->facts->classes && strcmp(thaw_dataset_class(setup->val, place), p->class_names[c]) < 0)
			place++;
		if (place == setup->facts->classes || strcmp(thaw_dataset_class(setup->val, place), p->class_names[c]) != 0)
			status =
				thaw_fail(THAW_FAILED, "'%s' names class '%s', which the shards do not have", path, p->class_names[c]);
		else
			places[c] = place;
	}
	for (int64_t i = 0; i < p->count && !status; i++) {
		p->rows[i].label = places[p->rows[i].label];
		p->rows[i].predicted = places[p->rows[i].predicted];
	}
	free(places);
	return status;
}

thaw_status thaw_classes_tell_file(const struct thaw_setup *setup, const char *path, double *guessed_out)
{
	struct thaw_predictions predictions;
	thaw_status status = thaw_predictions_read(path, &predictions);

	if (status)
		return status;
	status = find_places(setup, path, &predictions);
	if (!status)
		status = thaw_classes_tell(setup, predictions.rows, predictions.count, guessed_out);
	thaw_predictions_release(&predictions);
	return status;
}
