/* Confusion matrices and verdicts on runs, by hand arithmetic. */
#include "base/confusion.h"
#include "base/metrics.h"
#include "base/verdict.h"
#include "tests/test.h"

/* --- confusion --------------------------------------------------------------------------------------------------- */

/*            taken for   a  b  c  d
 *   of class a           3  1  0  0
 *            b           0  2  2  0
 *            c           1  0  1  0
 *            d           0  0  0  0     which never occurs */
static const int32_t labels[] = {2, 0, 1, 0, 1, 0, 1, 2, 1, 0};
static const int32_t predicted[] = {0, 0, 2, 1, 1, 0, 2, 2, 1, 0};

static void test_counts(void)
{
	static const int want[4][4] = {{3, 1, 0, 0}, {0, 2, 2, 0}, {1, 0, 1, 0}, {0, 0, 0, 0}};
	struct thaw_confusion c;

	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 4, &c));
	CHECK_INT(c.pictures, 10);
	CHECK_INT(c.right, 6);
	CHECK_INT(c.cells_count, 6);
	for (int l = 0; l < 4; l++)
		for (int p = 0; p < 4; p++)
			CHECK_INT(thaw_confusion_at(&c, l, p), want[l][p]);
	CHECK_NEAR(thaw_recall(&c.of[0]), 3.0 / 4, 1e-15);
	CHECK_NEAR(thaw_precision(&c.of[0]), 3.0 / 4, 1e-15);
	CHECK_NEAR(thaw_f1(&c.of[0]), 3.0 / 4, 1e-15);
	CHECK_NEAR(thaw_recall(&c.of[1]), 2.0 / 4, 1e-15);
	CHECK_NEAR(thaw_precision(&c.of[1]), 2.0 / 3, 1e-15);
	CHECK_NEAR(thaw_f1(&c.of[1]), 4.0 / 7, 1e-15); /* 2 * (1/2 * 2/3) / (1/2 + 2/3) */
	CHECK_NEAR(thaw_recall(&c.of[2]), 1.0 / 2, 1e-15);
	CHECK_NEAR(thaw_precision(&c.of[2]), 1.0 / 3, 1e-15);
	CHECK_NEAR(thaw_f1(&c.of[2]), 2.0 / 5, 1e-15);
	CHECK(isnan(thaw_recall(&c.of[3])) && isnan(thaw_precision(&c.of[3])) && isnan(thaw_f1(&c.of[3])));
	CHECK_NEAR(thaw_balanced_accuracy(&c), (0.75 + 0.5 + 0.5) / 3, 1e-15);
	thaw_confusion_release(&c);
}

static void test_mistakes(void)
{
	static const int want[3][3] = {{1, 2, 2}, {0, 1, 1}, {2, 0, 1}};
	struct thaw_confusion_cell mistakes[4];
	struct thaw_confusion c;

	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 4, &c));
	for (int limit = 0; limit <= 4; limit++) {
		memset(mistakes, 0x5a, sizeof mistakes);
		CHECK_INT(thaw_confusion_mistakes(&c, limit, mistakes), limit < 3 ? limit : 3);
		for (int i = 0; i < limit && i < 3; i++)
			CHECK(mistakes[i].label == want[i][0] && mistakes[i].predicted == want[i][1] &&
			      mistakes[i].count == want[i][2]);
		if (limit < 4)
			CHECK_INT(mistakes[limit].label, 0x5a5a5a5a);
	}
	thaw_confusion_release(&c);
}

static void check_text(const struct thaw_confusion *c, const char *const *names, const char *want)
{
	struct thaw_text text = THAW_TEXT_EMPTY;

	thaw_confusion_add_text(c, names, &text);
	CHECK_OK(thaw_text_status(&text));
	CHECK_TEXT(text.data, want);
	thaw_text_release(&text);
}

