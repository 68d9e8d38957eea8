#include "tests/golden/golden.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct golden {
	hid_t file;
	char path[512];
};

static void give_up(const struct golden *golden, const char *what, const char *name)
{
	printf("fixture '%s': cannot read %s '%s'\n", golden->path, what, name);
	exit(1);
}

struct golden *golden_open(const char *folder, const char *file)
{
	struct golden *golden = thaw_alloc(1, sizeof *golden);

	if (!golden)
		exit(1);
	snprintf(golden->path, sizeof golden->path, "%s/%s", folder, file);
	golden->file = H5Fopen(golden->path, H5F_ACC_RDONLY, H5P_DEFAULT);
	if (golden->file < 0)
		give_up(golden, "file", file);
	return golden;
}

void golden_close(struct golden *golden)
{
	H5Fclose(golden->file);
	free(golden);
}

int golden_count(struct golden *golden, const char *group)
{
	H5G_info_t info;
	hid_t id = H5Gopen2(golden->file, group, H5P_DEFAULT);

	if (id < 0 || H5Gget_info(id, &info) < 0)
		give_up(golden, "group", group);
	H5Gclose(id);
	return (int)info.nlinks;
}

void golden_name(struct golden *golden, const char *group, int i, char *name_out, size_t size_bytes)
{
	ssize_t length = H5Lget_name_by_idx(golden->file, group, H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, name_out,
										size_bytes, H5P_DEFAULT);

	if (length < 0 || (size_t)length >= size_bytes)
		give_up(golden, "a name in group", group);
}

/* The dataset as numbers of HDF5 memory type `type`, each `size_bytes` long. */
static void *read_whole(struct golden *golden, const char *path, hid_t type, size_t size_bytes, size_t *elems_out)
{
	hid_t dataset = H5Dopen2(golden->file, path, H5P_DEFAULT), space = dataset < 0 ? -1 : H5Dget_space(dataset);
	hssize_t elems = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
	void *values = elems < 0 ? NULL : thaw_alloc((size_t)elems, size_bytes);

	if (!values || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
		give_up(golden, "dataset", path);
	H5Sclose(space);
	H5Dclose(dataset);
	if (elems_out)
		*elems_out = (size_t)elems;
	return values;
}

double *golden_doubles(struct golden *golden, const char *path, size_t *elems_out)
{
	return read_whole(golden, path, H5T_NATIVE_DOUBLE, sizeof(double), elems_out);
}

float *golden_floats(struct golden *golden, const char *path, size_t *elems_out)
{
	return read_whole(golden, path, H5T_NATIVE_FLOAT, sizeof(float), elems_out);
}

void golden_ints(struct golden *golden, const char *path, const char *attribute, int *values_out, size_t count)
{
	hid_t id = H5Aopen_by_name(golden->file, path, attribute, H5P_DEFAULT, H5P_DEFAULT);
	hid_t space = id < 0 ? -1 : H5Aget_space(id);

	if (space < 0 || H5Sget_simple_extent_npoints(space) != (hssize_t)count ||
		H5Aread(id, H5T_NATIVE_INT, values_out) < 0)
		give_up(golden, "attribute of", path);
	H5Sclose(space);
	H5Aclose(id);
}
