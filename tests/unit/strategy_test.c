/* Which strategy the counts of pictures suggest. */
#include "base/strategy.h"
#include "tests/test.h"

#define COUNTS(...) (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void test_random_weights_train_everything(void)
{
	CHECK_TEXT(thaw_strategy_of(COUNTS(3, 3), false)->name, "train everything");
	CHECK_TEXT(thaw_strategy_of(COUNTS(100000, 100000), false)->name, "train everything");
	CHECK_INT(thaw_strategy_of(COUNTS(3), false)->extent, THAW_TRAINS_ALL);
}

static void test_bounds_of_pretrained_weights(void)
{
	CHECK_TEXT(thaw_strategy_of(COUNTS(99, 99), true)->name, "feature extraction");
	CHECK_TEXT(thaw_strategy_of(COUNTS(100, 100), true)->name, "partial fine-tuning");
	CHECK_TEXT(thaw_strategy_of(COUNTS(999, 999), true)->name, "partial fine-tuning");
	CHECK_TEXT(thaw_strategy_of(COUNTS(1000, 1000), true)->name, "full fine-tuning");
	CHECK_INT(thaw_strategy_of(COUNTS(0), true)->extent, THAW_TRAINS_HEAD);
	CHECK_INT(thaw_strategy_of(COUNTS(500), true)->extent, THAW_TRAINS_PART);
	CHECK_INT(thaw_strategy_of(COUNTS(5000), true)->extent, THAW_TRAINS_ALL);
}

/* More than half of the classes decide, wherever they stand. */
static void test_one_class_decides_nothing(void)
{
	CHECK_INT(thaw_strategy_of(COUNTS(99, 5000, 99), true)->extent, THAW_TRAINS_HEAD);
	CHECK_INT(thaw_strategy_of(COUNTS(3, 100, 100), true)->extent, THAW_TRAINS_PART);
	CHECK_INT(thaw_strategy_of(COUNTS(1000, 1, 1000), true)->extent, THAW_TRAINS_ALL);
	CHECK_INT(thaw_strategy_of(COUNTS(50, 150), true)->extent, THAW_TRAINS_HEAD);
	CHECK_INT(thaw_strategy_of(COUNTS(999, 1000), true)->extent, THAW_TRAINS_PART);
}

static void test_words(void)
{
	struct thaw_text text = THAW_TEXT_EMPTY;

	thaw_strategy_add_text(thaw_strategy_of(COUNTS(5), false), THAW_TRAINS_HEAD, &text);
	CHECK_TEXT(text.data, "train everything (train: all), but this job trains the head alone: the weights are random, and "
	                      "what stays frozen stays random");
	thaw_text_release(&text);
	thaw_strategy_add_text(thaw_strategy_of(COUNTS(5), true), THAW_TRAINS_ALL, &text);
	CHECK_TEXT(text.data, "feature extraction (train: [fc]), but this job trains everything: few classes have 100 pictures");
	thaw_text_release(&text);
	thaw_strategy_add_text(thaw_strategy_of(COUNTS(500), true), THAW_TRAINS_PART, &text);
	CHECK_TEXT(text.data, "partial fine-tuning (train: [layer4, fc]), as this job does: most classes have 100 pictures or "
	                      "more, few 1000");
	thaw_text_release(&text);
}

int main(void)
{
	test_random_weights_train_everything();
	test_bounds_of_pretrained_weights();
	test_one_class_decides_nothing();
	test_words();
	return TEST_END();
}