static void test_matrix_text(void)
{
	static const char *const names[] = {"ants", "b\xc3\xa4r", "c", "d"};
	static const char *const longer[] = {"a", "a name of more than 24 letters", "c", "d"};
	struct thaw_confusion c;

	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 4, &c));
	check_text(&c, names,
	           "true / predicted  ants   b\xc3\xa4r     c     d  pictures   recall  precision     F1\n"
	           "ants                 3     1     0     0         4    0.750      0.750  0.750\n"
	           "b\xc3\xa4r                  0     2     2     0         4    0.500      0.667  0.571\n"
	           "c                    1     0     1     0         2    0.500      0.333  0.400\n"
	           "d                    0     0     0     0         0        -          -      -\n"
	           "balanced accuracy 0.5833\n");
	check_text(&c, longer,
	           "true / predicted              0   1   2   3  pictures   recall  precision     F1\n"
	           "0  a                          3   1   0   0         4    0.750      0.750  0.750\n"
	           "1  a name of more than 2...   0   2   2   0         4    0.500      0.667  0.571\n"
	           "2  c                          1   0   1   0         2    0.500      0.333  0.400\n"
	           "3  d                          0   0   0   0         0        -          -      -\n"
	           "balanced accuracy 0.5833\n");
	thaw_confusion_release(&c);
}

static void test_mistakes_text(void)
{
	static const char *const names[] = {"a", "bb", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
	struct thaw_confusion c;

	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 11, &c));
	check_text(&c, names,
	           "class  pictures   recall  precision     F1\n"
	           "a             4    0.750      0.750  0.750\n"
	           "bb            4    0.500      0.667  0.571\n"
	           "c             2    0.500      0.333  0.400\n"
	           "d             0        -          -      -\n"
	           "e             0        -          -      -\n"
	           "f             0        -          -      -\n"
	           "g             0        -          -      -\n"
	           "h             0        -          -      -\n"
	           "i             0        -          -      -\n"
	           "j             0        -          -      -\n"
	           "k             0        -          -      -\n"
	           "most frequent mistakes\n"
	           "      2 of 4      bb  taken for  c\n"
	           "      1 of 4      a   taken for  bb\n"
	           "      1 of 2      c   taken for  a\n"
	           "balanced accuracy 0.5833\n");
	thaw_confusion_release(&c);
}

/* Twenty classes of two pictures each: of class 2 none is right, both are taken for class 12, which so has an F1 of
 * 2 * 2 / (2 + 4); of classes 5 and 18 one is right, the other is taken for class 12 + 1: F1 2 / (2 + 1) each, and
 * 4 / (2 + 4) for class 13. A 21st class has no picture. The others have an F1 of 1, of which the first six are shown. */
