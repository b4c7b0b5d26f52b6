package bucket

import (
	"context"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"quern/internal/invalid"
	"quern/store"
	"quern/store/web"
)

// An object is an object in the state that it had when it was opened: a remote.Source.
type object struct {
	bucket *Bucket
	name   string
	size   int64
	etag   string
}

// Get implements remote.Source.
func (o *object) Get(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+n-1); err != nil {
		return nil, err
	}
	if err := opts.SetMatchETag(o.etag); err != nil {
		return nil, err
	}
	body, info, header, err := o.bucket.core.GetObject(ctx, o.bucket.location.Bucket, o.bucket.key(o.name), opts)
	if err != nil {
		return nil, judge(err)
	}
	if info.ETag != o.etag { // a store that passes over If-Match
		_ = body.Close()
		return nil, o.changed(info)
	}
	resp := &http.Response{StatusCode: http.StatusOK, Header: header, Body: body, ContentLength: info.Size}
	if header.Get("Content-Range") != "" {
		resp.StatusCode = http.StatusPartialContent
	}
	return web.Body(resp, off, o.size)
}

func (o *object) changed(now minio.ObjectInfo) error {
	return invalid.Errorf("%w: its ETag is %.80q now and was %.80q", store.ErrChanged, now.ETag, o.etag)
}

// Check implements remote.Source.
func (o *object) Check(ctx context.Context) error {
	info, err := o.bucket.core.StatObject(ctx, o.bucket.location.Bucket, o.bucket.key(o.name), minio.StatObjectOptions{})
	if err != nil {
		return judge(err)
	}
	if info.ETag != o.etag || info.Size != o.size {
		return o.changed(info)
	}
	return nil
}
