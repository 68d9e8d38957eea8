/* Which classes are taken for which, said in the log (base/confusion.h). */
#ifndef THAW_RUNNER_CLASSES_H
#define THAW_RUNNER_CLASSES_H

#include "base/confusion.h"
#include "io/predictions.h"
#include "runner/setup.h"

/* Counts them, from what a network said of `count` pictures. The caller releases the confusion. */
thaw_status thaw_classes_count(const struct thaw_setup *setup, const struct thaw_prediction *predictions, int64_t count,
                               struct thaw_confusion *confusion_out);

/* From what a network said of `count` pictures, labels and predictions being places in the setup's class list.
 * guessed_out: what a verdict needs of them (thaw_guessed_share); may be NULL. */
thaw_status thaw_classes_tell(const struct thaw_setup *setup, const struct thaw_prediction *predictions, int64_t count,
                              double *guessed_out);

/* From a predictions.csv. THAW_FAILED: it cannot be read, or names a class that the setup has not. */
thaw_status thaw_classes_tell_file(const struct thaw_setup *setup, const char *path, double *guessed_out);

#endif
