#include "io/weights_torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum meaning { DICT, SIZE, STORAGE, TENSOR_TYPE, REBUILD_TENSOR, REBUILD_PARAMETER, OPAQUE };

/* Of CPU and CUDA storages, and of the tensors of the tar form. */
#define STORAGES(module)                                                                                            \
	{module, "FloatStorage", STORAGE, THAW_F32}, {module, "HalfStorage", STORAGE, THAW_F16},                        \
	{module, "BFloat16Storage", STORAGE, THAW_BF16}, {module, "DoubleStorage", STORAGE, THAW_F64},                  \
	{module, "LongStorage", STORAGE, THAW_I64}, {module, "IntStorage", STORAGE, THAW_I32},                          \
	{module, "ShortStorage", STORAGE, THAW_I16}, {module, "CharStorage", STORAGE, THAW_I8},                         \
	{module, "ByteStorage", STORAGE, THAW_U8}, {module, "BoolStorage", STORAGE, THAW_BOOL},                         \
	{module, "FloatTensor", TENSOR_TYPE, 0}, {module, "HalfTensor", TENSOR_TYPE, 0},                                \
	{module, "DoubleTensor", TENSOR_TYPE, 0}, {module, "LongTensor", TENSOR_TYPE, 0},                               \
	{module, "IntTensor", TENSOR_TYPE, 0}, {module, "ShortTensor", TENSOR_TYPE, 0},                                 \
	{module, "CharTensor", TENSOR_TYPE, 0}, {module, "ByteTensor", TENSOR_TYPE, 0}

/* What training scripts save beside the weights, like arguments, best figures and states of optimizers. Nothing of it is
 * looked into. */
#define PATHS(module)                                                                                               \
	{module, "Path", OPAQUE, 0}, {module, "PosixPath", OPAQUE, 0}, {module, "WindowsPath", OPAQUE, 0},              \
	{module, "PurePosixPath", OPAQUE, 0}, {module, "PureWindowsPath", OPAQUE, 0}
#define NUMBERS(module) {module, "scalar", OPAQUE, 0}, {module, "_reconstruct", OPAQUE, 0}
#define BUILTINS(module)                                                                                            \
	{module, "set", OPAQUE, 0}, {module, "frozenset", OPAQUE, 0}, {module, "int", OPAQUE, 0},                       \
	{module, "long", OPAQUE, 0}, {module, "float", OPAQUE, 0}, {module, "bool", OPAQUE, 0},                         \
	{module, "complex", OPAQUE, 0}, {module, "str", OPAQUE, 0}, {module, "unicode", OPAQUE, 0},                     \
	{module, "bytearray", OPAQUE, 0}, {module, "list", OPAQUE, 0}, {module, "tuple", OPAQUE, 0},                    \
	{module, "range", OPAQUE, 0}, {module, "xrange", OPAQUE, 0}, {module, "slice", OPAQUE, 0}

