package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/rogpeppe/go-internal/testscript"

	"quern/store/bucket/buckettest"
)

// cleaner ends what scripts start.
type cleaner struct{ ts *testscript.TestScript }

func (c cleaner) Cleanup(f func()) { c.ts.Defer(f) }

// bucketEnv is the environment that leads to a store of buckets, and to no other.
func bucketEnv(url, none string) map[string]string {
	return map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL": "",
		"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "an-s3-secret", "AWS_REGION": "us-east-1",
	}
}

// s3 [unconditional]: a store with the bucket s3://models, in the environment. With
// QUERN_MOTO it is moto, unless one is wanted that passes over conditions.
func scriptS3(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "s3 [unconditional]")
	url := ""
	if unconditional := len(args) > 0; unconditional || os.Getenv("QUERN_MOTO") == "" {
		url = (&buckettest.Server{Key: "AKIDEXAMPLE", Unconditional: unconditional}).Start(cleaner{ts}).URL
	} else {
		var err error
		url, err = buckettest.Moto(cleaner{ts}, 0)
		must(ts, err)
	}
	for k, v := range bucketEnv(url, ts.MkAbs("none")) {
		ts.Setenv(k, v)
	}
}

// fetch PREFIX DIR: what lies in the bucket below a prefix, as another client sees it.
func scriptFetch(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "fetch PREFIX DIR")
	u, err := url.Parse(ts.Getenv("AWS_ENDPOINT_URL_S3"))
	must(ts, err)
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""), Region: ts.Getenv("AWS_REGION")})
	must(ts, err)
	for o := range c.ListObjects(context.Background(), buckettest.Bucket, minio.ListObjectsOptions{Prefix: args[0] + "/", Recursive: true}) {
		must(ts, o.Err)
		path := filepath.Join(ts.MkAbs(args[1]), filepath.FromSlash(strings.TrimPrefix(o.Key, args[0])))
		must(ts, c.FGetObject(context.Background(), buckettest.Bucket, o.Key, path, minio.GetObjectOptions{}))
	}
}
