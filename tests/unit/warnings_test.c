/* What is allowed and yet looks wrong. */
#include "jobs/warnings.h"
#include "tests/test.h"

static const char base[] = "name: x\nmodel: {arch: resnet18}\ndata: {train: a, val: b}\nbatch: 32\nbatchnorm: train\n"
						   "optimizer: {lr: 0.01}\n";

enum { CLASSES = 5 };
static const char *const names[CLASSES] = {"ant", "bee", "moth", "wa\nsp", "fly"};

struct data {
	int64_t train[CLASSES], val[CLASSES];
};
static const struct data plenty = {{20, 20, 20, 20, 16}, {5, 5, 5, 5, 5}}; /* 96 = 3 x 32 */

/* Of ResNet-18's 20 norms, those that parts named so train: layer4 has five. */
static struct thaw_norm_counts count_norms(const struct thaw_patterns *train)
{
	int trained = 0;

	for (int i = 0; i < train->count; i++)
		trained += strcmp(train->text[i], "all") == 0 ? 20 : strcmp(train->text[i], "layer4") == 0 ? 5 : 0;
	return (struct thaw_norm_counts){trained, 20 - trained};
}

/* The warnings about the base job with these changes: exactly `want`. */
static void warns(const struct data *data, int replicas, const char *const *sets, int sets_count, const char *want)
{
	const struct thaw_data_counts counts = {CLASSES, names, data->train, data->val, 256};
	struct thaw_norm_counts norms[THAW_PHASES];
	struct thaw_text lines = THAW_TEXT_EMPTY;
	static struct thaw_job job;

	CHECK_OK(thaw_job_parse("base", base, strlen(base), sets, sets_count, &job));
	for (int i = 0; i < job.phases_count; i++)
		norms[i] = count_norms(&job.phases[i].train);
	thaw_job_add_warnings(&job, &counts, norms, replicas, &lines);
	CHECK_TEXT(lines.data, want);
	thaw_text_release(&lines);
}

#define SETS(...) (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_crop(void)
{
	warns(&plenty, 1, NULL, 0, "");
	warns(&plenty, 1, SETS("data.crop=256"), "");
	warns(&plenty, 1, SETS("data.crop=257"),
	      "data.crop is 257, but the shorter edge of the pictures is 256: they are enlarged\n");
	warns(&plenty, 1, SETS("data.crop=128"), "");
	warns(&plenty, 1, SETS("data.crop=112"),
	      "data.crop is 112, but the shorter edge of the pictures is 256: validation sees only their middle; thaw pack "
	      "--resize 128 would suit\n");
}

static void test_norms(void)
{
	const char *frozen = "phase 1: the norms of what is frozen have statistics that no picture has made; batchnorm: train "
						 "lets them use each batch's\n";

	warns(&plenty, 1, SETS("batchnorm=frozen", "phases=[{epochs: 1, train: fc}, {epochs: 1, train: all}]"), frozen);
	warns(&plenty, 1, SETS("batchnorm=frozen", "phases=[{epochs: 1, train: [layer4, fc]}]"), frozen);
	warns(&plenty, 1, SETS("batchnorm=frozen", "phases=[{epochs: 1, train: all}, {epochs: 1, train: fc}]"), "");
	warns(&plenty, 1, SETS("batchnorm=train", "phases=[{epochs: 1, train: fc}]"), "");
	warns(&plenty, 1, SETS("batchnorm=frozen", "phases=[{epochs: 1, train: fc.weight}]"), frozen);
}

static void test_rates(void)
{
	warns(&plenty, 1, SETS("optimizer.lr=0.5"), "");
	warns(&plenty, 1, SETS("optimizer.lr=0.51"),
	      "phase 1: a learning rate of 0.51; usual for sgd with batches of 32 is 0.0001 to 0.5: thaw lr-find suggests "
	      "one\n");
	warns(&plenty, 1, SETS("optimizer.lr=0"),
	      "phase 1: a learning rate of 0; usual for sgd with batches of 32 is 0.0001 to 0.5: thaw lr-find suggests one\n");
	warns(&plenty, 1, SETS("optimizer.kind=adamw", "optimizer.lr=0.02"),
	      "phase 1: a learning rate of 0.02; usual for adamw with batches of 32 is 1e-06 to 0.01: thaw lr-find suggests "
	      "one\n");
	warns(&plenty, 1, SETS("optimizer.lr=0.9", "batch=512"), ""); /* up to 0.5 * 512 / 256 */
	warns(&plenty, 1, SETS("optimizer.kind=adam", "optimizer.lr=0.02", "batch=512"),
	      "phase 1: a learning rate of 0.02; usual for adam with batches of 512 is 1e-06 to 0.01: thaw lr-find suggests "
	      "one\n");
	/* what phases have alike is said once */
	warns(&plenty, 1,
	      SETS("phases=[{epochs: 1, train: [fc]}, {epochs: 1, train: all, lr: 9}, {epochs: 2, train: all, lr: 9}]"),
	      "phase 2: a learning rate of 9; usual for sgd with batches of 32 is 0.0001 to 0.5: thaw lr-find suggests one\n");
}

