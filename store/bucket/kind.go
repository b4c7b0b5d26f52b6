package bucket

import (
	"context"

	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

// Kind is the store of buckets, s3://.
func Kind(reader *remote.Reader) store.Kind {
	at := func(location string) (*Bucket, error) {
		l, err := Parse(location)
		if err != nil {
			return nil, err
		}
		s, err := FromEnv()
		if err != nil {
			return nil, err
		}
		return Open(l, s, reader)
	}
	open := func(_ context.Context, location string) (store.Folder, string, error) {
		dir, name := web.Single(location)
		b, err := at(dir)
		if err != nil {
			return nil, "", err
		}
		return b, name, nil
	}
	sink := func(location string) (store.Sink, error) {
		b, err := at(location)
		if err != nil {
			return nil, err
		}
		return b.Sink(), nil
	}
	return store.Kind{Scheme: "s3", Open: open, Sink: sink}
}