static void test_many_classes(void)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k",
	                                    "l", "m", "n", "o", "p", "q", "r", "s", "t", "u"};
	int32_t label[40], said[40];
	struct thaw_confusion c;

	for (int i = 0; i < 40; i++)
		label[i] = said[i] = i / 2;
	said[4] = said[5] = 12;
	said[10] = said[36] = 13;
	CHECK_OK(thaw_confusion_init(label, said, 40, 20, &c));
	check_text(&c, names,
	           "class  pictures   recall  precision     F1\n"
	           "a             2    1.000      1.000  1.000\n"
	           "b             2    1.000      1.000  1.000\n"
	           "c             2    0.000          -  0.000\n"
	           "d             2    1.000      1.000  1.000\n"
	           "e             2    1.000      1.000  1.000\n"
	           "f             2    0.500      1.000  0.667\n"
	           "g             2    1.000      1.000  1.000\n"
	           "h             2    1.000      1.000  1.000\n"
	           "i             2    1.000      1.000  1.000\n"
	           "j             2    1.000      1.000  1.000\n"
	           "k             2    1.000      1.000  1.000\n"
	           "l             2    1.000      1.000  1.000\n"
	           "m             2    1.000      0.500  0.667\n"
	           "n             2    1.000      0.500  0.667\n"
	           "o             2    1.000      1.000  1.000\n"
	           "p             2    1.000      1.000  1.000\n"
	           "q             2    1.000      1.000  1.000\n"
	           "r             2    1.000      1.000  1.000\n"
	           "s             2    0.500      1.000  0.667\n"
	           "t             2    1.000      1.000  1.000\n"
	           "most frequent mistakes\n"
	           "      2 of 2      c  taken for  m\n"
	           "      1 of 2      f  taken for  n\n"
	           "      1 of 2      s  taken for  n\n"
	           "balanced accuracy 0.9000\n");
	thaw_confusion_release(&c);
	CHECK_OK(thaw_confusion_init(label, said, 40, 21, &c));
	check_text(&c, names,
	           "of 21 classes the 10 of the lowest F1\n"
	           "class  pictures   recall  precision     F1\n"
	           "c             2    0.000          -  0.000\n"
	           "f             2    0.500      1.000  0.667\n"
	           "m             2    1.000      0.500  0.667\n"
	           "n             2    1.000      0.500  0.667\n"
	           "s             2    0.500      1.000  0.667\n"
	           "a             2    1.000      1.000  1.000\n"
	           "b             2    1.000      1.000  1.000\n"
	           "d             2    1.000      1.000  1.000\n"
	           "e             2    1.000      1.000  1.000\n"
	           "g             2    1.000      1.000  1.000\n"
	           "most frequent mistakes\n"
	           "      2 of 2      c  taken for  m\n"
	           "      1 of 2      f  taken for  n\n"
	           "      1 of 2      s  taken for  n\n"
	           "balanced accuracy 0.9000\n");
	thaw_confusion_release(&c);
	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 21, &c));
	check_text(&c, names,
	           "of 21 classes the 3 of the lowest F1\n"
	           "class  pictures   recall  precision     F1\n"
	           "c             2    0.500      0.333  0.400\n"
	           "b             4    0.500      0.667  0.571\n"
	           "a             4    0.750      0.750  0.750\n"
	           "most frequent mistakes\n"
	           "      2 of 4      b  taken for  c\n"
	           "      1 of 4      a  taken for  b\n"
	           "      1 of 2      c  taken for  a\n"
	           "balanced accuracy 0.5833\n");
	thaw_confusion_release(&c);
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

/* k of n in percent of 1000 pictures each, and losses in hundredths. */
struct point {
	int train_loss, train_top1, val_loss, val_top1;
};

/* The first `mixed` epochs saw mixed pictures. */
static struct thaw_verdict judge_mixed(const struct point *points, int count, int mixed, const char *words, int classes)
{
	struct thaw_epoch epochs[16];
	struct thaw_text text = THAW_TEXT_EMPTY;
	struct thaw_verdict verdict;
	int best = 0; /* by accuracy, then by the loss */

	memset(epochs, 0, sizeof epochs);
	for (int i = 0; i < count; i++) {
		if (i == 0 || points[i].val_top1 > points[best].val_top1 ||
		    (points[i].val_top1 == points[best].val_top1 && points[i].val_loss < points[best].val_loss))
			best = i;
		epochs[i].best = best == i;
		epochs[i].epoch = i + 1;
		epochs[i].mixed = i < mixed;
		epochs[i].train = (struct thaw_metrics){points[i].train_loss / 100.0, 1000, points[i].train_top1, 0, 0};
		epochs[i].val = (struct thaw_metrics){points[i].val_loss / 100.0, 1000, points[i].val_top1, 0, 0};
	}
	verdict = thaw_verdict_of(epochs, count, classes, 0);
	thaw_verdict_add_text(&verdict, &text);
	CHECK_TEXT(text.data, words);
	thaw_text_release(&text);
	return verdict;
}

static struct thaw_verdict judge(const struct point *points, int count, int classes, const char *words)
{
	return judge_mixed(points, count, 0, words, classes);
}

