package main

import (
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"quern/store"
	"quern/store/bucket"
	"quern/store/hub"
	"quern/store/remote"
	"quern/store/web"
)

// network is the reader that all stores behind a network share, and its budget.
var network = remote.NewReader(remote.DefaultBudget)

// addStores makes the stores known that lie behind a network. To add one is a row here
// and a package below store.
var addStores = sync.OnceFunc(func() {
	store.Add(hub.Kind(network), bucket.Kind(network))
	store.Add(web.Kinds(network)...)
})

// mostOfNetwork is what fills a link of 3 GB/s with a round trip of 50 ms, twice.
const mostOfNetwork = 256 << 20

// networked gives the ranges that are kept and in flight of a network their part of a
// bound on memory, an eighth, if a command has to do with one. It returns that part.
func networked(c *cli.Context, bound int64) int64 {
	far := func(location string) bool { return strings.Contains(location, "://") }
	if !slices.ContainsFunc(append(c.Args().Slice(), c.String("baseline")), far) {
		return 0
	}
	part := min(bound/8, mostOfNetwork)
	network.Limit(part)
	return part
}
