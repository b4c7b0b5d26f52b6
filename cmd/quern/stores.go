package main

import (
	"sync"

	"quern/store"
	"quern/store/bucket"
	"quern/store/hub"
	"quern/store/remote"
	"quern/store/web"
)

// addStores makes the stores known that lie behind a network. To add one is a row here
// and a package below store. All share one reader, and its budget.
var addStores = sync.OnceFunc(func() {
	reader := remote.NewReader(remote.DefaultBudget)
	store.Add(hub.Kind(reader), bucket.Kind(reader))
	store.Add(web.Kinds(reader)...)
})
