package migrations

import (
	"container/heap"
	"slices"
)

// inOrder sorts nodes so that each comes after its parents, and otherwise by
// compare. What cannot be sorted since it depends on itself is returned apart.
// Parents that are no nodes do not matter.
func inOrder[K comparable](nodes []K, compare func(a, b K) int, parents func(K) []K) (order, cycle []K) {
	waits := make(map[K]int, len(nodes)) // how many parents are not in order yet
	for _, node := range nodes {
		waits[node] = 0
	}
	children := make(map[K][]K)
	for _, node := range nodes {
		for _, parent := range parents(node) {
			if _, ok := waits[parent]; ok {
				waits[node]++
				children[parent] = append(children[parent], node)
			}
		}
	}
	ready := &queue[K]{compare: compare}
	for node, n := range waits {
		if n == 0 {
			ready.nodes = append(ready.nodes, node)
		}
	}
	heap.Init(ready)
	for ready.Len() > 0 {
		node := heap.Pop(ready).(K) //nolint:forcetypeassert // the queue holds no other
		order = append(order, node)
		delete(waits, node)
		for _, child := range children[node] {
			if waits[child]--; waits[child] == 0 {
				heap.Push(ready, child)
			}
		}
	}
	for node := range waits {
		cycle = append(cycle, node)
	}
	slices.SortFunc(cycle, compare)
	return order, cycle
}

// queue gives the least node first.
type queue[K comparable] struct {
	nodes   []K
	compare func(a, b K) int
}

func (q *queue[K]) Len() int           { return len(q.nodes) }
func (q *queue[K]) Less(i, j int) bool { return q.compare(q.nodes[i], q.nodes[j]) < 0 }
func (q *queue[K]) Swap(i, j int)      { q.nodes[i], q.nodes[j] = q.nodes[j], q.nodes[i] }
func (q *queue[K]) Push(node any)      { q.nodes = append(q.nodes, node.(K)) } //nolint:forcetypeassert // see Pop
func (q *queue[K]) Pop() any {
	node := q.nodes[len(q.nodes)-1]
	q.nodes = q.nodes[:len(q.nodes)-1]
	return node
}
