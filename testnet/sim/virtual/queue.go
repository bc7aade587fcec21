// Package virtual holds the virtual time of simulators: [Queue], what is to happen
// and when. It imports nothing of the project.
package virtual

import (
	"container/heap"
	"time"
)

// Queue holds what is to happen, by virtual time. What happens at the same time does so
// in the order in which it was put. The zero value is empty. It is not safe for
// concurrent use: a simulator has one goroutine.
type Queue struct {
	seq  uint64
	heap occurrences
}

// Put has something happen at a time.
func (q *Queue) Put(at time.Duration, do func()) {
	q.seq++
	heap.Push(&q.heap, occurrence{at, q.seq, do})
}

// Due reports whether anything happens up to and at a time.
func (q *Queue) Due(end time.Duration) bool { return len(q.heap) > 0 && q.heap[0].at <= end }

// Pop takes out what happens first. The queue must not be empty.
func (q *Queue) Pop() (at time.Duration, do func()) {
	next := heap.Pop(&q.heap).(occurrence)
	return next.at, next.do
}

// occurrence is something that happens at a time; seq keeps ties in order.
type occurrence struct {
	at  time.Duration
	seq uint64
	do  func()
}

type occurrences []occurrence

func (o occurrences) Len() int { return len(o) }
func (o occurrences) Less(i, j int) bool {
	return o[i].at < o[j].at || o[i].at == o[j].at && o[i].seq < o[j].seq
}
func (o occurrences) Swap(i, j int) { o[i], o[j] = o[j], o[i] }
func (o *occurrences) Push(x any)   { *o = append(*o, x.(occurrence)) }
func (o *occurrences) Pop() any {
	old := *o
	last := old[len(old)-1]
	old[len(old)-1] = occurrence{}
	*o = old[:len(old)-1]
	return last
}