static void test_good(void)
{
	static const struct point still[] = {{60, 700, 50, 800}, {30, 900, 30, 930}, {20, 967, 22, 948}};
	static const struct point done[] = {{60, 700, 50, 800}, {20, 967, 22, 948}, {18, 966, 22, 947}, {18, 966, 22, 948}};
	struct thaw_verdict v = judge(done, 4, 2, "good: train 0.967, val 0.948");

	CHECK_INT(v.best, 1); /* as many right and the same loss as in the fourth: the first counts */
	judge(still, 3, 2, "good: train 0.967, val 0.948, still improving at the end: more epochs may help");
	judge(still, 0, 2, "no epoch yet");
	judge(still, 1, 2, "good: train 0.700, val 0.800"); /* better than half of the way from 0.5 to 1 */
}

static void test_underfitting(void)
{
	static const struct point points[] = {{69, 500, 69, 510}, {69, 550, 69, 540}, {68, 550, 69, 530}};

	judge(points, 3, 2, "underfitting: train 0.550, val 0.540: train longer, a higher rate, unfreeze more");
	judge(points, 3, 0, "good: train 0.550, val 0.540"); /* of very many classes that is more than half */
}

/* Means over neighbours: 0.85 0.700 0.567 0.533 0.600 0.733 0.80, so it is lowest in epoch 4. */
static void test_rising_loss(void)
{
	static const struct point points[] = {{90, 600, 100, 600}, {70, 700, 70, 700}, {50, 780, 40, 790},
	                                      {40, 800, 60, 800},  {30, 860, 60, 810}, {25, 870, 60, 810},
	                                      {20, 890, 100, 800}};
	struct thaw_verdict v = judge(points, 7, 2,
	                              "overfitting since epoch 5: train 0.890, val 0.800: fewer epochs, more pictures or "
	                              "augmentation, weight decay, freeze more");
	struct point both[7];

	CHECK_INT(v.best, 4);
	CHECK_INT(v.since, 5);
	memcpy(both, points, sizeof both); /* where the training loss rises too, it is something else */
	both[5].train_loss = both[6].train_loss = 90;
	judge(both, 7, 2, "good: train 0.860, val 0.810");
}

/* Gaps 0 0.15 0.2 0.2: means 0.075 0.117 0.183 0.2. With 20 pictures two standard errors of 0.8 are 0.18. */
static void test_gap(void)
{
	static const struct point points[] = {
		{50, 780, 50, 780}, {30, 940, 50, 790}, {20, 1000, 50, 800}, {10, 1000, 50, 800}};
	static const struct point early[] = { /* the best is the second of them */
		{50, 780, 50, 780}, {30, 940, 50, 800}, {20, 1000, 50, 790}, {10, 1000, 50, 790}};
	struct thaw_epoch epochs[4];

	judge(points, 4, 2,
	      "wide gap: train 1.000, val 0.800: more pictures or augmentation, weight decay, freeze more");
	judge(early, 4, 2,
	      "overfitting since epoch 2: train 1.000, val 0.790: fewer epochs, more pictures or augmentation, weight "
	      "decay, freeze more");
	memset(epochs, 0, sizeof epochs);
	for (int i = 0; i < 4; i++) {
		epochs[i].epoch = i + 1;
		epochs[i].train = (struct thaw_metrics){points[i].train_loss / 100.0, 1000, i < 2 ? 800 : 960, 0, 0};
		epochs[i].val = (struct thaw_metrics){0.5, 20, 16, 0, 0};
	}
	CHECK_INT(thaw_verdict_of(epochs, 4, 2, 0).fit, THAW_FIT_GOOD);
	epochs[0].best = epochs[2].best = true; /* whatever made it so: not the most right of them need be */
	CHECK_INT(thaw_verdict_of(epochs, 4, 2, 0).best, 2);
}

/* Mixed pictures make training look worse than it is: bad accuracies there are no underfitting unless more training
 * still helps. */
