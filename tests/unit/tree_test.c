/* The summation tree, with written-out expressions instead of numbers: "((0+1)+2)". */
#include "comm/tree.h"

#include "tests/test.h"

enum { TEXT = 1024 };

static char stack[THAW_REPLICAS][TEXT]; /* expressions, as a rank would hold partial sums */

static void push_replica(int depth, int i)
{
	snprintf(stack[depth], TEXT, "%d", i);
}

/* below = (below+top) */
static void fold(int top)
{
	char sum[2 * TEXT + 4];

	snprintf(sum, sizeof sum, "(%s+%s)", stack[top - 1], stack[top]);
	snprintf(stack[top - 1], TEXT, "%.*s", TEXT - 1, sum);
}

/* The definition in the header, spelled as a recursion: the reference that folding must reproduce. */
static void write_node(struct thaw_tree_node node, char *text)
{
	int length = node.end - node.begin, split = 1;

	if (length == 1) {
		sprintf(text + strlen(text), "%d", node.begin);
		return;
	}
	while (split * 2 < length)
		split *= 2;
	strcat(text, "(");
	write_node((struct thaw_tree_node){node.begin, node.begin + split}, text);
	strcat(text, "+");
	write_node((struct thaw_tree_node){node.begin + split, node.end}, text);
	strcat(text, ")");
}

/* Folds share [begin, end) as a rank does; its frontier's expressions stand in stack[0 ..]. Returns how many. */
static int fold_share(int replicas, int begin, int end)
{
	int depth = 0, deepest = 0;

	for (int i = begin; i < end; i++) {
		push_replica(depth++, i);
		deepest = depth > deepest ? depth : deepest;
		for (int folds = thaw_tree_folds(replicas, begin, end, i); folds > 0 && depth > 1; folds--)
			fold(--depth);
	}
	CHECK_INT(thaw_tree_depth(replicas, begin, end), deepest);
	return depth;
}

/* Worked by hand. */
static void test_small_trees(void)
{
	static const char *const whole[] = {
		"0", "(0+1)", "((0+1)+2)", "((0+1)+(2+3))", "(((0+1)+(2+3))+4)", "(((0+1)+(2+3))+(4+5))"};
	struct thaw_tree_node nodes[THAW_FRONTIER];

	for (int replicas = 1; replicas <= 6; replicas++) {
		CHECK_INT(fold_share(replicas, 0, replicas), 1);
		CHECK_TEXT(stack[0], whole[replicas - 1]);
	}
	/* 12 = 8 + 4 over four ranks of three: 0-2, 3-5, 6-8, 9-11 */
	CHECK_INT(thaw_tree_frontier(12, 3, 6, nodes), 2);
	CHECK(nodes[0].begin == 3 && nodes[0].end == 4 && nodes[1].begin == 4 && nodes[1].end == 6);
	CHECK_INT(thaw_tree_frontier(12, 6, 9, nodes), 2);
	CHECK(nodes[0].begin == 6 && nodes[0].end == 8 && nodes[1].begin == 8 && nodes[1].end == 9);
	CHECK_INT(thaw_tree_frontier(12, 4, 8, nodes), 1);
	CHECK(nodes[0].begin == 4 && nodes[0].end == 8);
	CHECK_INT(thaw_tree_depth(8, 0, 8), 4);
	CHECK_INT(thaw_tree_depth(1, 0, 1), 1);
}

/* The ranks' folds leave the frontier, and folding the frontiers of all leaves the same expression for every N. */
static void check_ranks(int replicas, int ranks, const char *want)
{
	static char partial[THAW_REPLICAS][TEXT];
	static struct thaw_tree_node node[THAW_REPLICAS];
	int share = replicas / ranks, nodes = 0, depth = 0;

	for (int rank = 0; rank < ranks; rank++) {
		struct thaw_tree_node frontier[THAW_FRONTIER];
		int begin = rank * share, end = begin + share;
		int count = thaw_tree_frontier(replicas, begin, end, frontier);

		CHECK_INT(fold_share(replicas, begin, end), count);
		for (int k = 0; k < count; k++) {
			char text[TEXT] = "";

			CHECK_INT(frontier[k].begin, k > 0 ? frontier[k - 1].end : begin);
			write_node(frontier[k], text);
			CHECK_TEXT(stack[k], text);
			strcpy(partial[nodes], stack[k]);
			node[nodes++] = frontier[k];
		}
		CHECK_INT(frontier[count - 1].end, end);
	}
	for (int k = 0; k < nodes; k++) {
		strcpy(stack[depth++], partial[k]);
		for (int folds = thaw_tree_node_folds(replicas, node[k]); folds > 0 && depth > 1; folds--)
			fold(--depth);
	}
	CHECK_INT(depth, 1);
	CHECK_TEXT(stack[0], want);
}

static void test_every_rank_count(void)
{
	for (int replicas = 1; replicas <= 64; replicas++) {
		char want[TEXT] = "";

		write_node((struct thaw_tree_node){0, replicas}, want);
		for (int ranks = 1; ranks <= replicas; ranks++)
			if (replicas % ranks == 0)
				check_ranks(replicas, ranks, want);
	}
}

/* Any share whatever of the largest trees: the bound that callers size their arrays with. */
static void test_frontier_bound(void)
{
	int most = 0;

	for (int replicas = THAW_REPLICAS - 1; replicas <= THAW_REPLICAS; replicas++)
		for (int begin = 0; begin < replicas; begin++)
			for (int end = begin + 1; end <= replicas; end++) {
				struct thaw_tree_node nodes[4 * THAW_FRONTIER];
				int count = thaw_tree_frontier(replicas, begin, end, nodes);

				most = count > most ? count : most;
			}
	CHECK(most > 1 && most <= THAW_FRONTIER);
}

int main(void)
{
	test_small_trees();
	test_every_rank_count();
	test_frontier_bound();
	return TEST_END();
}
