/* thaw weights: what a file of weights holds, and writing it as safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "io/weights.h"
#include "nn/models.h"
#include "runner/commands.h"
#include "runner/fit.h"

enum { LISTED = 10 }; /* classes */

struct arguments {
	const char *verb, *in, *out, *dtype;
	struct thaw_texts renames, drops;
	bool drop_head, json;
};

/* --- what a file holds ------------------------------------------------------------------------------------------- */

/* What the file's network is. */
struct finding {
	const char *arch;    /* all of it is there; NULL: of none */
	const char *nearest; /* whose tensors are there most nearly; NULL: none are */
	struct thaw_fit fit;
	struct thaw_text list;
};

static thaw_status find(const struct thaw_weights *weights, struct finding *finding)
{
	thaw_status status;

	*finding = (struct finding){.list = THAW_TEXT_EMPTY};
	status = thaw_fit_arch(weights, &finding->nearest, &finding->fit, &finding->list);
	if (!status && thaw_fit_is_whole(&finding->fit) && !finding->fit.other_family)
		finding->arch = finding->nearest;
	return status;
}

static int64_t count_of(const struct thaw_weights *weights, enum thaw_dtype dtype, int64_t *elems_out)
{
	int64_t count = 0;

	*elems_out = 0;
	for (int i = 0; i < weights->count; i++)
		if (weights->tensors[i].dtype == dtype) {
			count++;
			*elems_out += weights->tensors[i].elems;
		}
	return count;
}

static void add_tensors(struct thaw_text *lines, const struct thaw_weights *weights)
{
	char shape[192], number[32];

	for (int i = 0; i < weights->count; i++) {
		const struct thaw_weight *tensor = &weights->tensors[i];

		thaw_text_add(lines, "  %-4s  %-20s  ", thaw_dtype_name(tensor->dtype),
		              thaw_shape_text(tensor->rank, tensor->dims, shape));
		thaw_text_add_printable(lines, tensor->name);
		thaw_text_add(lines, "\n");
	}
	thaw_text_add(lines, "  tensors     %d tensor%s", weights->count, thaw_plural(weights->count));
	for (int i = 0; i < THAW_DTYPES; i++) {
		int64_t elems, count = count_of(weights, (enum thaw_dtype)i, &elems);

		if (count > 0)
			thaw_text_add(lines, ", %lld of %s with %s number%s", (long long)count, thaw_dtype_name((enum thaw_dtype)i),
			              thaw_count_text(elems, number), thaw_plural(elems));
	}
	thaw_text_add(lines, "\n");
}

static void add_facts(struct thaw_text *lines, const struct thaw_weights_facts *facts)
{
	if (!facts->arch[0])
		return;
	thaw_text_add(lines, "  trained as  %s, normalised with mean %g %g %g, std %g %g %g\n", facts->arch,
	              (double)facts->mean[0], (double)facts->mean[1], (double)facts->mean[2], (double)facts->std[0],
	              (double)facts->std[1], (double)facts->std[2]);
	if (facts->crop > 0)
		thaw_text_add(lines, "  pictures    of %d pixels, cropped to %d\n", facts->resize, facts->crop);
	for (int i = 0; i < facts->classes && i < LISTED; i++) {
		thaw_text_add(lines, "%s", i ? ", " : "  classes     ");
		thaw_text_add_printable(lines, facts->names[i]);
	}
	if (facts->classes > LISTED)
		thaw_text_add(lines, " and %d more", facts->classes - LISTED);
	if (facts->classes > 0)
		thaw_text_add(lines, "\n");
}

/* Moves the words, in which names of the file may be, to a line of their own. */
static void add_line(struct thaw_text *lines, const char *of, struct thaw_text *words)
{
	thaw_text_add(lines, "  %-10s  ", of);
	if (words->length > 0)
		thaw_text_add_printable(lines, words->data);
	thaw_text_add(lines, "\n");
	lines->out_of_memory |= words->out_of_memory;
	thaw_text_release(words);
}