static void test_mixed(void)
{
	static const struct point good[] = {{160, 300, 30, 700}, {150, 350, 30, 900}, {150, 360, 30, 930}};
	static const struct point weak[] = {
		{160, 300, 62, 510}, {150, 350, 61, 540}, {150, 360, 61, 540}, {150, 360, 61, 530}};
	static const struct point falls[] = {{160, 300, 69, 510}, {150, 350, 66, 530}, {150, 360, 64, 540}};

	judge_mixed(good, 3, 3, "good: train ~0.360, val 0.930", 2);
	CHECK_INT(judge_mixed(weak, 4, 4,
	                      "weak: train ~0.350, val 0.540: of mixed pictures, training does not tell why; less mixup "
	                      "and cutmix would",
	                      2)
	              .fit,
	          THAW_FIT_WEAK);
	judge_mixed(falls, 3, 3, "underfitting: train ~0.360, val 0.540: train longer, a higher rate, unfreeze more", 2);
	judge(weak, 4, 2, "underfitting: train 0.350, val 0.540: train longer, a higher rate, unfreeze more");
}

/* The last three epochs are no longer mixed, and their training loss is another for that reason alone: that the
 * validation loss rises from 0.55 to 0.8 counts. In a run that mixes to the end the training loss tells as ever. */
static void test_end_of_mixing(void)
{
	static const struct point points[] = {{170, 300, 70, 840}, {160, 350, 60, 850}, {150, 360, 50, 870},
	                                      {190, 870, 60, 870}, {195, 880, 80, 870}, {199, 880, 80, 870}};
	struct point falling[6];

	judge_mixed(points, 6, 3,
	            "overfitting since epoch 4: train 0.880, val 0.870: fewer epochs, more pictures or augmentation, weight "
	            "decay, freeze more",
	            2);
	judge_mixed(points, 6, 6, "good: train ~0.360, val 0.870", 2); /* the training loss rises too */
	memcpy(falling, points, sizeof falling);
	for (int i = 3; i < 6; i++)
		falling[i].train_loss = 120 - i;
	judge_mixed(falling, 6, 6,
	            "overfitting since epoch 4: train ~0.880, val 0.870: fewer epochs, more pictures or augmentation, "
	            "weight decay, freeze more",
	            2);
}

/* The lowest validation loss is that of the second epoch, 0.5, from where the training loss rises, 0.55 to 0.6. With
 * means over epochs of both kinds it would be that of the first. */
static void test_means_of_one_kind(void)
{
	static const struct point points[] = {
		{300, 350, 60, 800}, {50, 850, 40, 850}, {60, 850, 60, 850}, {60, 850, 90, 850}};

	judge_mixed(points, 4, 1, "good: train 0.850, val 0.850", 2);
}

/* 145 of 153: (0.947712 + 3.841459 / 306) / (1 + 3.841459 / 153) = 0.936747 +- 0.036523 */
static void test_interval(void)
{
	CHECK_NEAR(thaw_wilson(145, 153).low, 0.900224, 1e-6);
	CHECK_NEAR(thaw_wilson(145, 153).high, 0.973270, 1e-6);
	CHECK_NEAR(thaw_wilson(0, 10).low, 0, 1e-12);
	CHECK_NEAR(thaw_wilson(0, 10).high, 0.277533, 1e-6); /* z^2 / (n + z^2) */
}

/* --- verdicts on runs that were seen --------------------------------------------------------------------------------- */

/* A row of metrics.csv: loss and right ones of training and validation. */
struct seen {
	double train_loss;
	int train;
	double val_loss;
	int val;
	bool best;
};

static void judge_seen(const struct seen *rows, int count, int train, int val, int classes, double guessed,
                       const char *words)
{
	struct thaw_epoch epochs[12];
	struct thaw_text text = THAW_TEXT_EMPTY;
	struct thaw_verdict verdict;

	memset(epochs, 0, sizeof epochs);
	for (int i = 0; i < count; i++) {
		epochs[i].epoch = i + 1;
		epochs[i].best = rows[i].best;
		epochs[i].train = (struct thaw_metrics){rows[i].train_loss, train, rows[i].train, 0, 0};
		epochs[i].val = (struct thaw_metrics){rows[i].val_loss, val, rows[i].val, 0, 0};
	}
	verdict = thaw_verdict_of(epochs, count, classes, guessed);
	thaw_verdict_add_text(&verdict, &text);
	CHECK_TEXT(text.data, words);
	thaw_text_release(&text);
}

