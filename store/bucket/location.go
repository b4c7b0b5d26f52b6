package bucket

import (
	"io/fs"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"quern/internal/invalid"
)

// Scheme begins the location of a bucket.
const Scheme = "s3://"

// A Location is a prefix of a bucket.
type Location struct {
	Bucket string
	Prefix string // "" or ending with a slash
}

// Parse reads s3://bucket/prefix.
func Parse(location string) (Location, error) {
	rest, ok := strings.CutPrefix(location, Scheme)
	name, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	if !ok || s3utils.CheckValidBucketName(name) != nil || prefix != "" && !fs.ValidPath(prefix) {
		return Location{}, invalid.Errorf("%.200q: a place in a bucket has the form s3://BUCKET/PREFIX", location)
	}
	if prefix != "" {
		prefix += "/"
	}
	return Location{name, prefix}, nil
}

func (l Location) String() string { return strings.TrimSuffix(Scheme+l.Bucket+"/"+l.Prefix, "/") }
