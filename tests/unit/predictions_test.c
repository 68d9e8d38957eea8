/* CSV by the examples of RFC 4180, predictions written and read back, and histories of runs. */
#define _POSIX_C_SOURCE 200809L
#include "io/predictions.h"

#include "base/file.h"
#include "io/csv.h"
#include "io/history.h"
#include "tests/test.h"
#include "tests/unit/split.h"

static const char *folder;
static char path[128];

static void put(const char *text)
{
	remove(path);
	CHECK_OK(thaw_file_append(path, text, strlen(text)));
}

/* --- CSV --------------------------------------------------------------------------------------------------------- */

static void test_csv(void)
{
	static const char *const want[][3] = {{"aaa", "b\"bb", "c,c"}, {"", "", ""}, {"x\r\ny\n", "\"", ""}};
	static const int lines[] = {1, 2, 3};
	char bytes[] = "aaa,\"b\"\"bb\",\"c,c\"\r\n,,\n\"x\r\ny\n\",\"\"\"\",\"\"\nlast,without,end";
	struct thaw_csv csv;
	bool more;

	thaw_csv_init(&csv, "f.csv", bytes);
	CHECK_INT(thaw_csv_lines(&csv), 5);
	for (int r = 0; r < 3; r++) {
		CHECK_OK(thaw_csv_next(&csv, &more));
		CHECK(more);
		CHECK_INT(csv.line, lines[r]);
		CHECK_INT(csv.count, 3);
		for (int i = 0; i < 3; i++)
			CHECK_TEXT(csv.fields[i], want[r][i]);
	}
	CHECK_OK(thaw_csv_next(&csv, &more));
	CHECK(!more);
}

static void test_csv_faults(void)
{
	char open[] = "a,\"b\nc\n", behind[] = "a\n\n\"b\"c,d\n", many[200];
	struct thaw_csv csv;
	bool more;

	thaw_csv_init(&csv, "f.csv", open);
	CHECK_OK(thaw_csv_next(&csv, &more));
	CHECK(!more);
	thaw_csv_init(&csv, "f.csv", behind);
	CHECK_OK(thaw_csv_next(&csv, &more));
	CHECK_OK(thaw_csv_next(&csv, &more));
	CHECK_INT(csv.count, 1);
	CHECK_FAILS(thaw_csv_next(&csv, &more), THAW_FAILED, "'f.csv', line 3: a field is followed by 'c,d?'");
	memset(many, ',', sizeof many - 2);
	many[sizeof many - 2] = '\n';
	many[sizeof many - 1] = '\0';
	thaw_csv_init(&csv, "f.csv", many);
	CHECK_FAILS(thaw_csv_next(&csv, &more), THAW_FAILED, "line 1 has more than 64 fields");
}

static void test_csv_numbers(void)
{
	char bytes[] = "12,1e2,x,,1 ,99999999999999999999,nan,-1\n";
	struct thaw_csv csv;
	int64_t integer = 7;
	double number = 7;
	bool more;

	thaw_csv_init(&csv, "f.csv", bytes);
	CHECK_OK(thaw_csv_next(&csv, &more));
	CHECK_OK(thaw_csv_integer(&csv, 0, "n", 0, 12, &integer));
	CHECK_INT(integer, 12);
	CHECK_OK(thaw_csv_number(&csv, 1, "n", 0, 100, &number));
	CHECK_NEAR(number, 100, 0);
	CHECK_FAILS(thaw_csv_integer(&csv, 0, "n", 0, 11, &integer), THAW_FAILED,
	            "'f.csv', line 1: n is '12', allowed are numbers from 0 to 11");
	for (int i = 1; i < 8; i++)
		CHECK_FAILS(thaw_csv_integer(&csv, i, "n", 0, INT64_MAX, &integer), THAW_FAILED, "line 1: n is '");
	for (int i = 2; i < 8; i++)
		if (i != 5)
			CHECK_FAILS(thaw_csv_number(&csv, i, "n", 0, 1e300, &number), THAW_FAILED, "line 1: n is '");
	CHECK_INT(integer, 12);
	CHECK_NEAR(number, 100, 0);
}

static void test_csv_add(void)
{
	static const char *const fields[] = {"plain", "", "a,b", "say \"x\"", "two\nlines", "cr\r", "\xc3\xa4"};
	struct thaw_text text = THAW_TEXT_EMPTY;

	for (int i = 0; i < 7; i++) {
		thaw_csv_add(&text, fields[i]);
		thaw_text_add(&text, "|");
	}
	CHECK_TEXT(text.data, "plain||\"a,b\"|\"say \"\"x\"\"\"|\"two\nlines\"|\"cr\r\"|\xc3\xa4|");
	thaw_text_release(&text);
}

