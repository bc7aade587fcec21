// Package api is the node's HTTP interface: REST with an OpenAPI 3.1
// description, a resumable event stream, metrics and health.
//
// Look at [Backend] first: what the API needs from a node. [New] makes a
// [Server] of it; the JSON types in this package are also what the Go client in
// the folder below returns. The package never touches consensus, storage or the
// network itself.
package api
