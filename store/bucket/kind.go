package bucket

import (
	"context"

	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

// Kind is the store of buckets, s3://.
func Kind(reader *remote.Reader) store.Kind {
	open := func(_ context.Context, location string) (store.Folder, string, error) {
		dir, name := web.Single(location)
		l, err := Parse(dir)
		if err != nil {
			return nil, "", err
		}
		s, err := FromEnv()
		if err != nil {
			return nil, "", err
		}
		b, err := Open(l, s, reader)
		if err != nil {
			return nil, "", err
		}
		return b, name, nil
	}
	return store.Kind{Scheme: "s3", Open: open}
}