/* --- predictions ------------------------------------------------------------------------------------------------- */

/* A split whose classes are called what folders can be called. */
static struct thaw_dataset *open_split(void)
{
	struct split_shard *s = split_draw(4, 0, 4);
	struct thaw_dataset *dataset = NULL;
	char shard[160];

	s->classes[0] = "a,b";
	s->classes[1] = "bees";
	s->classes[2] = "say \"w\"";
	s->names[2] = "wasps/x,\"1\".png";
	snprintf(shard, sizeof shard, "%s/train-00000-of-00001.h5", folder);
	CHECK_OK(thaw_shard_write(shard, &s->shard));
	CHECK_OK(thaw_dataset_open(shard, NULL, &dataset));
	split_free(s);
	return dataset;
}

static void test_write_and_read(void)
{
	static const struct thaw_prediction rows[] = {
		{3, 0, 0, 0.75, 0.287682072}, {1, 1, 2, 0.5, 1.60943791}, {2, 2, 0, 1, INFINITY}};
	struct thaw_dataset *dataset = open_split();
	struct thaw_predictions p;
	char *bytes;
	size_t length;

	CHECK_OK(thaw_predictions_write(path, dataset, rows, 3));
	CHECK_OK(thaw_file_read(path, 1000, &bytes, &length));
	CHECK_TEXT(bytes, "index,name,label,predicted,probability,loss\n"
	                  "3,ants/3.png,\"a,b\",\"a,b\",0.750000,0.287682072\n"
	                  "1,bees/1.png,bees,\"say \"\"w\"\"\",0.500000,1.60943791\n"
	                  "2,\"wasps/x,\"\"1\"\".png\",\"say \"\"w\"\"\",\"a,b\",1.000000,inf\n");
	free(bytes);
	CHECK_OK(thaw_predictions_read(path, &p));
	CHECK_INT(p.count, 3);
	CHECK_INT(p.classes, 3);
	CHECK_TEXT(p.class_names[0], "a,b");
	CHECK_TEXT(p.class_names[1], "bees");
	CHECK_TEXT(p.class_names[2], "say \"w\"");
	CHECK_TEXT(p.names[2], "wasps/x,\"1\".png");
	for (int i = 0; i < 3; i++) {
		CHECK_INT(p.rows[i].index, rows[i].index);
		CHECK_INT(p.rows[i].label, rows[i].label);
		CHECK_INT(p.rows[i].predicted, rows[i].predicted);
		CHECK_NEAR(p.rows[i].probability, rows[i].probability, 0);
		CHECK(p.rows[i].loss == rows[i].loss);
	}
	thaw_predictions_release(&p);
	thaw_dataset_free(dataset);
}

#define HEAD "index,name,label,predicted,probability,loss\n"

static void test_bad_predictions(void)
{
	struct thaw_predictions p;

	put(HEAD "0,n,a,a,1,0\n1,n,b,a,0.5"); /* the last is being written */
	CHECK_OK(thaw_predictions_read(path, &p));
	CHECK_INT(p.count, 1);
	CHECK_INT(p.classes, 1);
	thaw_predictions_release(&p);
	put(HEAD);
	CHECK_OK(thaw_predictions_read(path, &p));
	CHECK_INT(p.count, 0);
	thaw_predictions_release(&p);
	put("");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "does not begin as a file of predictions");
	put("name,index\n");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "does not begin as a file of predictions");
	put(HEAD "0,n,a,a,1\n");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "line 2 has 5 fields, its head has 6");
	put(HEAD "0,n,a,a,1,0\n-1,n,a,a,1,0\n");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "line 3: index is '-1'");
	put(HEAD "0,n,a,a,1.5,0\n");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "line 2: probability is '1.5'");
	put(HEAD "0,n,a,a,1,nan\n");
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, "line 2: loss is 'nan'");
	remove(path);
	CHECK_FAILS(thaw_predictions_read(path, &p), THAW_FAILED, path);
}

/* --- history ----------------------------------------------------------------------------------------------------- */

#define METRICS                                                                                                \
	"epoch,phase,trained,lr,train_loss,train_top1,train_correct,train_count,val_loss,val_top1,val_top5,"       \
	"val_correct,val_count,seconds,images_per_second,best\n"

