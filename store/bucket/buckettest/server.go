// Package buckettest is a store of buckets to test with: as much of S3 as quern asks for,
// that can be told to misbehave. It refuses payloads that are not what their signature's
// SHA-256 says, as a streaming signature's are.
package buckettest

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Server is a store of one bucket, called "models".
type Server struct {
	*httptest.Server
	Key, Session  string // credentials that are asked for; "" is none
	Unconditional bool   // it passes over If-None-Match and If-Match

	mu         sync.Mutex
	odd, after Fault
	objects    map[string]object
	uploads    map[string]*upload
	n          int
}

// A Fault is asked with the number of the request, from 1, and reports whether it has
// answered.
type Fault func(n int, w http.ResponseWriter, r *http.Request) bool

// Before has f asked before each request is done; nil is nobody. After has it asked when
// it was done.
func (s *Server) Before(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.odd = f
}

// After is Before for requests that were done.
func (s *Server) After(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = f
}

type object struct {
	data []byte
	etag string
}

type upload struct {
	key   string
	parts map[int][]byte
}

// Bucket is the name of the bucket.
const Bucket = "models"

// A Cleaner calls f at its end: a test, or a script of tests.
type Cleaner interface{ Cleanup(f func()) }

// Start starts the store; it ends with the test.
func (s *Server) Start(t Cleaner) *Server {
	s.objects, s.uploads = map[string]object{}, map[string]*upload{}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Put stores an object.
func (s *Server) Put(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = object{data, fmt.Sprintf("%x", md5.Sum(data))}
}

// Object is the content of an object, nil if there is none.
func (s *Server) Object(key string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key].data
}

// Keys are the names of all objects.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

// Uploads is the number of uploads that were begun and not ended.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Fail answers with an error as S3 does.
func Fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>about %s</Message></Error>", code, code)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut on the way
	}
	s.mu.Lock()
	s.n++
	n, odd, after := s.n, s.odd, s.after
	s.mu.Unlock()
	if odd != nil && odd(n, w, r) {
		return
	}
	if s.Key != "" && !strings.Contains(r.Header.Get("Authorization"), "Credential="+s.Key+"/") || r.Header.Get("X-Amz-Security-Token") != s.Session {
		Fail(w, http.StatusForbidden, "InvalidAccessKeyId")
		return
	}
	sum := sha256.Sum256(body)
	if signed := r.Header.Get("X-Amz-Content-Sha256"); s.Key != "" && signed != "UNSIGNED-PAYLOAD" && signed != hex.EncodeToString(sum[:]) {
		Fail(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
		return
	}
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name != Bucket {
		Fail(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	rec := httptest.NewRecorder()
	s.mu.Lock()
	s.answer(rec, r, key, body)
	s.mu.Unlock()
	if after != nil && after(n, w, r) {
		return
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	up := s.uploads[q.Get("uploadId")]
	switch {
	case q.Has("location"):
		reply(w, "LocationConstraint", "")
	case q.Has("uploads") && r.Method == http.MethodGet:
		s.listUploads(w, q)
	case key == "" && r.Method == http.MethodGet:
		s.list(w, q)
	case q.Has("uploads"):
		id := fmt.Sprintf("upload-%d", s.n)
		s.uploads[id] = &upload{key, map[int][]byte{}}
		reply(w, "InitiateMultipartUploadResult", fmt.Sprintf("<Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId>", Bucket, key, id))
	case q.Has("uploadId") && up == nil:
		Fail(w, http.StatusNotFound, "NoSuchUpload")
	case q.Has("partNumber"):
		number, _ := strconv.Atoi(q.Get("partNumber"))
		up.parts[number] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
	case q.Has("uploadId") && r.Method == http.MethodDelete:
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case q.Has("uploadId"):
		s.complete(w, r, key, up, body)
	case r.Method == http.MethodPut:
		if s.taken(w, r, key) {
			return
		}
		s.objects[key] = object{body, fmt.Sprintf("%x", md5.Sum(body))}
		w.Header().Set("ETag", `"`+s.objects[key].etag+`"`)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		s.get(w, r, key)
	}
}

func reply(w http.ResponseWriter, name, inner string) {
	w.Header().Set("Content-Type", "application/xml")
	_, _ = fmt.Fprintf(w, "%s<%s>%s</%s>", xml.Header, name, inner, name)
}

func (s *Server) taken(w http.ResponseWriter, r *http.Request, key string) bool {
	_, there := s.objects[key]
	if there && r.Header.Get("If-None-Match") == "*" && !s.Unconditional {
		Fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return true
	}
	return false
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := s.objects[key]
	if !ok {
		Fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	if s.Unconditional {
		r.Header.Del("If-Match")
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.data))
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, key string, up *upload, body []byte) {
	if s.taken(w, r, key) {
		return
	}
	var want struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	_ = xml.Unmarshal(body, &want)
	var data []byte
	whole := md5.New()
	for i, p := range want.Part {
		sum := md5.Sum(up.parts[p.PartNumber])
		if strings.Trim(p.ETag, `"`) != hex.EncodeToString(sum[:]) {
			Fail(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		if i < len(want.Part)-1 && len(up.parts[p.PartNumber]) < 5<<20 {
			Fail(w, http.StatusBadRequest, "EntityTooSmall")
			return
		}
		whole.Write(sum[:])
		data = append(data, up.parts[p.PartNumber]...)
	}
	s.objects[key] = object{data, fmt.Sprintf("%x-%d", whole.Sum(nil), len(want.Part))}
	delete(s.uploads, r.URL.Query().Get("uploadId"))
	reply(w, "CompleteMultipartUploadResult", fmt.Sprintf("<Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag>", Bucket, key, s.objects[key].etag))
}

// list is a page of two objects.
func (s *Server) list(w http.ResponseWriter, q url.Values) {
	after := cmp.Or(q.Get("continuation-token"), q.Get("start-after"))
	var b strings.Builder
	n, last, more := 0, "", false
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= after {
			continue
		}
		if more = n == 2; more {
			break
		}
		n, last = n+1, key
		o := s.objects[key]
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><Size>%d</Size><ETag>&quot;%s&quot;</ETag><LastModified>2026-11-01T00:00:00.000Z</LastModified></Contents>", key, len(o.data), o.etag)
	}
	fmt.Fprintf(&b, "<Name>%s</Name><IsTruncated>%v</IsTruncated>", Bucket, more)
	if more {
		fmt.Fprintf(&b, "<NextContinuationToken>%s</NextContinuationToken>", last)
	}
	reply(w, "ListBucketResult", b.String())
}

func (s *Server) listUploads(w http.ResponseWriter, q url.Values) {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s.uploads)) {
		if u := s.uploads[id]; strings.HasPrefix(u.key, q.Get("prefix")) {
			fmt.Fprintf(&b, "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", u.key, id)
		}
	}
	reply(w, "ListMultipartUploadsResult", "<IsTruncated>false</IsTruncated>"+b.String())
}
