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
	           "true / predicted  ants   b\xc3\xa4r     c     d   recall  precision     F1\n"
	           "ants                 3     1     0     0    0.750      0.750  0.750\n"
	           "b\xc3\xa4r                  0     2     2     0    0.500      0.667  0.571\n"
	           "c                    1     0     1     0    0.500      0.333  0.400\n"
	           "d                    0     0     0     0        -          -      -\n"
	           "balanced accuracy 0.5833\n");
	check_text(&c, longer,
	           "true / predicted              0   1   2   3   recall  precision     F1\n"
	           "0  a                          3   1   0   0    0.750      0.750  0.750\n"
	           "1  a name of more than 2...   0   2   2   0    0.500      0.667  0.571\n"
	           "2  c                          1   0   1   0    0.500      0.333  0.400\n"
	           "3  d                          0   0   0   0        -          -      -\n"
	           "balanced accuracy 0.5833\n");
	thaw_confusion_release(&c);
}

static void test_mistakes_text(void)
{
	static const char *const names[] = {"a", "bb", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
	struct thaw_confusion c;

	CHECK_OK(thaw_confusion_init(labels, predicted, 10, 11, &c));
	check_text(&c, names,
	           "most frequent mistakes\n"
	           "      2 of 4      bb  taken for  c\n"
	           "      1 of 4      a   taken for  bb\n"
	           "      1 of 2      c   taken for  a\n"
	           "balanced accuracy 0.5833\n");
	thaw_confusion_release(&c);
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

/* k of n in percent of 1000 pictures each, and losses in hundredths. */
struct point {
	int train_loss, train_top1, val_loss, val_top1;
};

static struct thaw_verdict judge(const struct point *points, int count, int classes, const char *words)
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
		epochs[i].train = (struct thaw_metrics){points[i].train_loss / 100.0, 1000, points[i].train_top1, 0};
		epochs[i].val = (struct thaw_metrics){points[i].val_loss / 100.0, 1000, points[i].val_top1, 0};
	}
	verdict = thaw_verdict_of(epochs, count, classes);
	thaw_verdict_add_text(&verdict, &text);
	CHECK_TEXT(text.data, words);
	thaw_text_release(&text);
	return verdict;
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
	struct thaw_epoch epochs[4];

	judge(points, 4, 2,
	      "overfitting since epoch 2: train 1.000, val 0.800: fewer epochs, more pictures or augmentation, weight "
	      "decay, freeze more");
	memset(epochs, 0, sizeof epochs);
	for (int i = 0; i < 4; i++) {
		epochs[i].epoch = i + 1;
		epochs[i].train = (struct thaw_metrics){points[i].train_loss / 100.0, 1000, i < 2 ? 800 : 960, 0};
		epochs[i].val = (struct thaw_metrics){0.5, 20, 16, 0};
	}
	CHECK_INT(thaw_verdict_of(epochs, 4, 2).fit, THAW_FIT_GOOD);
	epochs[0].best = epochs[2].best = true; /* whatever made it so: not the most right of them need be */
	CHECK_INT(thaw_verdict_of(epochs, 4, 2).best, 2);
}

/* 145 of 153: (0.947712 + 3.841459 / 306) / (1 + 3.841459 / 153) = 0.936747 +- 0.036523 */
static void test_interval(void)
{
	CHECK_NEAR(thaw_wilson(145, 153).low, 0.900224, 1e-6);
	CHECK_NEAR(thaw_wilson(145, 153).high, 0.973270, 1e-6);
	CHECK_NEAR(thaw_wilson(0, 10).low, 0, 1e-12);
	CHECK_NEAR(thaw_wilson(0, 10).high, 0.277533, 1e-6); /* z^2 / (n + z^2) */
}

int main(void)
{
	test_counts();
	test_mistakes();
	test_matrix_text();
	test_mistakes_text();
	test_good();
	test_underfitting();
	test_rising_loss();
	test_gap();
	test_interval();
	return TEST_END();
}