static void test_history(void)
{
	struct thaw_history h;

	put(METRICS "1,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1\n"
	            "2,2,layer4 fc,0.001,0.5,0.75,183,244,0.5,0.901961,1,138,153,2.5,300,0\n"
	            "3,2,layer4 fc,0.001,0.5,0.75,18"); /* is being written */
	CHECK_OK(thaw_history_read(path, &h));
	CHECK_INT(h.count, 2);
	CHECK_INT(h.epochs[0].epoch, 1);
	CHECK_INT(h.epochs[0].phase, 1);
	CHECK(h.epochs[0].best && !h.epochs[1].best);
	CHECK_INT(h.epochs[0].val.top5, 122); /* 0.8 * 153 = 122.4 */
	CHECK_INT(h.epochs[1].phase, 2);
	CHECK_TEXT(h.epochs[1].trained, "layer4 fc");
	CHECK_NEAR(h.epochs[1].lr, 0.001, 0);
	CHECK_NEAR(h.epochs[1].train.loss, 0.5, 0);
	CHECK_INT(h.epochs[1].train.top1, 183);
	CHECK_INT(h.epochs[1].train.count, 244);
	CHECK_INT(h.epochs[1].val.top1, 138);
	CHECK_INT(h.epochs[1].val.count, 153);
	CHECK_NEAR(h.epochs[1].seconds, 2.5, 0);
	CHECK(!h.epochs[0].mixed && !h.epochs[1].mixed); /* there was no such column once */
	CHECK_INT(h.epochs[0].average.count, 0);
	thaw_history_release(&h);
	put("train_mixed," METRICS "0,1,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1\n"
	    "1,2,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1\n");
	CHECK_OK(thaw_history_read(path, &h));
	CHECK(!h.epochs[0].mixed && h.epochs[1].mixed);
	thaw_history_release(&h);
	put("average_loss,epoch,phase,trained,lr,train_loss,train_top1,train_correct,train_count,val_loss,val_top1,val_top5,"
	    "val_correct,val_count,seconds,images_per_second,best,val_balanced,average_correct\n"
	    "0.25,1,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1,0.5,71\n"); /* columns of others */
	CHECK_OK(thaw_history_read(path, &h));
	CHECK_INT(h.count, 1);
	CHECK_NEAR(h.epochs[0].val.loss, 0.75, 0);
	CHECK_INT(h.epochs[0].val.top1, 70);
	CHECK(h.epochs[0].best);
	CHECK_NEAR(h.epochs[0].average.loss, 0.25, 0);
	CHECK_INT(h.epochs[0].average.top1, 71);
	CHECK_INT(h.epochs[0].average.count, 153);
	thaw_history_release(&h);
	put(""); /* a run that went on from before its first epoch */
	CHECK_OK(thaw_history_read(path, &h));
	CHECK_INT(h.count, 0);
	thaw_history_release(&h);
}

static void test_bad_history(void)
{
	struct thaw_history h;

	put("epoch,phase,trained\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "has no column 'lr'");
	put(METRICS "1,1,fc\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "line 2 has 3 fields, its head has 16");
	put(METRICS "2,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,1,70,153,1.130,351.2,1\n"
	            "2,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,1,70,153,1.130,351.2,1\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "line 3: epoch is '2', allowed are numbers from 3");
	put(METRICS "1,1,fc,0.01,0.9,0.5,245,244,0.75,0.457516,1,70,153,1.130,351.2,1\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "train_correct is '245', allowed are numbers from 0 to 244");
	put(METRICS "1,1,fc,0.01,nan,0.5,122,244,0.75,0.457516,1,70,153,1.130,351.2,1\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "train_loss is 'nan'");
	put("train_mixed," METRICS "2,1,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "train_mixed is '2', allowed are numbers from 0 to 1");
	put("average_loss,average_correct," METRICS
	    "0.5,154,1,1,fc,0.01,0.9,0.5,122,244,0.75,0.457516,0.8,70,153,1.130,351.2,1\n");
	CHECK_FAILS(thaw_history_read(path, &h), THAW_FAILED, "average_correct is '154', allowed are numbers from 0 to 153");
}

int main(void)
{
	folder = split_folder();
	snprintf(path, sizeof path, "%s/file.csv", folder);
	test_csv();
	test_csv_faults();
	test_csv_numbers();
	test_csv_add();
	test_write_and_read();
	test_bad_predictions();
	test_history();
	test_bad_history();
	split_remove(folder);
	return TEST_END();
}
