package hub

import (
	"context"

	"quern/store"
	"quern/store/remote"
)

// Kind is the store of hubs, hf://. What lies whole in the local cache of
// huggingface_hub is read there; with HF_HUB_OFFLINE whatever lies there.
func Kind(reader *remote.Reader) store.Kind {
	open := func(ctx context.Context, location string) (store.Folder, string, error) {
		l, err := Parse(location)
		if err != nil {
			return nil, "", err
		}
		s, err := FromEnv()
		if err != nil {
			return nil, "", err
		}
		if dir, complete := s.Cached(l); complete || s.Offline && dir != "" {
			return store.Local(nil, dir), l.File, nil
		}
		r, err := Open(ctx, l.repository(), s, reader)
		if err == nil && l.File != "" {
			err = r.has(l.File)
		}
		if err != nil {
			return nil, "", err
		}
		return r, l.File, nil
	}
	return store.Kind{Scheme: "hf", Open: open, Like: Like}
}