static const struct thaw_pickle_name names[] = {
	{"collections", "OrderedDict", DICT, 0},
	{"collections", "defaultdict", DICT, 0},
	{"collections", "Counter", DICT, 0},
	{"__builtin__", "dict", DICT, 0},
	{"builtins", "dict", DICT, 0},
	{"torch", "Size", SIZE, 0},
	STORAGES("torch"),
	STORAGES("torch.cuda"),
	{"torch._utils", "_rebuild_tensor", REBUILD_TENSOR, 0},
	{"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, 0},
	{"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
	{"torch._utils", "_rebuild_parameter_with_state", REBUILD_PARAMETER, 0},
	BUILTINS("__builtin__"),
	BUILTINS("builtins"),
	{"_codecs", "encode", OPAQUE, 0}, /* how bytes are written */
	{"argparse", "Namespace", OPAQUE, 0},
	{"types", "SimpleNamespace", OPAQUE, 0},
	{"collections", "deque", OPAQUE, 0},
	{"datetime", "date", OPAQUE, 0},
	{"datetime", "datetime", OPAQUE, 0},
	{"datetime", "timedelta", OPAQUE, 0},
	PATHS("pathlib"),
	PATHS("pathlib._local"), /* Python 3.13 */
	NUMBERS("numpy.core.multiarray"),
	NUMBERS("numpy._core.multiarray"), /* numpy 2 */
	{"numpy", "dtype", OPAQUE, 0},
	{"numpy", "ndarray", OPAQUE, 0},
	{"pytorch_lightning.utilities.parsing", "AttributeDict", OPAQUE, 0},
	{"lightning_fabric.utilities.data", "AttributeDict", OPAQUE, 0},
	{"lightning.fabric.utilities.data", "AttributeDict", OPAQUE, 0},
	{"torch", "device", OPAQUE, 0},
	{"torch", "float64", OPAQUE, 0},
	{"torch", "float32", OPAQUE, 0},
	{"torch", "float16", OPAQUE, 0},
	{"torch", "bfloat16", OPAQUE, 0},
	{"torch", "int64", OPAQUE, 0},
	{"torch", "int32", OPAQUE, 0},
	{"torch", "int16", OPAQUE, 0},
	{"torch", "int8", OPAQUE, 0},
	{"torch", "uint8", OPAQUE, 0},
	{"torch", "bool", OPAQUE, 0},
};

/* --- storages and tensors ---------------------------------------------------------------------------------------- */

struct made {
	bool is_tensor;
	union {
		struct thaw_storage storage;
		struct thaw_torch_tensor tensor;
	};
};

static struct thaw_pickle_value *make(struct thaw_pickle *pickle, struct made made)
{
	struct thaw_pickle_value *value = thaw_pickle_new(pickle, THAW_PICKLE_MADE);
	struct made *copy = value ? thaw_pickle_alloc(pickle, sizeof *copy) : NULL;

	if (!copy)
		return NULL;
	*copy = made;
	value->made = copy;
	return value;
}

struct thaw_pickle_value *thaw_torch_storage_new(struct thaw_pickle *pickle, const struct thaw_storage *storage)
{
	return make(pickle, (struct made){.is_tensor = false, .storage = *storage});
}

struct thaw_pickle_value *thaw_torch_tensor_new(struct thaw_pickle *pickle, const struct thaw_torch_tensor *tensor)
{
	return make(pickle, (struct made){.is_tensor = true, .tensor = *tensor});
}

struct thaw_storage *thaw_torch_storage(const struct thaw_pickle_value *value)
{
	struct made *made = value && value->kind == THAW_PICKLE_MADE ? value->made : NULL;

	return made && !made->is_tensor ? &made->storage : NULL;
}

const struct thaw_torch_tensor *thaw_torch_tensor(const struct thaw_pickle_value *value)
{
	const struct made *made = value && value->kind == THAW_PICKLE_MADE ? value->made : NULL;

	return made && made->is_tensor ? &made->tensor : NULL;
}

bool thaw_torch_dtype(const struct thaw_pickle_value *name, enum thaw_dtype *dtype_out)
{
	if (!name || name->kind != THAW_PICKLE_NAME || name->name->meaning != STORAGE)
		return false;
	*dtype_out = (enum thaw_dtype)name->name->detail;
	return true;
}

/* --- rules ------------------------------------------------------------------------------------------------------- */

static thaw_status fail(const struct thaw_pickle *pickle, const char *what)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: its pickle has %s that torch.save() does not write", pickle->path,
	                 what);
}

/* The numbers of a tuple; false where there are too many, or others than whole ones. */
static bool take_sizes(const struct thaw_pickle_value *tuple, int64_t sizes_out[THAW_WEIGHT_RANK])
{
	const struct thaw_pickle_item *item = tuple->first;

	if (tuple->count > THAW_WEIGHT_RANK)
		return false;
	for (int i = 0; item; item = item->next, i++) {
		if (item->value->kind != THAW_PICKLE_INT)
			return false;
		sizes_out[i] = item->value->integer;
	}
	return true;
}

/* (storage, offset, sizes, strides, ...); what follows has nothing to do with numbers. */
static thaw_status rebuild_tensor(struct thaw_pickle *pickle, const struct thaw_pickle_value *arguments,
                                  struct thaw_pickle_value **value_out)
{
	const struct thaw_pickle_value *offset = thaw_pickle_item(arguments, 1, THAW_PICKLE_INT),
								   *dims = thaw_pickle_item(arguments, 2, THAW_PICKLE_TUPLE),
								   *strides = thaw_pickle_item(arguments, 3, THAW_PICKLE_TUPLE);
	struct thaw_torch_tensor tensor = {
		.storage = thaw_torch_storage(thaw_pickle_item(arguments, 0, THAW_PICKLE_MADE)),
	};

	if (!tensor.storage || !offset || !dims || !strides || dims->count != strides->count ||
	    !take_sizes(dims, tensor.dims) || !take_sizes(strides, tensor.strides))
		return fail(pickle, "a tensor");
	tensor.offset = offset->integer;
	tensor.rank = (int)dims->count;
	*value_out = thaw_torch_tensor_new(pickle, &tensor);
	return *value_out ? THAW_OK : pickle->status;
}