/* The lowest validation loss is one lucky epoch's, the best epoch the last, and validation better than training: no
 * overfitting. Of twelve validation losses six are above 2 ln 2 = 1.39. */
static void test_no_overfitting_at_the_best(void)
{
	static const struct seen progressive[] = {
		{0.8985, 124, 0.7747, 70, true},  {0.9742, 127, 0.6592, 93, true},  {1.7782, 120, 2.1151, 70, false},
		{1.9958, 125, 2.1300, 70, false}, {1.117, 148, 2.807, 70, false},   {1.061, 140, 1.135, 100, true},
		{0.9117, 151, 1.755, 77, false},  {0.8851, 151, 1.214, 90, false},  {0.824, 141, 2.356, 88, false},
		{0.8563, 147, 1.668, 74, false},  {0.8292, 122, 1.283, 91, false},  {0.6269, 155, 0.8063, 102, true}};
	/* the same shape within what guessing costs */
	struct seen calm[12];

	judge_seen(progressive, 12, 244, 153, 2, 0,
	           "unstable: train 0.635, val 0.667, a loss up to 2.81 where guessing costs 0.693: a lower rate, warm-up, "
	           "clipping");
	for (int i = 0; i < 12; i++) {
		calm[i] = progressive[i];
		calm[i].train_loss /= 4;
		calm[i].val_loss /= 4;
	}
	judge_seen(calm, 12, 244, 153, 2, 0, "underfitting: train 0.635, val 0.667: train longer, a higher rate, unfreeze more");
	for (int i = 0; i < 12; i++) { /* early the best; training no better than validation */
		calm[i].best = i < 2;
		calm[i].train = 195;
		calm[i].val = 123;
	}
	judge_seen(calm, 12, 244, 153, 2, 0, "good: train 0.799, val 0.804, still improving at the end: more epochs may help");
	for (int i = 0; i < 12; i++)
		calm[i].train = 205;
	judge_seen(calm, 12, 244, 153, 2, 0,
	           "overfitting since epoch 2: train 0.840, val 0.804: fewer epochs, more pictures or augmentation, weight "
	           "decay, freeze more");
	calm[10].best = true; /* the last but one */
	judge_seen(calm, 12, 244, 153, 2, 0, "good: train 0.840, val 0.804, still improving at the end: more epochs may help");
}

/* One class is the answer to all. Training is that far ahead in its last epoch only. */
static void test_learned_nothing(void)
{
	static const struct seen rows[] = {
		{1.166, 4, 1.177, 50, true}, {1.108, 11, 1.115, 70, true}, {1.33, 53, 1.081, 70, true}};
	static const int32_t found[] = {0, 0, 0, 1, 1, 1, 1}, ants[] = {0, 0, 0, 0, 0, 0, 0}, bees[] = {1, 1, 1, 1, 1, 1, 1},
						 some[] = {0, 0, 0, 1, 0, 0, 0}, most[] = {0, 1, 1, 1, 1, 1, 0};
	const int32_t *const answers[] = {ants, bees, some, most};
	const double guessed[] = {4.0 / 7, 4.0 / 7, 0, 4.0 / 7}; /* balanced 0.5, 0.5, 0.625, (1/3 + 3/4) / 2 */

	judge_seen(rows, 3, 67, 153, 3, 83.0 / 153,
	           "learned nothing yet: train 0.791, val 0.458, no better than the most frequent class alone, 0.542: train "
	           "longer, another rate, more pictures, of rare classes above all");
	judge_seen(rows, 3, 67, 153, 3, 0,
	           "wide gap: train 0.791, val 0.458: more pictures or augmentation, weight decay, freeze more");
	judge_seen(rows, 2, 67, 153, 3, 83.0 / 153,
	           "learned nothing yet: train 0.164, val 0.458, no better than the most frequent class alone, 0.542: train "
	           "longer, another rate, unfreeze more");
	for (int i = 0; i < 4; i++) {
		struct thaw_confusion c;

		CHECK_OK(thaw_confusion_init(found, answers[i], 7, 3, &c)); /* of the third class there is no picture */
		if (i == 3)
			CHECK_NEAR(thaw_balanced_accuracy(&c), 13.0 / 24, 1e-12);
		CHECK_NEAR(thaw_guessed_share(&c), i == 3 ? 0 : guessed[i], 1e-12);
		thaw_confusion_release(&c);
	}
}

