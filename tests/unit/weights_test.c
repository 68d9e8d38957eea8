/*
 * Files of weights: what PyTorch wrote is read, what lies is refused by name.
 *
 *     weights_test [tests/golden]
 */
#define _XOPEN_SOURCE 700
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/pickle.h"
#include "io/weights.h"
#include "io/weights_torch.h"
#include "tests/fixtures.h"
#include "tests/test.h"

static char folder[] = "/dev/shm/weights_test.XXXXXX"; /* in memory, if that can be: files are written by the thousand */
static char path[128];

static void write_file(const void *bytes, size_t length)
{
	FILE *file = fopen(path, "wb");

	CHECK(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

static thaw_status try_open(void)
{
	struct thaw_weights weights;
	thaw_status status = thaw_weights_open(path, &weights);

	if (!status)
		thaw_weights_release(&weights);
	return status;
}

/* --- what is read ------------------------------------------------------------------------------------------------ */

/* As make_weights.py has them. */
static const struct {
	const char *name;
	int rank;
	int64_t dims[4];
} tensors[] = {
	{"bn1.num_batches_tracked", 0, {0}}, {"bn1.running_var", 1, {4}}, {"bn1.weight", 1, {4}},
	{"conv1.weight", 4, {4, 3, 2, 2}},   {"fc.bias", 1, {2}},         {"fc.weight", 2, {2, 4}},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

/* What is in which of its files. Before BatchNorm counted, there was no num_batches_tracked. */
static const struct good {
	const char *name, *format, *container, *prefix;
	enum thaw_dtype dtype;
	bool counted;
	int more; /* tensors besides */
} goods[] = {
	{"zip-f32", "torch zip", "", "", THAW_F32, true, 0},
	{"stream-f32", "torch stream (before 1.6)", "", "", THAW_F32, true, 0},
	{"zip-f16", "torch zip", "", "", THAW_F16, true, 0},
	{"stream-f16", "torch stream (before 1.6)", "", "", THAW_F16, true, 0},
	{"zip-bf16", "torch zip", "", "", THAW_BF16, true, 0},
	{"stream-bf16", "torch stream (before 1.6)", "", "", THAW_BF16, true, 0},
	{"zip-f64", "torch zip", "", "", THAW_F64, true, 0},
	{"stream-f64", "torch stream (before 1.6)", "", "", THAW_F64, true, 0},
	{"zip-module", "torch zip", "", "module.", THAW_F32, true, 0},
	{"zip-compiled-module", "torch zip", "", "module._orig_mod.", THAW_F32, true, 0},
	{"zip-checkpoint", "torch zip", "state_dict", "", THAW_F32, true, 0},
	{"stream-checkpoint", "torch stream (before 1.6)", "state_dict", "", THAW_F32, true, 0},
	{"zip-average", "torch zip", "model_ema", "module.", THAW_F32, true, 1},
	{"zip-ema", "torch zip", "ema", "", THAW_F32, true, 0},
	{"zip-empty-box", "torch zip", "weights", "", THAW_F32, true, 0},
	{"zip-twice-boxed", "torch zip", "state_dict", "", THAW_F32, true, 0},
	{"zip-parameters", "torch zip", "", "", THAW_F32, true, 0},
	{"zip-objects", "torch zip", "state_dict", "", THAW_F32, true, 0},
	{"zip-compressed-beside", "torch zip", "", "", THAW_F32, true, 0},
	{"zip-unchecked", "torch zip", "", "", THAW_F32, true, 0},
	{"zip-python2", "torch zip", "", "", THAW_F32, false, 0},
	{"tar", "torch tar (before 0.1.10)", "", "", THAW_F32, false, 0},
	{"tar-numbers", "torch tar (before 0.1.10)", "", "", THAW_F32, false, 0},
	{"tar-empty", "torch tar (before 0.1.10)", "", "", THAW_F32, false, 0},
	{"tar-views", "torch tar (before 0.1.10)", "", "", THAW_F32, false, 0},
	{"safetensors-f32", "safetensors", "", "", THAW_F32, true, 0},
	{"safetensors-f16", "safetensors", "", "", THAW_F16, true, 0},
	{"safetensors-bf16", "safetensors", "", "", THAW_BF16, true, 0},
	{"safetensors-f64", "safetensors", "", "", THAW_F64, true, 0},
};

/* Element i of the k-th tensor. */
static float value(int k, int64_t i)
{
	return k == 0 ? 7 : (float)((i + 3 * k) % 29 - 14) / 8;
}

/* Differences between the k-th tensor and what it should be. */
static int differences(int k, const struct thaw_weight *tensor)
{
	float values[64];
	int wrong = 0;

	if (!tensor || tensor->rank != tensors[k].rank ||
	    (tensor->rank > 0 && memcmp(tensor->dims, tensors[k].dims, (size_t)tensor->rank * sizeof *tensor->dims) != 0))
		return 1000;
	memset(values, 0x7f, sizeof values);
	thaw_weight_copy(tensor, values);
	for (int64_t i = 0; i < tensor->elems; i++)
		wrong += !(values[i] == value(k, i));
	return wrong;
}

static bool same_tensors(const struct thaw_weights *weights, bool counted)
{
	int wrong = 0;

	for (int k = counted ? 0 : 1; k < TENSORS; k++)
		wrong += differences(k, thaw_weights_find(weights, tensors[k].name));
	return wrong == 0;
}

static void check_good(const struct good *good)
{
	struct thaw_weights weights;
	thaw_status status = thaw_weights_open(path, &weights);

	if (status) {
		TEST_FAIL("'%s' is refused: %s", good->name, thaw_fail_text());
		return;
	}
	CHECK_TEXT(weights.format, good->format);
	CHECK_TEXT(weights.container, good->container);
	CHECK_TEXT(weights.prefix, good->prefix);
	CHECK_INT(weights.count, TENSORS - !good->counted + good->more);
	CHECK_INT(thaw_weights_find(&weights, "fc.weight")->dtype, good->dtype);
	CHECK(same_tensors(&weights, good->counted));
	CHECK(!thaw_weights_find(&weights, "fc"));
	CHECK_TEXT(weights.facts.arch, "");
	thaw_weights_release(&weights);
}

/* Cut short at every 64th of its length, and at its last byte. */
static void check_cut(const struct good *good, const char *bytes, size_t length)
{
	size_t needed = length;

	while (strncmp(good->name, "tar", 3) == 0 && !bytes[needed - 1])
		needed--; /* the zeros that fill it up are not missed */
	for (size_t cut = 0; cut <= 64; cut++) {
		size_t left = cut < 64 ? length * cut / 64 : length - 1;

		if (left >= needed)
			break;
		write_file(bytes, left);
		if (try_open() != THAW_FAILED || !strstr(thaw_fail_text(), path))
			TEST_FAIL("'%s' cut to %zu of %zu bytes: '%s'", good->name, left, length, thaw_fail_text());
	}
}

/* Flipped bits are refused or change nothing, where there are checksums; nowhere do they do harm. */
static void check_flips(const struct good *good, char *bytes, size_t length)
{
	bool has_checksums = strcmp(good->name, "zip-unchecked") != 0 && strncmp(good->name, "zip", 3) == 0;
	unsigned random = 1;

	for (int i = 0; i < 2000; i++) {
		struct thaw_weights weights;
		size_t at = (random = random * 1664525u + 1013904223u) % length;

		bytes[at] ^= (char)(1 << (i & 7));
		write_file(bytes, length);
		if (thaw_weights_open(path, &weights) == THAW_OK) {
			bool same = same_tensors(&weights, good->counted);

			if (has_checksums && !same)
				TEST_FAIL("'%s' with bit %d of byte %zu flipped has other weights", good->name, i & 7, at);
			thaw_weights_release(&weights);
		}
		bytes[at] ^= (char)(1 << (i & 7));
	}
}

/* One tensor of these numbers. */
static void check_one(const char *name, const float *want, int count)
{
	struct thaw_weights weights;
	const struct thaw_weight *tensor;
	float got[4] = {0};

	if (thaw_weights_open(path, &weights)) {
		TEST_FAIL("%s", thaw_fail_text());
		return;
	}
	tensor = thaw_weights_find(&weights, name);
	CHECK(tensor && tensor->rank == 1 && tensor->elems == count);
	if (tensor)
		thaw_weight_copy(tensor, got);
	CHECK(memcmp(got, want, (size_t)count * sizeof *got) == 0);
	CHECK(weights.facts.arch[0] || (!weights.facts.crop && !weights.facts.classes)); /* all is known, or nothing */
	thaw_weights_release(&weights);
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

static const struct {
	const char *name, *words;
} bads[] = {
	{"bad-os-system", "asks for 'os.system', which weights do not need"},
	{"bad-posix-system", "asks for 'posix.system'"},
	{"bad-eval", "asks for 'builtins.eval'"},
	{"bad-getattr", "asks for 'builtins.getattr'"},
	{"bad-dotted-name", "asks for 'torch.hub.load'"},
	{"bad-load-inside", "asks for 'torch.load'"},
	{"bad-from-file", "asks for 'torch.storage.UntypedStorage'"},
	{"bad-whole-model", "asks for 'torchvision.models.resnet.ResNet', which weights do not need: refused; what "
						"torch.save(model.state_dict(), ...) writes is read"},
	{"bad-script", "it is TorchScript: "},
	{"bad-numpy", "asks for 'numpy.core.multiarray.load'"},
	{"bad-stack-global", "opcode 0x93, which weights do not need"},
	{"bad-inst", "opcode 0x69"},
	{"bad-obj", "opcode 0x6f"},
	{"bad-newobj-ex", "opcode 0x92"},
	{"bad-ext", "opcode 0x82"},
	{"bad-persid-text", "opcode 0x50"},
	{"bad-long-name", "a name without an end"},
	{"bad-call-storage", "its pickle has a call that torch.save() does not write"},
	{"bad-call-text", "a call of what is no name"},
	{"bad-build-list", "a state of what has none"},
	{"bad-build-tensor", "a state of what has none"},
	{"bad-items-of-tensor", "items of what is no container"},
	{"bad-items-of-text", "items of what is no container"},
	{"bad-append-to-dict", "items of what is no container"},
	{"bad-odd-items", "items of nothing"},
	{"bad-no-mark", "items of nothing"},
	{"bad-tuple-of-mark", "a tuple of nothing"},
	{"bad-memo-missing", "a memo that was never made"},
	{"bad-memo-far", "a memo of nothing"},
	{"bad-long-text", "a text that is cut short"},
	{"bad-protocol", "pickle protocol 4: only 2 is read"},
	{"bad-module-id", "its pickle has a storage that torch.save() does not write"},
	{"bad-short-id", "its pickle has a storage that torch.save() does not write"},
	{"bad-text-id", "its pickle has a storage that torch.save() does not write"},
	{"bad-typeless-id", "its pickle has a storage that torch.save() does not write"},
	{"bad-negative-id", "its pickle has a storage that torch.save() does not write"},
	{"bad-tensor-of-text", "its pickle has a tensor that torch.save() does not write"},
	{"bad-nine-dims", "its pickle has a tensor that torch.save() does not write"},
	{"bad-rank-differs", "its pickle has a tensor that torch.save() does not write"},
	{"bad-real-dims", "its pickle has a tensor that torch.save() does not write"},
	{"bad-size-of-list", "its pickle has a size that torch.save() does not write"},
	{"bad-parameter-of-none", "its pickle has a parameter that torch.save() does not write"},
	{"bad-pairs-of-three", "its pickle has a dictionary that torch.save() does not write"},
	{"bad-no-stop", "it ends at byte"},
	{"bad-short-number", "a number that is cut short"},
	{"bad-empty-pickle", "an end too early"},
	{"bad-two-left", "an end too early"},
	{"bad-mark-left", "an end too early"},
	{"bad-no-dict", "holds no state dict: torch.save(model.state_dict(), ...) writes one"},
	{"bad-no-tensors", "holds no tensors"},
	{"bad-other-box", "holds no tensors where weights are looked for; its keys are 'student', 'epoch'"},
	{"bad-four-times", "tensor 'w4' and those before it are four times as long as the file"},
	{"bad-missing-storage", "its pickle names storage '7', which is not there"},
	{"bad-long-storage", "storage '0' claims 5 numbers and has 16 bytes"},
	{"bad-two-gigabytes", "storage '0' claims 536870912 numbers and has 16 bytes"},
	{"bad-beyond", "'w' reaches beyond its storage"},
	{"bad-far-offset", "'w' begins outside its storage"},
	{"bad-negative-offset", "'w' begins outside its storage"},
	{"bad-negative-size", "'w' has a negative size or stride"},
	{"bad-negative-stride", "'w' has a negative size or stride"},
	{"bad-far-stride", "'w' reaches beyond its storage"},
	{"bad-huge-product", "'w' has more elements than its storage"},
	{"bad-expanded", "'w' has more elements than its storage"},
	{"bad-same-name", "two tensors are called 'w'"},
	{"bad-same-name-unwrapped", "two tensors are called 'w'"},
	{"bad-nameless", "a tensor whose name is empty"},
	{"bad-zero-in-name", "or has a zero in it"},
	{"bad-zero-in-key", "which is not there"},
	{"bad-endless-name", "over 255 bytes"},
	{"bad-bottomless", "a memo that was never made"},
	{"bad-compressed", "'x/data.pkl' in it is compressed"},
	{"bad-overlap", "entries of its zip directory overlap"},
	{"bad-twins", "two entries of its zip directory have the same name"},
	{"bad-encrypted", "'x/data/1' in it is encrypted"},
	{"bad-long-entry", "'x/data/1' is not where its zip directory says"},
	{"bad-checksum", "the checksum of 'x/data/0' differs"},
	{"bad-no-pickle", "is a zip file, and not one of torch.save()"},
	{"bad-other-zip", "is a zip file, and not one of torch.save()"},
	{"bad-big-endian", "was written on a big-endian machine"},
	{"bad-no-directory", "no directory of its zip file at its end"},
	{"bad-empty-zip", "its zip directory is empty"},
	{"bad-stream-protocol", "is of another protocol version than 1001"},
	{"bad-stream-big-endian", "was written on a big-endian machine"},
	{"bad-stream-view", "its pickle has a view of a storage that torch.save() does not write"},
	{"bad-stream-view-read", "'w' has more elements than its storage"},
	{"bad-stream-keys", "no list of storages"},
	{"bad-stream-other-key", "one that nothing uses, or one twice"},
	{"bad-stream-no-key", "a storage that its pickle names is not there"},
	{"bad-stream-number-key", "one that nothing uses, or one twice"},
	{"bad-stream-twice", "one that nothing uses, or one twice"},
	{"bad-stream-count", "a storage claims 1152921504606846976 elements"},
	{"bad-stream-short", "is cut short: 4 bytes are missing"},
	{"bad-stream-system", "asks for 'os.system'"},
	{"bad-tar-member", "no 'storages' in it"},
	{"bad-tar-key", "refers to a tensor that is not there"},
	{"bad-tar-storage", "a tensor without a storage"},
	{"bad-tar-twins", "two storages or tensors with the same key"},
	{"bad-tar-system", "asks for 'os.system12345678901234'"},
	{"bad-tar-view", "a view that reaches beyond its storage"},
	{"bad-tar-count", "a count that is no number"},
	{"bad-tar-elems", "a storage with more elements than the file has bytes"},
	{"bad-tar-dims", "a tensor of more than 8 dimensions"},
	{"bad-safe-header-long", "its header claims 1099511627776 bytes"},
	{"bad-safe-header-short", "its header is not JSON"},
	{"bad-safe-not-json", "its header is not JSON"},
	{"bad-safe-not-utf8", "its header is not JSON"},
	{"bad-safe-nested", "its header is not JSON"},
	{"bad-safe-list", "has not dtype, shape and data_offsets"},
	{"bad-safe-twins", "its header is not JSON"},
	{"bad-safe-twin-keys", "its header is not JSON"},
	{"bad-safe-extra-key", "has not dtype, shape and data_offsets, or more than them"},
	{"bad-safe-dtype", "has a dtype that is not read"},
	{"bad-safe-dtype-number", "has a dtype that is not read"},
	{"bad-safe-shape-real", "has a shape that is not of up to 8 whole numbers"},
	{"bad-safe-shape-negative", "has a shape that is not of up to 8 whole numbers"},
	{"bad-safe-shape-differs", "has a shape that does not fit its data_offsets"},
	{"bad-safe-shape-huge", "has a shape of more numbers than the file has bytes"},
	{"bad-safe-shape-nine", "has a shape that is not of up to 8 whole numbers"},
	{"bad-safe-offsets-beyond", "has data_offsets that do not lie in the file"},
	{"bad-safe-offsets-backwards", "has data_offsets that do not lie in the file"},
	{"bad-safe-offsets-three", "has data_offsets that do not lie in the file"},
	{"bad-safe-hole", "overlaps the tensor before it, or leaves a hole"},
	{"bad-safe-overlap", "overlaps the tensor before it, or leaves a hole"},
	{"bad-safe-tail", "17 bytes behind its last tensor"},
	{"bad-safe-metadata", "'__metadata__' has something else than texts"},
	{"bad-safe-metadata-list", "'__metadata__' is no object"},
	{"bad-safe-classes", "thaw.classes is not JSON"},
	{"bad-safe-classes-empty", "'thaw.classes' is not what thaw writes there"},
	{"bad-safe-classes-number", "'thaw.classes' is not what thaw writes there"},
	{"bad-safe-mean", "'thaw.mean' is not what thaw writes there"},
	{"bad-safe-mean-nan", "'thaw.mean' is not what thaw writes there"},
	{"bad-safe-mean-more", "'thaw.mean' is not what thaw writes there"},
	{"bad-safe-std", "'thaw.std' is not what thaw writes there"},
	{"bad-safe-resize", "'thaw.resize' is not what thaw writes there"},
	{"bad-safe-crop", "'thaw.crop' is not what thaw writes there"},
	{"bad-safe-crop-text", "'thaw.crop' is not what thaw writes there"},
	{"bad-safe-arch", "'thaw.arch' is not what thaw writes there"},
	{"bad-safe-crop-alone", "'thaw.crop' stands there without the other"},
	{"bad-safe-resize-large", "'thaw.resize' is not what thaw writes there"},
	{"bad-safe-arch-alone", "'thaw.arch' stands there without thaw.std"},
	{"bad-safe-nothing", "holds no tensors"},
	{"bad-plain-pickle", "is a pickle, and not one of torch.save()"},
	{"bad-html", "is a page of HTML"},
	{"bad-lfs", "is a pointer of Git LFS"},
	{"bad-text", "holds no weights"},
};

static void check_bad(const char *name)
{
	for (size_t i = 0; i < sizeof bads / sizeof *bads; i++)
		if (strcmp(bads[i].name, name) == 0) {
			CHECK_FAILS(try_open(), THAW_FAILED, bads[i].words);
			CHECK(strstr(thaw_fail_text(), path) != NULL);
			return;
		}
	(void)try_open();
	TEST_FAIL("'%s' is not known: %s", name, thaw_fail_text());
}

static void check_known(const char *name, char *bytes, size_t length)
{
	for (size_t i = 0; i < sizeof goods / sizeof *goods; i++)
		if (strcmp(goods[i].name, name) == 0) {
			check_good(&goods[i]);
			check_cut(&goods[i], bytes, length);
			check_flips(&goods[i], bytes, length);
			return;
		}
	TEST_FAIL("'%s' is in no list", name);
}

static void check(const char *name, char *bytes, size_t length)
{
	static const float four[] = {-1.5f, -1.375f, -1.25f, -1.125f};

	write_file(bytes, length);
	if (strcmp(name, "one-tensor") == 0)
		check_one("fc.bias", four, 4);
	else if (strcmp(name, "stream-view") == 0)
		check_one("fc.bias", four + 1, 2);
	else if (strncmp(name, "safetensors-one", 15) == 0 || strcmp(name, "safetensors-facts") == 0 || strcmp(name, "safetensors-empty-tensor") == 0)
		check_one("w", four, 4);
	else if (strncmp(name, "bad-", 4) == 0)
		check_bad(name);
	else
		check_known(name, bytes, length);
}

static void test_files(const char *golden)
{
	struct fixtures f = fixtures_open(golden, "weights.bin");
	size_t count = 0;

	for (; fixtures_next(&f); count++) {
		snprintf(path, sizeof path, "%s/%s", folder, f.name);
		check(f.name, f.bytes, f.length);
		unlink(path);
	}
	CHECK_INT(count, sizeof goods / sizeof *goods + sizeof bads / sizeof *bads + 6);
}

/* --- the interpreter --------------------------------------------------------------------------------------------- */

static thaw_status interpret(const void *bytes, size_t length)
{
	struct thaw_pickle pickle = {.path = "x", .rules = &thaw_torch_rules, .at = bytes};
	struct thaw_pickle_value *value;
	thaw_status status;

	pickle.end = pickle.at + length;
	status = thaw_pickle_read(&pickle, &value);
	thaw_pickle_release(&pickle);
	return status;
}

/* Alone, only those opcodes make a value that need nothing. */
static void test_opcodes(void)
{
	static const char alone[] = "N)]}\x88\x89";

	for (int opcode = 0; opcode < 256; opcode++) {
		const uint8_t program[] = {0x80, 2, (uint8_t)opcode, '.'};
		bool makes = opcode && strchr(alone, opcode >= 128 ? opcode - 256 : opcode);

		if ((interpret(program, sizeof program) == THAW_OK) != makes)
			TEST_FAIL("opcode 0x%02x: %s", (unsigned)opcode, makes ? thaw_fail_text() : "is a value");
	}
}

/* Values are bounded, however long a pickle is. */
static void test_limits(void)
{
	static char bytes[3 << 20], many[17 << 20];

	memset(bytes, ']', sizeof bytes);
	CHECK_FAILS(interpret(bytes, sizeof bytes), THAW_FAILED, "more than 32 MiB of values");
	memset(bytes, '(', sizeof bytes);
	CHECK_FAILS(interpret(bytes, sizeof bytes), THAW_FAILED, "MiB of values");
	for (size_t i = 0; i + 1 < sizeof bytes; i += 2)
		memcpy(bytes + i, i ? "h\0" : "Nq", 2);
	bytes[2] = '\0'; /* N, q 0, then h 0 again and again */
	for (size_t i = 3; i + 1 < sizeof bytes; i += 2)
		memcpy(bytes + i, "h\0", 2);
	CHECK_FAILS(interpret(bytes, sizeof bytes), THAW_FAILED, "a stack that is too deep");
	for (size_t i = 0; i + 1 < sizeof many; i += 2)
		memcpy(many + i, "\x80\2", 2); /* makes nothing */
	CHECK_FAILS(interpret(many, sizeof many), THAW_FAILED, "its pickles have more than 16 MiB");
}

/* A header of the longest length allowed, of what takes the most memory as JSON. Neither it nor anything else here took
 * 200 MiB. */
static void test_memory(void)
{
	static uint8_t bytes[8 + (768 << 10) + 8]; /* {"w":[[],[],...,[]]} and eight bytes more */
	uint64_t length = 768 << 10;
	struct rusage usage;

	memcpy(bytes, &length, 8);
	for (size_t i = 8; i < 8 + length; i += 3)
		memcpy(bytes + i, "[],", 3);
	memcpy(bytes + 8, "{\"w\":[", 6);
	memcpy(bytes + 2 + length, "[]]}  ", 6);
	write_file(bytes, sizeof bytes);
	CHECK_FAILS(try_open(), THAW_FAILED, "has not dtype, shape and data_offsets");
	length++;
	memcpy(bytes, &length, 8);
	write_file(bytes, sizeof bytes);
	CHECK_FAILS(try_open(), THAW_FAILED, "its header has 786433 bytes, allowed are 786432");
	unlink(path);
	getrusage(RUSAGE_SELF, &usage);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	CHECK(usage.ru_maxrss < 200 << 10);
#endif
}

/* --- what is written --------------------------------------------------------------------------------------------- */

/* Wide numbers first, whatever order they come in; the header is filled up to 8 bytes. */
static void test_bytes(void)
{
	static const char header[] = "{\"__metadata__\": {\"format\": \"pt\"}, "
								 "\"z\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [0, 8]}, "
								 "\"a\": {\"dtype\": \"F32\", \"shape\": [2, 1], \"data_offsets\": [8, 16]}}";
	static const float floats[] = {1.5f, -2};
	static const int64_t seven = 7;
	const struct thaw_weight list[] = {
		{.name = "a", .dtype = THAW_F32, .rank = 2, .dims = {2, 1}, .strides = {1, 1}, .elems = 2,
		 .data = (const uint8_t *)floats},
		{.name = "z", .dtype = THAW_I64, .elems = 1, .data = (const uint8_t *)&seven},
	};
	const struct thaw_weights_facts nothing = {.resize = 0};
	uint64_t length, padded = (sizeof header - 1 + 7) / 8 * 8;
	char *bytes = NULL;
	size_t got;

	CHECK_OK(thaw_weights_write(path, &nothing, list, 2, NULL));
	CHECK_OK(thaw_file_read(path, 4096, &bytes, &got));
	CHECK_INT(got, 8 + padded + 16);
	memcpy(&length, bytes, 8);
	CHECK_INT(length, padded);
	CHECK(memcmp(bytes + 8, header, sizeof header - 1) == 0);
	for (size_t i = sizeof header - 1; i < padded; i++)
		CHECK(bytes[8 + i] == ' ');
	CHECK(memcmp(bytes + 8 + padded, &seven, 8) == 0);
	CHECK(memcmp(bytes + 16 + padded, floats, 8) == 0);
	free(bytes);
}

/* What is known of a network comes back, and numbers as the type says. */
static void test_round_trip(void)
{
	static const char *const classes[] = {"ants", "\"bees\"", "\xc3\xa9t\xc3\xa9"};
	static const float floats[] = {1, 0.1f, -65504, 1e-8f};
	const struct thaw_weight tensor = {.name = "w", .dtype = THAW_F32, .rank = 2, .dims = {2, 2}, .strides = {1, 2},
	                                   .elems = 4, .data = (const uint8_t *)floats};
	const struct thaw_weights_facts facts = {"resnet18", {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f},
	                                         256, 224, 3, classes};
	enum thaw_dtype half = THAW_F16;
	struct thaw_weights weights;
	float got[4];

	CHECK_OK(thaw_weights_write(path, &facts, &tensor, 1, &half));
	CHECK_OK(thaw_weights_open(path, &weights));
	CHECK_TEXT(weights.facts.arch, "resnet18");
	CHECK(memcmp(weights.facts.mean, facts.mean, sizeof facts.mean) == 0);
	CHECK(memcmp(weights.facts.std, facts.std, sizeof facts.std) == 0);
	CHECK_INT(weights.facts.resize, 256);
	CHECK_INT(weights.facts.crop, 224);
	CHECK_INT(weights.facts.classes, 3);
	for (int i = 0; i < 3; i++)
		CHECK_TEXT(weights.facts.names[i], classes[i]);
	CHECK_INT(weights.tensors[0].dtype, THAW_F16);
	thaw_weight_copy(&weights.tensors[0], got);
	CHECK(got[0] == 1 && got[1] == -65504 && got[3] == 0); /* columns became rows */
	CHECK_NEAR(got[2], 0.1, 0.1 / 2048);
	thaw_weights_release(&weights);
}

/* The largest number that rounds to one of F16, and the next. */
static void test_overflow(void)
{
	const struct thaw_weights_facts nothing = {.resize = 0};
	float floats[] = {65519.996f, -INFINITY};
	const struct thaw_weight tensor = {.name = "w", .dtype = THAW_F32, .rank = 1, .dims = {2}, .strides = {1}, .elems = 2,
	                                   .data = (const uint8_t *)floats};
	enum thaw_dtype half = THAW_F16;

	CHECK_OK(thaw_weights_write(path, &nothing, &tensor, 1, &half));
	floats[0] = -65520;
	CHECK_FAILS(thaw_weights_write(path, &nothing, &tensor, 1, &half), THAW_FAILED,
	            "'w' has -65520 in it, and the largest number of F16 is 65504");
}

/* A checkpoint that could be resumed by nobody. */
static void test_normalisation(void)
{
	static const char *const classes[] = {"ants", "bees"};
	const double losses[2] = {0};
	float value = 1;
	const struct thaw_checkpoint_facts facts = {.replicas = 1, .losses = losses, .metric = "top1", .arch = "resnet20",
	                                            .std = {1, 0, 1}, .classes = 2, .names = classes, .job = "", .build = ""};
	const struct thaw_checkpoint_tensor tensor = {"model/w", 1, {1}, &value};

	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, &tensor, 1));
	CHECK_FAILS(try_open(), THAW_FAILED, "normalised by mean 0, std 0: allowed are finite numbers, std above 0");
}

/* A folder that is not there. */
static void test_no_folder(void)
{
	const struct thaw_weights_facts nothing = {.resize = 0};
	const float one = 1;
	const struct thaw_weight tensor = {.name = "w", .elems = 1, .data = (const uint8_t *)&one};

	CHECK_FAILS(thaw_weights_write("/nowhere/x.safetensors", &nothing, &tensor, 1, NULL), THAW_FAILED,
	            "'/nowhere/x.safetensors");
}

int main(int argc, char **argv)
{
	if (!mkdtemp(folder) && !mkdtemp(strcpy(folder, "/tmp/weights_test.XXXXXX")))
		return 1;
	snprintf(path, sizeof path, "%s/x.safetensors", folder);
	test_bytes();
	test_round_trip();
	test_overflow();
	test_normalisation();
	test_no_folder();
	unlink(path);
	if (argc > 1)
		test_files(argv[1]);
	test_opcodes();
	test_limits();
	test_memory();
	rmdir(folder);
	return TEST_END();
}