/* An empty dictionary, or, as Python 2 calls it, one of a list of pairs. */
static thaw_status make_dict(struct thaw_pickle *pickle, const struct thaw_pickle_value *arguments,
                             struct thaw_pickle_value **value_out)
{
	const struct thaw_pickle_value *pairs = thaw_pickle_item(arguments, 0, THAW_PICKLE_LIST);
	struct thaw_pickle_value *dict = thaw_pickle_new(pickle, THAW_PICKLE_DICT);
	thaw_status status = dict ? THAW_OK : pickle->status;

	for (const struct thaw_pickle_item *item = pairs ? pairs->first : NULL; item && !status; item = item->next) {
		const struct thaw_pickle_value *pair = item->value;

		if ((pair->kind != THAW_PICKLE_LIST && pair->kind != THAW_PICKLE_TUPLE) || pair->count != 2)
			return fail(pickle, "a dictionary");
		status = thaw_pickle_append(pickle, dict, pair->first->value);
		if (!status)
			status = thaw_pickle_append(pickle, dict, pair->last->value);
	}
	*value_out = dict;
	return status;
}

static thaw_status call(struct thaw_pickle *pickle, const struct thaw_pickle_name *name,
                        const struct thaw_pickle_value *arguments, struct thaw_pickle_value **value_out)
{
	struct thaw_pickle_value *first = arguments->first ? arguments->first->value : NULL;

	switch ((enum meaning)name->meaning) {
	case DICT:
		return make_dict(pickle, arguments, value_out);
	case SIZE:
		if (!first || first->kind != THAW_PICKLE_TUPLE)
			return fail(pickle, "a size");
		*value_out = first;
		return THAW_OK;
	case REBUILD_TENSOR:
		return rebuild_tensor(pickle, arguments, value_out);
	case REBUILD_PARAMETER:
		if (!thaw_torch_tensor(first))
			return fail(pickle, "a parameter");
		*value_out = first;
		return THAW_OK;
	case OPAQUE:
		*value_out = thaw_pickle_new(pickle, THAW_PICKLE_OPAQUE);
		return *value_out ? THAW_OK : pickle->status;
	case STORAGE:
	case TENSOR_TYPE:
		break;
	}
	return fail(pickle, "a call");
}

/* Part of a storage: (its key, elements before it, elements in it); None is all of it. */
static bool take_view(const struct thaw_pickle_value *view, struct thaw_storage *storage)
{
	const struct thaw_pickle_value *skipped, *seen;

	if (!view || view->kind != THAW_PICKLE_TUPLE)
		return !view || view->kind == THAW_PICKLE_NONE;
	skipped = thaw_pickle_item(view, 1, THAW_PICKLE_INT);
	seen = thaw_pickle_item(view, 2, THAW_PICKLE_INT);
	if (!skipped || !seen || skipped->integer < 0 || seen->integer < 0 || skipped->integer > storage->elems ||
	    seen->integer > storage->elems - skipped->integer)
		return false;
	storage->skipped = skipped->integer;
	storage->seen = seen->integer;
	return true;
}

/* ("storage", type, key, device, elements), and in the stream which part of it. */
static thaw_status find(struct thaw_pickle *pickle, const struct thaw_pickle_value *id,
                        struct thaw_pickle_value **value_out)
{
	const struct thaw_pickle_value *key, *elems;
	const struct thaw_pickle_item *type;
	struct thaw_storage storage = {.data = NULL};

	if (id->kind != THAW_PICKLE_TUPLE || id->count < 5 || id->count > 6 ||
	    !thaw_pickle_is_text(id->first->value, "storage"))
		return fail(pickle, "a storage");
	type = id->first->next;
	key = thaw_pickle_item(id, 2, THAW_PICKLE_TEXT);
	elems = thaw_pickle_item(id, 4, THAW_PICKLE_INT);
	if (!thaw_torch_dtype(type->value, &storage.dtype) || !key || !elems || elems->integer < 0)
		return fail(pickle, "a storage");
	storage.key = key->text;
	storage.key_length = (size_t)key->count;
	storage.elems = storage.seen = elems->integer;
	if (!take_view(id->count == 6 ? id->last->value : NULL, &storage))
		return fail(pickle, "a view of a storage");
	*value_out = thaw_torch_storage_new(pickle, &storage);
	return *value_out ? THAW_OK : pickle->status;
}

static const char *advise(const char *module)
{
	return strncmp(module, "__torch__", 9) == 0
	           ? "it is TorchScript: what torch.save(torch.jit.load(...).state_dict(), ...) writes is read"
	           : "what torch.save(model.state_dict(), ...) writes is read";
}

