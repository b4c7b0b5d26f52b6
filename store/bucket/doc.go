// Package bucket reads and writes prefixes of buckets that speak S3, s3://bucket/prefix:
// Amazon's, MinIO, Ceph, R2, and Google's by HMAC keys.
//
// What it reads is pinned by ETag: a range of another state of an object is refused. What
// it writes is new: an object is stored with If-None-Match: *, so that of two runs that
// make the same one, the first wins and the second sees it. There is no rename, and no
// object can be seen before it is whole.
//
// Requests are made by minio-go; tries again are this module's, so that they behave as
// those of other stores. Payloads are signed with their SHA-256 and not streamed: some
// stores keep the marks of a streaming signature in the object.
package bucket