/* 97 = 3 x 32 + 1 = 3 x 31 + 4 = 4 x 24 + 1; 98 = 3 x 32 + 2 */
static void test_last_batch(void)
{
	struct data data = plenty;

	data.train[4] = 17;
	warns(&data, 1, NULL, 0,
	      "phase 1: 97 pictures leave 1 for the last batch: norms that train take their statistics from it; batch: 31 "
	      "would not\n");
	warns(&data, 2, SETS("batch=24"),
	      "phase 1: 97 pictures leave 1 for the last batch, a single one for some of 2 replicas: norms that train take "
	      "their statistics from it; batch: 23 would not\n"); /* 97 = 4 x 23 + 5 */
	warns(&data, 1, SETS("batch=97"), "");
	/* norms that are frozen with their statistics see no batch; what follows has others, said once */
	warns(&data, 1,
	      SETS("batchnorm=frozen", "phases=[{epochs: 1, train: fc}, {epochs: 1, train: all}, {epochs: 1, train: all}]"),
	      "phase 1: the norms of what is frozen have statistics that no picture has made; batchnorm: train lets them use "
	      "each batch's\n"
	      "phase 2: 97 pictures leave 1 for the last batch: norms that train take their statistics from it; batch: 31 "
	      "would not\n");
	warns(&data, 1, SETS("batch=200"), "");
	warns(&data, 1, SETS("batch=96"),
	      "phase 1: 97 pictures leave 1 for the last batch: norms that train take their statistics from it; batch: 95 "
	      "would not\n");
	data.train[4] = 18;
	warns(&data, 1, NULL, 0, "");
	warns(&data, 2, NULL, 0,
	      "phase 1: 98 pictures leave 2 for the last batch, a single one for some of 2 replicas: norms that train take "
	      "their statistics from it; batch: 31 would not\n"); /* 98 = 3 x 31 + 5 */
	/* 3 = 1 + 2 for two replicas, 4 = 2 + 2 */
	data.train[4] = 19;
	warns(&data, 2, NULL, 0,
	      "phase 1: 99 pictures leave 3 for the last batch, a single one for some of 2 replicas: norms that train take "
	      "their statistics from it; batch: 31 would not\n");
	data.train[4] = 20;
	warns(&data, 2, NULL, 0, "");
}

static void test_classes(void)
{
	const struct data few = {{20, 9, 40, 7, 20}, {5, 0, 5, 5, 5}}; /* 96 */
	const struct data poor = {{9, 9, 9, 9, 60}, {0, 0, 0, 0, 5}};  /* 96 */
	const struct data many = {{10, 11, 12, 13, 101}, {5, 5, 5, 5, 5}};
	const struct data ten = {{10, 11, 12, 13, 100}, {5, 5, 5, 5, 5}};

	warns(&few, 1, NULL, 0,
	      "2 of 5 classes have fewer than 10 training pictures: bee 9, wa\\x0Asp 7\n"
	      "1 of 5 classes has no validation picture: bee 0\n");
	warns(&poor, 1, NULL, 0,
	      "4 of 5 classes have fewer than 10 training pictures: ant 9, bee 9, moth 9, ...\n"
	      "4 of 5 classes have no validation picture: ant 0, bee 0, moth 0, ...\n");
	warns(&many, 1, NULL, 0,
	      "class 'fly' has 101 training pictures, 'ant' 10: with loss.class_weights: balanced, or data.sampling: "
	      "balanced, both would weigh the same\n");
	warns(&many, 1, SETS("loss.class_weights=balanced"), "");
	warns(&many, 1, SETS("data.sampling=balanced"), "");
	warns(&ten, 1, NULL, 0, "");
}

int main(void)
{
	test_crop();
	test_norms();
	test_rates();
	test_last_batch();
	test_classes();
	return TEST_END();
}
