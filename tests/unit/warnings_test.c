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

static struct thaw_rank_counts ranks = {.ranks = 1, .processors = 4};

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
	ranks.replicas = replicas;
	thaw_job_add_warnings(&job, &counts, norms, &ranks, &lines);
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
	warns(&plenty, 1, SETS("batchnorm=frozen", "model.weights=x.pth", "phases=[{epochs: 1, train: fc}]"), "");
	warns(&plenty, 1, SETS("batchnorm=frozen", "phases=[{epochs: 1, train: fc.weight}]"), frozen);
}

static void test_rates(void)
{
	const struct data large = {{200, 200, 200, 200, 224}, {5, 5, 5, 5, 5}}; /* 1024 = 2 x 512 */

	warns(&plenty, 1, SETS("optimizer.lr=0.5"), "");
	warns(&plenty, 1, SETS("optimizer.lr=0.51"),
	      "phase 1: a learning rate of 0.51; usual for sgd with batches of 32 is 0.0001 to 0.5: thaw lr-find suggests "
	      "one\n");
	warns(&plenty, 1, SETS("optimizer.lr=0"),
	      "phase 1: a learning rate of 0; usual for sgd with batches of 32 is 0.0001 to 0.5: thaw lr-find suggests one\n");
	warns(&plenty, 1, SETS("optimizer.kind=adamw", "optimizer.lr=0.02"),
	      "phase 1: a learning rate of 0.02; usual for adamw with batches of 32 is 1e-06 to 0.01: thaw lr-find suggests "
	      "one\n");
	warns(&large, 1, SETS("optimizer.lr=0.9", "batch=512"), ""); /* up to 0.5 * 512 / 256 */
	warns(&large, 1, SETS("optimizer.kind=adam", "optimizer.lr=0.02", "batch=512"),
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
	warns(&data, 1, SETS("batch=200"),
	      "phase 1: a batch of 200, but there are 97 training pictures: an epoch is one step of 97\n");
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

static void test_batch(void)
{
	warns(&plenty, 1, SETS("batch=96"), "");
	warns(&plenty, 1, SETS("batch=1048576"),
	      "phase 1: a batch of 1048576, but there are 96 training pictures: an epoch is one step of 96\n");
	/* each size once, in whatever phase */
	warns(&plenty, 1,
	      SETS("phases=[{epochs: 1, train: all}, {epochs: 1, train: all, batch: 97}, {epochs: 1, train: all, batch: 97}, "
	           "{epochs: 1, train: all, batch: 98}]"),
	      "phase 2: a batch of 97, but there are 96 training pictures: an epoch is one step of 96\n"
	      "phase 4: a batch of 98, but there are 96 training pictures: an epoch is one step of 96\n");
}

static void test_threads(void)
{
	warns(&plenty, 1, SETS("threads=4"), "");
	warns(&plenty, 1, SETS("threads=5"), "threads: 5, but there are 4 processors: they take turns; threads: 4 would suit\n");
	ranks.ranks = 2;
	warns(&plenty, 2, SETS("threads=2"), "");
	warns(&plenty, 2, SETS("threads=0"), "");
	warns(&plenty, 2, SETS("threads=3"),
	      "threads: 3 for each of 2 ranks here, but there are 4 processors: they take turns; threads: 2 would suit\n");
	/* more ranks than processors: whoever starts them knows, and one thread is the least */
	ranks = (struct thaw_rank_counts){.ranks = 3, .processors = 1};
	warns(&plenty, 3, SETS("threads=1"), "");
	warns(&plenty, 3, SETS("threads=1024"),
	      "threads: 1024 for each of 3 ranks here, but there is 1 processor: they take turns; threads: 1 would suit\n");
	ranks = (struct thaw_rank_counts){.ranks = 1, .processors = 4};
}

static void test_factors(void)
{
	warns(&plenty, 1, SETS("optimizer.lr_scale={layer1: 0.1, fc: 3}"), "");
	warns(&plenty, 1, SETS("optimizer.lr_scale={layer1: 0, layer2: 0.1, fc: 0}"),
	      "optimizer.lr_scale: a factor of 0 freezes 'layer1' and yet computes its gradients: leave it out of what phases "
	      "train\n"
	      "optimizer.lr_scale: a factor of 0 freezes 'fc' and yet computes its gradients: leave it out of what phases "
	      "train\n");
}

static void test_warmup(void)
{
	warns(&plenty, 1, SETS("epochs=3", "schedule.warmup=2.5"), "");
	warns(&plenty, 1, SETS("epochs=3", "schedule.warmup=3"),
	      "phase 1: a warm-up of 3 epochs, but its schedule has 3: the full rate is never reached\n");
	warns(&plenty, 1, SETS("epochs=3", "schedule.warmup=100"),
	      "phase 1: a warm-up of 100 epochs, but its schedule has 3: the full rate is never reached\n");
	/* phases with the same schedule are one, unless it begins anew */
	warns(&plenty, 1, SETS("schedule.warmup=3", "phases=[{epochs: 2, train: all}, {epochs: 2, train: all, lr: 0.02}]"), "");
	warns(&plenty, 1,
	      SETS("schedule.warmup=3", "phases=[{epochs: 4, train: all}, {epochs: 1, train: all, restart: true}, "
	                                "{epochs: 1, train: all}]"),
	      "phase 2: a warm-up of 3 epochs, but its schedule has 2: the full rate is never reached\n");
	warns(&plenty, 1,
	      SETS("phases=[{epochs: 2, train: all}, {epochs: 2, train: all, schedule: {kind: cosine, warmup: 2}}]"),
	      "phase 2: a warm-up of 2 epochs, but its schedule has 2: the full rate is never reached\n");
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
	test_batch();
	test_threads();
	test_factors();
	test_warmup();
	test_classes();
	return TEST_END();
}
