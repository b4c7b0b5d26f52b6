package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/minio/minio-go/v7"

	"quern/internal/invalid"
)

// WriteFile makes a small object of data, whole and at once. If there is one of that
// name, the error is fs.ErrExist.
func (b *Bucket) WriteFile(ctx context.Context, name string, data []byte) error {
	u, err := b.Create(ctx, name, int64(len(data)))
	if err != nil {
		return err
	}
	if _, err := u.WriteAt(data, 0); err != nil {
		u.Discard()
		return err
	}
	return u.Commit()
}

// Remove removes an object. One that is not there is no error.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	if !fs.ValidPath(name) {
		return fmt.Errorf("%s: %q is no name of a file in it", b, name)
	}
	err := b.do(ctx, fmt.Sprintf("removing %q", b.path(name)), func() error {
		return b.core.Client.RemoveObject(ctx, b.location.Bucket, b.key(name), minio.RemoveObjectOptions{})
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// AbortLeft gives up uploads below the prefix that were begun and not ended, of files
// that own reports as one's own: a store keeps, and charges for, their parts until then.
// It returns how many there were.
func (b *Bucket) AbortLeft(ctx context.Context, own func(name string) bool) (int, error) {
	left, err := b.uploadsLeft(ctx)
	n := 0
	for _, u := range left {
		name, ok := strings.CutPrefix(u.key, b.location.Prefix)
		if err != nil || !ok || !own(name) {
			continue
		}
		n++
		err = b.abort(ctx, u.key, u.id)
	}
	return n, err
}

// leftover is an upload that was begun and not ended.
type leftover struct{ key, id string }

// uploadsLeft lists those below the prefix.
func (b *Bucket) uploadsLeft(ctx context.Context) (left []leftover, err error) {
	err = b.do(ctx, b.String(), func() error {
		left = nil
		key, id := "", ""
		for {
			page, err := b.core.ListMultipartUploads(ctx, b.location.Bucket, b.location.Prefix, key, id, "", 1000)
			if err != nil {
				return err
			}
			for _, u := range page.Uploads {
				left = append(left, leftover{u.Key, u.UploadID})
			}
			if key, id = page.NextKeyMarker, page.NextUploadIDMarker; !page.IsTruncated {
				return nil
			}
		}
	})
	return left, err
}

func (b *Bucket) abort(ctx context.Context, key, id string) error {
	err := b.do(ctx, b.String(), func() error {
		return b.core.AbortMultipartUpload(ctx, b.location.Bucket, key, id)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Probe finds out whether the prefix can be written to as quern does: that objects can
// be made and removed, and that an object which is there is not replaced. It leaves
// nothing behind.
func (b *Bucket) Probe(ctx context.Context) error {
	name := ".quern-probe-" + rand.Text()
	if err := b.put(ctx, name, []byte("1")); err != nil {
		return err
	}
	second := b.put(ctx, name, []byte("2"))
	if err := b.Remove(ctx, name); err != nil {
		return err
	}
	switch {
	case errors.Is(second, fs.ErrExist):
		return nil
	case second == nil:
		return invalid.Errorf("%s: the store replaces an object although it was told not to (If-None-Match: *), so that two runs could mix their files; write to a folder and copy that", b)
	}
	return second
}