const struct thaw_pickle_rules thaw_torch_rules = {names, sizeof names / sizeof *names, call, advise, find};

/* --- what was saved ---------------------------------------------------------------------------------------------- */

/* The dictionary under a key of a dictionary; NULL: there is none. */
static const struct thaw_pickle_value *child(const struct thaw_pickle_value *dict, const char *key)
{
	for (const struct thaw_pickle_item *item = dict->first; item; item = item->next->next)
		if (item->next->value->kind == THAW_PICKLE_DICT && thaw_pickle_is_text(item->value, key))
			return item->next->value;
	return NULL;
}

static bool has_tensors(const struct thaw_pickle_value *dict)
{
	for (const struct thaw_pickle_item *item = dict->first; item; item = item->next->next)
		if (item->value->kind == THAW_PICKLE_TEXT && thaw_torch_tensor(item->next->value))
			return true;
	return false;
}

/* Where the weights are: at most two boxes deep, as in {"model": {"state_dict": ...}}. NULL: nowhere. */
static const struct thaw_pickle_value *unpack(const struct thaw_pickle_value *dict, int depth,
                                              const char **container_out)
{
	static const char *const containers[] = {"state_dict_ema", "model_ema", "ema_state_dict", "ema",
	                                         "state_dict",     "model_state_dict", "model",   "net",
	                                         "network",        "weights",   "module"};
	const struct thaw_pickle_value *found = NULL;

	for (size_t i = 0; depth < 2 && i < sizeof containers / sizeof *containers && !found; i++) {
		const struct thaw_pickle_value *inner = child(dict, containers[i]);

		found = inner ? unpack(inner, depth + 1, container_out) : NULL;
		if (found && !**container_out)
			*container_out = containers[i];
	}
	return found || !has_tensors(dict) ? found : dict;
}

/* No weights, but these keys. */
static thaw_status fail_keys(const char *path, const struct thaw_pickle_value *root)
{
	char keys[160] = "";
	size_t length = 0;

	for (const struct thaw_pickle_item *item = root->first; item && length < sizeof keys - 40; item = item->next->next)
		if (item->value->kind == THAW_PICKLE_TEXT)
			length += (size_t)snprintf(keys + length, sizeof keys - length, "%s'%.*s'", length ? ", " : "",
			                           item->value->count < 30 ? (int)item->value->count : 30, item->value->text);
	return thaw_fail(THAW_FAILED, "'%s' holds no tensors where weights are looked for; its keys are %s", path,
	                 length ? keys : "none");
}

static thaw_status add(struct thaw_weights_reader *reader, const struct thaw_pickle_value *name,
                       const struct thaw_torch_tensor *tensor, thaw_storage_fn *locate, void *context)
{
	struct thaw_storage *storage = tensor->storage;
	uint64_t bytes = thaw_dtype_bytes(storage->dtype);
	thaw_status status = storage->data || storage->elems == 0 ? THAW_OK : locate(context, storage);

	if (status)
		return status;
	if ((uint64_t)storage->elems > storage->data_length / bytes)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: storage '%.*s' claims %lld numbers and has %llu bytes",
		                 reader->path, storage->key_length < 40 ? (int)storage->key_length : 40, storage->key,
		                 (long long)storage->elems, (unsigned long long)storage->data_length);
	return thaw_weights_add(reader, &(struct thaw_weight_claim){
		.name = name->text,
		.name_length = (size_t)name->count,
		.dtype = storage->dtype,
		.rank = tensor->rank,
		.dims = tensor->dims,
		.strides = tensor->strides,
		.data = storage->data ? storage->data + (uint64_t)storage->skipped * bytes : NULL,
		.data_length = (uint64_t)storage->seen * bytes,
		.offset = tensor->offset,
	});
}

thaw_status thaw_torch_collect(struct thaw_weights_reader *reader, const struct thaw_pickle_value *root,
                               thaw_storage_fn *locate, void *context)
{
	const struct thaw_pickle_value *weights;
	thaw_status status = THAW_OK;

	if (root->kind != THAW_PICKLE_DICT)
		return thaw_fail(THAW_FAILED, "'%s' holds no state dict: torch.save(model.state_dict(), ...) writes one",
		                 reader->path);
	weights = unpack(root, 0, &reader->weights->container);
	if (!weights)
		return fail_keys(reader->path, root);
	for (const struct thaw_pickle_item *item = weights->first; item && !status; item = item->next->next) {
		const struct thaw_torch_tensor *tensor = thaw_torch_tensor(item->next->value);

		if (tensor && item->value->kind == THAW_PICKLE_TEXT)
			status = add(reader, item->value, tensor, locate, context);
	}
	return status;
}