/* Which network it is, or is not. */
static void add_finding(struct thaw_text *lines, const struct finding *finding)
{
	const struct thaw_fit *fit = &finding->fit;
	struct thaw_text words = THAW_TEXT_EMPTY;

	if (finding->arch && fit->head_classes > 0)
		thaw_text_add(&words, "%s, %lld class%s", finding->arch, (long long)fit->head_classes,
		              fit->head_classes == 1 ? "" : "es");
	else if (finding->arch)
		thaw_text_add(&words, "%s, without a head", finding->arch);
	else if (fit->prefix[0])
		thaw_text_add(&words, "no architecture of thaw: names begin with '%s', --rename %s= takes it away", fit->prefix,
		              fit->prefix);
	else if (fit->other_family)
		thaw_text_add(&words, "no architecture of thaw: it is %s", fit->other_family);
	else if (finding->nearest)
		thaw_text_add(&words, "no architecture of thaw; nearest is %s: %s", finding->nearest, finding->list.data);
	else
		thaw_text_add(&words, "no architecture of thaw");
	add_line(lines, "fits", &words);
	if (finding->arch && fit->left_over > 0) {
		thaw_text_add(&words, "%s", finding->list.data);
		add_line(lines, "besides", &words);
	}
	if (fit->head[0]) {
		thaw_text_add(&words, "--rename %s=%.*s. makes a head of it", fit->head, (int)strcspn(fit->head, "."), fit->head);
		add_line(lines, "", &words);
	}
}

static thaw_status log_all(const struct thaw_weights *weights, const struct finding *finding)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add_printable(&lines, weights->path);
	thaw_text_add(&lines, "\n");
	add_tensors(&lines, weights);
	thaw_text_add(&lines, "  format      %s%s%s%s%s%s\n", weights->format,
	              weights->container[0] ? ", weights under '" : "", weights->container,
	              weights->container[0] ? "'" : "", weights->prefix[0] ? ", names without " : "", weights->prefix);
	add_facts(&lines, &weights->facts);
	add_finding(&lines, finding);
	status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	return status;
}

/* What the file says of its network; null: nothing. */
static void add_trained(struct thaw_text *json, const struct thaw_weights_facts *facts)
{
	if (!facts->arch[0]) {
		thaw_json_text(json, "trained", NULL);
		return;
	}
	thaw_json_open(json, "trained", '{');
	thaw_json_text(json, "arch", facts->arch);
	thaw_json_open(json, "mean", '[');
	for (int c = 0; c < 3; c++)
		thaw_json_number(json, NULL, (double)facts->mean[c]);
	thaw_json_close(json, ']');
	thaw_json_open(json, "std", '[');
	for (int c = 0; c < 3; c++)
		thaw_json_number(json, NULL, (double)facts->std[c]);
	thaw_json_close(json, ']');
	thaw_json_integer(json, "resize", facts->resize);
	thaw_json_integer(json, "crop", facts->crop);
	thaw_json_open(json, "classes", '[');
	for (int i = 0; i < facts->classes; i++)
		thaw_json_text(json, NULL, facts->names[i]);
	thaw_json_close(json, ']');
	thaw_json_close(json, '}');
}

static thaw_status print_json(const struct thaw_weights *weights, const struct finding *finding)
{
	struct thaw_text json = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_json_open(&json, NULL, '{');
	thaw_json_text(&json, "file", weights->path);
	thaw_json_text(&json, "format", weights->format);
	thaw_json_text(&json, "container", weights->container[0] ? weights->container : NULL);
	thaw_json_text(&json, "prefix", weights->prefix[0] ? weights->prefix : NULL);
	thaw_json_text(&json, "arch", finding->arch);
	thaw_json_text(&json, "other_family", finding->fit.other_family);
	thaw_json_text(&json, "rename", finding->arch || !finding->fit.prefix[0] ? NULL : finding->fit.prefix);
	thaw_json_integer(&json, "classes", finding->arch ? finding->fit.head_classes : 0);
	thaw_json_text(&json, "nearest", finding->nearest);
	thaw_json_integer(&json, "missing", finding->fit.missing);
	thaw_json_integer(&json, "misshapen", finding->fit.misshapen);
	thaw_json_integer(&json, "left_over", finding->fit.left_over);
	add_trained(&json, &weights->facts);
	thaw_json_open(&json, "tensors", '[');
	for (int i = 0; i < weights->count; i++) {
		thaw_json_open(&json, NULL, '{');
		thaw_json_text(&json, "name", weights->tensors[i].name);
		thaw_json_text(&json, "dtype", thaw_dtype_name(weights->tensors[i].dtype));
		thaw_json_open(&json, "shape", '[');
		for (int d = 0; d < weights->tensors[i].rank; d++)
			thaw_json_integer(&json, NULL, weights->tensors[i].dims[d]);
		thaw_json_close(&json, ']');
		thaw_json_close(&json, '}');
	}
	thaw_json_close(&json, ']');
	thaw_json_close(&json, '}');
	status = thaw_text_status(&json);
	if (!status)
		thaw_log_print("%s", json.data);
	thaw_text_release(&json);
	return status;
}

