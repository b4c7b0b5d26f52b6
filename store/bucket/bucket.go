package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/remote"
	"quern/store/web"
)

// A Bucket is a prefix of a bucket: a store.Folder, and what is written to.
type Bucket struct {
	location Location
	core     minio.Core
	reader   *remote.Reader
	sending  chan struct{} // parts of uploads in flight
}

var _ store.Folder = (*Bucket)(nil)

// Open opens a prefix. Nothing is asked yet.
func Open(l Location, s Settings, reader *remote.Reader) (*Bucket, error) {
	client, err := minio.New(s.Endpoint.Host, &minio.Options{
		Creds: s.credentials, Secure: s.Endpoint.Scheme == "https", Region: s.Region, BucketLookup: s.Lookup,
		Transport: &judging{web.NewClient().Transport()}, MaxRetries: 1,
	})
	if err != nil {
		return nil, invalid.Errorf("%s: %w", l, web.Scrub(err))
	}
	client.SetAppInfo("quern", "1")
	return &Bucket{location: l, core: minio.Core{Client: client}, reader: reader, sending: make(chan struct{}, inFlight)}, nil
}

func (b *Bucket) String() string { return b.location.String() }

// path is how people know a file.
func (b *Bucket) path(name string) string { return Scheme + b.location.Bucket + "/" + b.key(name) }

// key is the name of a file in the bucket.
func (b *Bucket) key(name string) string { return b.location.Prefix + name }

// do asks with as many tries as it takes, and names the prefix before an error.
func (b *Bucket) do(ctx context.Context, name string, f func() error) error {
	err := b.reader.Brief.Do(ctx, func() error { return judge(f()) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, invalid.Input):
		return invalid.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// List returns all objects below the prefix.
func (b *Bucket) List(ctx context.Context) ([]store.Entry, error) {
	var list []store.Entry
	err := b.do(ctx, b.String(), func() error {
		list = nil
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range b.core.Client.ListObjects(ctx, b.location.Bucket, minio.ListObjectsOptions{Prefix: b.location.Prefix, Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			if len(list) >= store.MaxEntries {
				return invalid.Errorf("more than %d files; is this the folder of a checkpoint?", store.MaxEntries)
			}
			name := strings.TrimPrefix(o.Key, b.location.Prefix)
			if fs.ValidPath(name) && name != "." { // "sub/" stands for a folder
				list = append(list, store.Entry{Name: name, Size: o.Size, Stamp: stamp(o.ETag)})
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b store.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// stamp names a state of an object.
func stamp(etag string) store.Stamp { return store.Stamp("etag:" + strings.Trim(etag, `"`)) }

// Open opens an object. The reads of it end when ctx does.
func (b *Bucket) Open(ctx context.Context, name string) (store.Object, error) {
	if !fs.ValidPath(name) {
		return nil, invalid.Errorf("%s: %q is no name of a file in it", b, name)
	}
	info, err := b.stat(ctx, name)
	if err != nil {
		return nil, err
	}
	f := remote.File{Name: b.path(name), Size: info.Size, Stamp: stamp(info.ETag)}
	return b.reader.Open(ctx, f, &object{b, name, info.Size, info.ETag}), nil
}

// stat asks for size and ETag.
func (b *Bucket) stat(ctx context.Context, name string) (info minio.ObjectInfo, err error) {
	err = b.do(ctx, fmt.Sprintf("reading %q", b.path(name)), func() error {
		info, err = b.core.StatObject(ctx, b.location.Bucket, b.key(name), minio.StatObjectOptions{})
		return err
	})
	return info, err
}
