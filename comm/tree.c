#include "comm/tree.h"

static struct thaw_tree_node left_child(struct thaw_tree_node node)
{
	int length = 1;

	while (2 * length < node.end - node.begin)
		length *= 2;
	return (struct thaw_tree_node){node.begin, node.begin + length};
}

/* Appends the largest subtrees of `node` that lie within share [begin, end) to the `count` nodes there are. */
static int cut(struct thaw_tree_node node, int begin, int end, struct thaw_tree_node *nodes_out, int count)
{
	struct thaw_tree_node left;

	if (node.end <= begin || node.begin >= end)
		return count;
	if (node.begin >= begin && node.end <= end) {
		nodes_out[count] = node;
		return count + 1;
	}
	left = left_child(node);
	count = cut(left, begin, end, nodes_out, count);
	return cut((struct thaw_tree_node){left.end, node.end}, begin, end, nodes_out, count);
}

int thaw_tree_frontier(int replicas, int begin, int end, struct thaw_tree_node nodes_out[THAW_FRONTIER])
{
	return cut((struct thaw_tree_node){0, replicas}, begin, end, nodes_out, 0);
}

/* How many nodes of the tree end at `end` and begin within low .. high - 1: all stand on the way down to that end. */
static int nodes_ending(int replicas, int end, int low, int high)
{
	struct thaw_tree_node node = {0, replicas};
	int count = 0;

	while (node.begin < high) {
		struct thaw_tree_node left;

		count += node.end == end && node.begin >= low;
		if (node.end - node.begin == 1)
			break;
		left = left_child(node);
		node = end <= left.end ? left : (struct thaw_tree_node){left.end, node.end};
	}
	return count;
}

int thaw_tree_folds(int replicas, int begin, int end, int i)
{
	return i < end ? nodes_ending(replicas, i + 1, begin, i) : 0;
}

int thaw_tree_node_folds(int replicas, struct thaw_tree_node node)
{
	return nodes_ending(replicas, node.end, 0, node.begin);
}

int thaw_tree_depth(int replicas, int begin, int end)
{
	int depth = 0, deepest = 0;

	for (int i = begin; i < end; i++) {
		depth++;
		if (depth > deepest)
			deepest = depth;
		depth -= thaw_tree_folds(replicas, begin, end, i);
	}
	return deepest;
}
