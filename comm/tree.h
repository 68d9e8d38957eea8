/*
 * The one order in which replicas' gradients are added.
 *
 * A node covers replicas [begin, end); with more than one it splits at begin + the largest power of two below its
 * length, and its value is left + right. A rank's share [first, first + count) is cut into the fewest nodes of this
 * tree, its frontier: one node when the rank has all replicas, or when R / N is a power of two, which is the usual
 * case. Pure functions of 1 <= replicas <= THAW_REPLICAS and 0 <= begin < end <= replicas.
 */
#ifndef THAW_COMM_TREE_H
#define THAW_COMM_TREE_H

enum { THAW_REPLICAS = 1024, THAW_FRONTIER = 24 }; /* most replicas; most frontier nodes of a share */

struct thaw_tree_node {
	int begin, end; /* replicas begin .. end - 1 */
};

/* Writes the frontier of share [begin, end) of a tree over `replicas`, left to right; returns how many nodes. */
int thaw_tree_frontier(int replicas, int begin, int end, struct thaw_tree_node nodes_out[THAW_FRONTIER]);

/* How a rank folds its own replicas as they come, with a stack of partial sums: after replica `i` of share [begin, end)
 * was pushed, this many times the top of the stack is added to what is below it (below += top) and popped. What remains
 * after the last is the frontier. */
int thaw_tree_folds(int replicas, int begin, int end, int i);

/* How the frontiers of all ranks are folded in the same way, pushed in order: the times after `node` was pushed. What
 * remains after the last is the root. */
int thaw_tree_node_folds(int replicas, struct thaw_tree_node node);

/* The deepest that a rank's stack gets: slabs it needs. */
int thaw_tree_depth(int replicas, int begin, int end);

#endif
