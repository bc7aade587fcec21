// Package events carries what happens in a node to whoever watches: the event
// stream of the API, dashboards, tests.
//
// Look at [Hub] first. It keeps the newest events in a ring; subscribers read
// from the ring at their own pace, so publishing never waits for anybody and
// memory is bounded whatever they do. The package starts no goroutine and knows
// neither HTTP nor consensus.
package events