/* A rate of 1000, and one of 0.01 that was too high for most of the run. Where validation alone is that bad at the end,
 * it is overfitting. */
static void test_unstable(void)
{
	static const struct seen thousand[] = {
		{7.472e21, 131, 7.612e22, 68, true}, {1822, 111, 226.4, 70, true}, {1822, 135, 1208, 70, false}};
	static const struct seen high[] = {
		{0.8301, 135, 0.7016, 91, true},  {0.9139, 139, 2.447, 86, false}, {1.660, 129, 2.643, 100, true},
		{1.572, 137, 2.968, 71, false},   {0.9022, 146, 6.942, 70, false}, {1.103, 133, 2.035, 76, false},
		{1.208, 141, 1.451, 101, true},   {0.8153, 160, 1.001, 104, true}};
	static const struct seen over[] = {{0.6, 170, 0.6, 100, true}, {0.3, 220, 0.9, 99, false}, {0.1, 240, 1.5, 98, false},
	                                   {0.05, 244, 2.5, 98, false}, {0.02, 244, 3, 98, false}};
	/* random weights that hardly moved: ln 5 = 1.61 */
	static const struct seen begun[] = {{2.61, 15, 2.5, 9, true}};
	/* peaks once, and is calm from there on */
	static const struct seen once[] = {{0.9, 125, 0.7, 80, true}, {1.2, 125, 7.1, 70, false}, {0.7, 140, 0.7, 85, true},
	                                   {0.66, 150, 0.68, 90, true}};

	judge_seen(thousand, 3, 244, 153, 2, 0,
	           "unstable: train 0.455, val 0.458, a loss up to 7.61e+22 where guessing costs 0.693: a lower rate, "
	           "warm-up, clipping");
	judge_seen(thousand, 3, 244, 153, 2, 83.0 / 153, /* that it has learned nothing is no news then */
	           "unstable: train 0.455, val 0.458, a loss up to 7.61e+22 where guessing costs 0.693: a lower rate, "
	           "warm-up, clipping");
	judge_seen(high, 8, 244, 153, 2, 0,
	           "unstable: train 0.656, val 0.680, a loss up to 6.94 where guessing costs 0.693: a lower rate, warm-up, "
	           "clipping");
	judge_seen(over, 5, 244, 153, 2, 0,
	           "overfitting since epoch 2: train 1.000, val 0.641: fewer epochs, more pictures or augmentation, weight "
	           "decay, freeze more");
	judge_seen(begun, 1, 65, 35, 5, 0, "underfitting: train 0.231, val 0.257: train longer, a higher rate, unfreeze more");
	judge_seen(once, 4, 244, 153, 2, 0, "underfitting: train 0.615, val 0.588: train longer, unfreeze more");
}

int main(void)
{
	test_counts();
	test_mistakes();
	test_matrix_text();
	test_mistakes_text();
	test_many_classes();
	test_good();
	test_underfitting();
	test_rising_loss();
	test_gap();
	test_mixed();
	test_end_of_mixing();
	test_means_of_one_kind();
	test_interval();
	test_no_overfitting_at_the_best();
	test_learned_nothing();
	test_unstable();
	return TEST_END();
}
