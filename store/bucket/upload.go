package bucket

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/minio/minio-go/v7"

	"quern/internal/invalid"
)

const (
	partSize = 8 << 20 // of an upload; grows for objects of more than 10,000 parts
	maxParts = 10_000
	inFlight = 8 // parts of a bucket that are sent at once
)

// An Upload is an object that is being made. Its bytes come in any order, each once; a
// part of 8 MiB is sent when all of it has come. What has come of parts that are not
// whole is held in memory. Nobody sees the object before Commit.
type Upload struct {
	bucket *Bucket
	name   string
	size   int64
	part   int64
	id     string // of a multipart upload; "" of one small part
	ctx    context.Context
	cancel context.CancelFunc
	sends  sync.WaitGroup

	mu    sync.Mutex
	parts []part
	err   error // the first of sending
	done  bool  // no more bytes are taken
	ended bool  // committed or discarded
}

// part is a part of an upload.
type part struct {
	data []byte // nil before anything has come, and when it has been sent
	have int64  // bytes that have come
	sent bool
	tag  minio.CompletePart
}

// Create begins an object of a size. It does not look whether there is one: Commit does.
func (b *Bucket) Create(ctx context.Context, name string, size int64) (*Upload, error) {
	if !fs.ValidPath(name) || size < 0 {
		return nil, fmt.Errorf("%s: %q of %d bytes is no file that can be written to it", b, name, size)
	}
	u := &Upload{bucket: b, name: name, size: size, part: partSize}
	for u.part*maxParts < size {
		u.part *= 2
	}
	u.parts = make([]part, max(1, (size+u.part-1)/u.part))
	if len(u.parts) > 1 {
		err := b.do(ctx, u.errorName(), func() (err error) {
			u.id, err = b.core.NewMultipartUpload(ctx, b.location.Bucket, b.key(name), minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u, nil
}

func (u *Upload) errorName() string { return fmt.Sprintf("writing %q", u.bucket.path(u.name)) }

// String is how people call the object.
func (u *Upload) String() string { return u.bucket.path(u.name) }

// span is where a part lies in the object.
func (u *Upload) span(i int) (from, to int64) {
	return int64(i) * u.part, min(int64(i+1)*u.part, u.size)
}

// WriteAt takes bytes of the object. It waits while as many parts as may be are being
// sent. Its errors may be those of bytes that came before.
func (u *Upload) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > u.size {
		return 0, fmt.Errorf("%s: bytes %d to %d of %d", u.errorName(), off, off+int64(len(p)), u.size)
	}
	for n := 0; ; {
		if n == len(p) {
			return n, nil
		}
		i := int((off + int64(n)) / u.part)
		from, to := u.span(i)
		at := off + int64(n)
		k := int(min(to-at, int64(len(p)-n)))
		data, err := u.take(i, p[n:n+k], at-from, to-from)
		if err != nil {
			return n, err
		}
		n += k
		if data != nil && u.id != "" {
			if err := u.send(i, data); err != nil {
				return n, err
			}
		}
	}
}

// take puts bytes into a part and returns its data when it is whole.
func (u *Upload) take(i int, p []byte, at, size int64) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	x := &u.parts[i]
	switch {
	case u.err != nil:
		return nil, u.err
	case u.done:
		return nil, fmt.Errorf("%s: %w", u.errorName(), fs.ErrClosed)
	case x.have+int64(len(p)) > size:
		return nil, fmt.Errorf("%s: bytes of part %d were written twice", u.errorName(), i+1)
	case x.data == nil:
		x.data = make([]byte, size)
	}
	copy(x.data[at:], p)
	if x.have += int64(len(p)); x.have < size {
		return nil, nil
	}
	return x.data, nil
}

// send sends a part beside others.
func (u *Upload) send(i int, data []byte) error {
	select {
	case u.bucket.sending <- struct{}{}:
	case <-u.ctx.Done():
		return u.ctx.Err()
	}
	u.sends.Go(func() {
		defer func() { <-u.bucket.sending }()
		sum := sha256.Sum256(data)
		var sent minio.ObjectPart
		err := u.bucket.reader.Patient.Do(u.ctx, func() (err error) {
			sent, err = u.bucket.core.PutObjectPart(u.ctx, u.bucket.location.Bucket, u.bucket.key(u.name), u.id, i+1,
				bytes.NewReader(data), int64(len(data)), minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true})
			return judge(err)
		})
		u.mu.Lock()
		defer u.mu.Unlock()
		x := &u.parts[i]
		x.data = nil
		if err != nil {
			if u.err == nil {
				u.err = fmt.Errorf("%s: part %d: %w", u.errorName(), i+1, err)
				u.cancel()
			}
			return
		}
		x.sent, x.tag = true, minio.CompletePart{PartNumber: i + 1, ETag: sent.ETag}
	})
	return nil
}

// Commit makes the object, whole and at once. If there is one of that name, the error
// is fs.ErrExist and that one stays: it may be what another run made of the same.
func (u *Upload) Commit() error {
	u.sends.Wait()
	u.mu.Lock()
	err := u.err
	u.done = true
	u.mu.Unlock()
	for i := range u.parts {
		from, to := u.span(i)
		if x := &u.parts[i]; err == nil && x.have != to-from {
			err = fmt.Errorf("%s: %d of %d bytes of part %d were written", u.errorName(), x.have, to-from, i+1)
		}
	}
	if err == nil {
		if u.id == "" {
			err = u.bucket.put(u.ctx, u.name, u.parts[0].data)
		} else {
			err = u.complete()
		}
	}
	if err != nil {
		u.Discard()
		return err
	}
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	u.cancel()
	return nil
}

// complete ends a multipart upload.
func (u *Upload) complete() error {
	var tags []minio.CompletePart
	whole := md5.New() // the ETag of a multipart object: the MD5 of those of its parts
	for i := range u.parts {
		tags = append(tags, u.parts[i].tag)
		raw, _ := hex.DecodeString(u.parts[i].tag.ETag)
		whole.Write(raw)
	}
	etag := fmt.Sprintf("%x-%d", whole.Sum(nil), len(tags))
	return u.bucket.once(u.ctx, u.name, etag, func(opts minio.PutObjectOptions) error {
		_, err := u.bucket.core.CompleteMultipartUpload(u.ctx, u.bucket.location.Bucket, u.bucket.key(u.name), u.id, tags, opts)
		return err
	})
}

// put stores a small object, if there is none of that name.
func (b *Bucket) put(ctx context.Context, name string, data []byte) error {
	sum := sha256.Sum256(data)
	return b.once(ctx, name, fmt.Sprintf("%x", md5.Sum(data)), func(opts minio.PutObjectOptions) error {
		_, err := b.core.PutObject(ctx, b.location.Bucket, b.key(name), bytes.NewReader(data), int64(len(data)), "", hex.EncodeToString(sum[:]), opts)
		return err
	})
}

// once makes an object if there is none of that name, with as many tries as it takes.
// The answer to a try that succeeded may be lost; the next then finds the object, and
// knows it by its ETag.
func (b *Bucket) once(ctx context.Context, name, etag string, f func(minio.PutObjectOptions) error) error {
	opts := minio.PutObjectOptions{DisableContentSha256: true}
	opts.SetMatchETagExcept("*") // If-None-Match: *
	lost := false
	err := b.reader.Patient.Do(ctx, func() error {
		err := judge(f(opts))
		if lost && (errors.Is(err, errTaken) || errors.Is(err, fs.ErrNotExist)) { // the upload's number is gone too
			if info, statErr := b.core.StatObject(ctx, b.location.Bucket, b.key(name), minio.StatObjectOptions{}); statErr == nil && info.ETag == etag {
				return nil
			}
		}
		lost = true
		return err
	})
	switch where := fmt.Sprintf("writing %q", b.path(name)); {
	case err == nil:
		return nil
	case errors.Is(err, errTaken):
		return fmt.Errorf("%s: %w", where, fs.ErrExist)
	case errors.Is(err, invalid.Input):
		return invalid.Errorf("%s: %w", where, err)
	default:
		return fmt.Errorf("%s: %w", where, err)
	}
}

// Discard gives up an object that was begun, and what was sent of it. It does nothing
// after Commit.
func (u *Upload) Discard() {
	u.mu.Lock()
	ended := u.ended
	u.ended, u.done = true, true
	u.mu.Unlock()
	if ended {
		return
	}
	u.cancel()
	u.sends.Wait()
	if u.id != "" { // also when it is given up because of an interrupt
		_ = u.bucket.abort(context.WithoutCancel(u.ctx), u.bucket.key(u.name), u.id)
	}
}