static thaw_status inspect(const struct arguments *a, const struct thaw_weights *weights)
{
	struct finding finding;
	thaw_status status = find(weights, &finding);

	if (!status)
		status = a->json ? print_json(weights, &finding) : log_all(weights, &finding);
	thaw_text_release(&finding.list);
	return status;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

/* The tensors that are written, whose names may be others than the file's. */
struct picked {
	int count;
	struct thaw_weight *tensors; /* (count) */
	char (*names)[THAW_WEIGHT_NAME];
};

/* "OLD=NEW": names that begin with OLD begin with NEW. */
static thaw_status rename_all(struct picked *picked, const char *rename)
{
	const char *equals = strchr(rename, '=');
	size_t old = equals ? (size_t)(equals - rename) : 0;
	int renamed = 0;

	if (old == 0)
		return thaw_fail(THAW_BAD_JOB, "--rename '%s': allowed is OLD=NEW", rename);
	for (int i = 0; i < picked->count; i++) {
		char name[THAW_WEIGHT_NAME];

		if (strncmp(picked->names[i], rename, old) != 0)
			continue;
		if (snprintf(name, sizeof name, "%s%s", equals + 1, picked->names[i] + old) >= (int)sizeof name || !name[0])
			return thaw_fail(THAW_BAD_JOB, "--rename '%s': '%s' would have no name, or one of over %d bytes", rename,
			                 picked->names[i], THAW_WEIGHT_NAME - 1);
		memcpy(picked->names[i], name, sizeof name);
		renamed++;
	}
	return renamed ? THAW_OK
	               : thaw_fail(THAW_BAD_JOB, "--rename '%s': no tensor begins with '%.*s'", rename, (int)old, rename);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static thaw_status check_names(const struct picked *picked)
{
	const char **names = thaw_alloc((size_t)picked->count, sizeof *names);
	thaw_status status = THAW_OK;

	if (!names)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < picked->count; i++)
		names[i] = picked->names[i];
	qsort(names, (size_t)picked->count, sizeof *names, by_name);
	for (int i = 1; i < picked->count && !status; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			status = thaw_fail(THAW_BAD_JOB, "--rename: two tensors would be called '%s'", names[i]);
	free(names);
	return status;
}

/* Leaves out what the file's architecture knows as its head. */
static thaw_status drop_head(struct picked *picked, const struct thaw_weights *weights)
{
	struct finding finding;
	struct thaw_net *net;
	thaw_status status = find(weights, &finding);
	int left = 0;

	thaw_text_release(&finding.list);
	if (!status && !finding.arch)
		status = thaw_fail(THAW_BAD_JOB, "--drop-head: '%s' fits no architecture of thaw, so its head is not known",
		                   weights->path);
	if (!status)
		status = thaw_model_build(finding.arch, 2, THAW_FIT_SIZE, &net);
	if (status)
		return status;
	for (int i = 0; i < picked->count; i++)
		if (!thaw_fit_is_head(net, picked->tensors[i].name)) {
			picked->tensors[left] = picked->tensors[i];
			memmove(picked->names[left++], picked->names[i], sizeof *picked->names);
		}
	thaw_net_free(net);
	picked->count = left;
	return THAW_OK;
}

/* Leaves out what begins with these words. */
static thaw_status drop(struct picked *picked, const char *begin)
{
	int left = 0, count = picked->count;

	for (int i = 0; i < count; i++)
		if (strncmp(picked->names[i], begin, strlen(begin)) != 0) {
			picked->tensors[left] = picked->tensors[i];
			memmove(picked->names[left++], picked->names[i], sizeof *picked->names);
		}
	picked->count = left;
	if (left == count)
		return thaw_fail(THAW_BAD_JOB, "--drop '%s': no tensor begins so", begin);
	return left > 0 ? THAW_OK : thaw_fail(THAW_BAD_JOB, "--drop '%s': no tensor is left", begin);
}

static thaw_status find_dtype(const char *name, enum thaw_dtype *dtype_out)
{
	static const struct {
		const char *name;
		enum thaw_dtype dtype;
	} dtypes[] = {{"f32", THAW_F32}, {"f16", THAW_F16}, {"bf16", THAW_BF16}};

	for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
		if (strcmp(dtypes[i].name, name) == 0) {
			*dtype_out = dtypes[i].dtype;
			return THAW_OK;
		}
	return thaw_fail(THAW_BAD_JOB, "--dtype '%s': allowed are f32, f16 and bf16", name);
}

/* What stands at the place of the output is replaced only if it is safetensors too. */
static thaw_status check_out(const char *in, const char *path)
{
	struct stat of_in, of_out;
	static const char end[] = ".safetensors";
	struct thaw_weights there;
	size_t length = strlen(path);
	thaw_status status;
	bool same;

	if (length < strlen(end) || strcmp(path + length - strlen(end), end) != 0)
		return thaw_fail(THAW_BAD_JOB, "'%s': thaw writes safetensors: call it so, like 'x.safetensors'", path);
	if (!thaw_file_exists(path))
		return THAW_OK;
	if (stat(in, &of_in) == 0 && stat(path, &of_out) == 0 && of_in.st_dev == of_out.st_dev &&
	    of_in.st_ino == of_out.st_ino)
		return thaw_fail(THAW_BAD_JOB, "'%s' is the file that is read: it is not replaced", path);
	status = thaw_weights_open(path, &there);
	if (status == THAW_OUT_OF_MEMORY)
		return status;
	if (status)
		return thaw_fail(THAW_BAD_JOB, "'%s' is there and cannot be read as safetensors: left as it is", path);
	same = strcmp(there.format, "safetensors") == 0;
	thaw_weights_release(&there);
	return same ? THAW_OK : thaw_fail(THAW_BAD_JOB, "'%s' is there and no safetensors: left as it is", path);
}

static thaw_status pick(const struct arguments *a, const struct thaw_weights *weights, struct picked *picked)
{
	thaw_status status = THAW_OK;

	for (int i = 0; i < weights->count; i++)
		if (strcmp(weights->tensors[i].name, "n_averaged") != 0) { /* of torch's AveragedModel, and of no network */
			picked->tensors[picked->count] = weights->tensors[i];
			snprintf(picked->names[picked->count++], sizeof *picked->names, "%s", weights->tensors[i].name);
		}
	if (a->drop_head)
		status = drop_head(picked, weights);
	for (int i = 0; i < a->drops.count && !status; i++)
		status = drop(picked, a->drops.text[i]);
	for (int i = 0; i < a->renames.count && !status; i++)
		status = rename_all(picked, a->renames.text[i]);
	for (int i = 0; i < picked->count; i++)
		picked->tensors[i].name = picked->names[i];
	return status ? status : check_names(picked);
}

static thaw_status convert(const struct arguments *a, const struct thaw_weights *weights)
{
	struct thaw_weights_facts facts = weights->facts;
	struct picked picked = {
		.tensors = thaw_alloc((size_t)weights->count, sizeof *picked.tensors),
		.names = thaw_alloc((size_t)weights->count, sizeof *picked.names),
	};
	enum thaw_dtype dtype = THAW_F32;
	thaw_status status = picked.tensors && picked.names ? THAW_OK : THAW_OUT_OF_MEMORY;

	if (a->drop_head)
		facts.classes = 0;
	if (!status && a->dtype)
		status = find_dtype(a->dtype, &dtype);
	if (!status)
		status = check_out(a->in, a->out);
	if (!status)
		status = pick(a, weights, &picked);
	if (!status)
		status = thaw_weights_write(a->out, &facts, picked.tensors, picked.count, a->dtype ? &dtype : NULL);
	if (!status && facts.classes > 0 && !thaw_weights_can_name(&facts))
		thaw_warn("'%s' is without the names of classes: not all of them are UTF-8", a->out);
	if (!status)
		thaw_log("%s  %d tensor%s from %s (%s)", a->out, picked.count, thaw_plural(picked.count), a->in,
		         weights->format);
	free(picked.tensors);
	free(picked.names);
	return status;
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"out", 'o', THAW_OPTION_TEXT, &a->out, 0, 0, "FILE",
	     "convert: the file to write, if not the second one given"},
		{"rename", 0, THAW_OPTION_TEXTS, &a->renames, 0, 0, "OLD=NEW",
	     "convert: names that begin with OLD begin with NEW\nmay be repeated"},
		{"drop", 0, THAW_OPTION_TEXTS, &a->drops, 0, 0, "NAME",
	     "convert: leave out all names that begin so; may be repeated"},
		{"drop-head", 0, THAW_OPTION_FLAG, &a->drop_head, 0, 0, NULL, "convert: leave the last layer out"},
		{"dtype", 0, THAW_OPTION_TEXT, &a->dtype, 0, 0, "NAME",
	     "convert: type of the numbers (as they are)\nf32: 32 bits\nf16: 16 bits, IEEE\nbf16: 16 bits, bfloat16"},
		{"json", 0, THAW_OPTION_FLAG, &a->json, 0, 0, NULL, "inspect: print one object of JSON"},
	};
	struct thaw_texts given = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &given, help_out);
	bool converts;

	if (status || *help_out)
		return status;
	a->verb = given.count > 0 ? given.text[0] : "";
	converts = strcmp(a->verb, "convert") == 0;
	if (!converts && strcmp(a->verb, "inspect") != 0)
		return thaw_fail(THAW_BAD_JOB, "thaw weights '%s': allowed are inspect and convert", a->verb);
	if (given.count < 2)
		return thaw_fail(THAW_BAD_JOB, "thaw weights %s: a file is needed", a->verb);
	a->in = given.text[1];
	if (!converts && (a->out || a->renames.count > 0 || a->drops.count > 0 || a->drop_head || a->dtype))
		return thaw_fail(
			THAW_BAD_JOB,
			"thaw weights inspect: writes nothing, so it takes no --out, --rename, --drop, --drop-head or --dtype");
	if (converts && given.count == 3 && !a->out)
		a->out = given.text[2];
	else if (given.count > 2)
		return thaw_fail(THAW_BAD_JOB, "thaw weights %s: '%s' is one file too many", a->verb, given.text[2]);
	if (converts && a->json)
		return thaw_fail(THAW_BAD_JOB, "thaw weights convert: --json belongs to inspect");
	if (converts && !a->out)
		return thaw_fail(THAW_BAD_JOB, "thaw weights convert: a file to write is needed");
	return THAW_OK;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct thaw_weights weights;
	bool help;
	thaw_status status = parse(self, argc, argv, &arguments, &help);

	if (status || help)
		return status;
	status = thaw_weights_open(arguments.in, &weights);
	if (status)
		return status;
	status = strcmp(arguments.verb, "convert") == 0 ? convert(&arguments, &weights) : inspect(&arguments, &weights);
	thaw_weights_release(&weights);
	return status;
}

const struct thaw_command thaw_command_weights = {
	.name = "weights",
	.summary = "what a file of weights holds, and writing it as safetensors",
	.synopsis = "thaw weights inspect FILE [--json]\n"
				"       thaw weights convert FILE OUT.safetensors [options]",
	.notes = "FILE is what torch.save() of any version wrote, safetensors, or a checkpoint of thaw; its content tells "
             "which.\n"
			 "Nothing in it is executed. What is written has torchvision's names: PyTorch and timm load it.\n"
			 "\n"
			 "  thaw weights inspect resnet18-f37072fd.pth\n"
			 "  thaw weights convert resnet18-f37072fd.pth resnet18.safetensors\n"
			 "  thaw weights convert runs/ants-vs-bees/best.h5 backbone.safetensors --drop-head\n",
	.run = run,
};
