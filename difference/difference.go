// Package difference puts two records of quern side by side: two manifests, which say
// what files hold and how they were made, or two reports of verify, which say what
// checkpoints are worth. It reads those records alone, no weights.
package difference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"

	"quern/convert/manifest"
	"quern/internal/invalid"
	"quern/store"
	"quern/verify"
)

// maxRecord bounds the file of a record: a manifest has about 400 bytes a tensor.
const maxRecord = 4 << 30

// Record is one side: a manifest or a report, the other is nil.
type Record struct {
	Name     string // as the user gave it
	Manifest *manifest.Manifest
	Report   *verify.Report
	// Several is set of a report on several candidates, which are in it.
	Several *verify.Candidates
}

// Read reads a manifest or a report of verify (--json-file), or the manifest of a
// checkpoint's folder. What is neither matches invalid.Input.
func Read(ctx context.Context, location string) (*Record, error) {
	folder, name, err := store.Open(ctx, location)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = manifest.Name
	}
	raw, err := store.ReadFile(ctx, folder, name, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, invalid.Errorf("%q has no %s: it was not made by quern; quern verify --baseline compares weights themselves", location, manifest.Name)
	}
	if err != nil {
		return nil, err
	}
	r, err := decode(raw)
	if err != nil {
		return nil, invalid.Errorf("reading %q: %w", location, err)
	}
	r.Name = location
	return r, nil
}

// decode tells records by the fields that only they have.
func decode(raw []byte) (*Record, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, errors.New("neither quern's manifest nor a report of quern verify")
	}
	var has struct {
		Tool       *string          `json:"tool"`
		Gates      *json.RawMessage `json:"gates"`
		Candidates *json.RawMessage `json:"candidates"`
	}
	if err := json.Unmarshal(raw, &has); err != nil {
		return nil, err
	}
	r := &Record{}
	var err error
	switch {
	case has.Gates != nil:
		r.Report = &verify.Report{}
		err = json.Unmarshal(raw, r.Report)
	case has.Candidates != nil:
		r.Several = &verify.Candidates{}
		err = json.Unmarshal(raw, r.Several)
	case has.Tool != nil:
		r.Manifest, err = manifest.Decode(raw)
	default:
		err = errors.New("neither quern's manifest nor a report of quern verify")
	}
	return r, err
}

// Of puts two records of one kind side by side. It returns a [*Manifests] or a
// [*Reports]; records that are no pair match invalid.Input.
func Of(a, b *Record) (Difference, error) {
	switch {
	case a.Several != nil:
		return nil, several(a)
	case b.Several != nil:
		return nil, several(b)
	case a.Manifest != nil && b.Manifest != nil:
		return manifests(a, b), nil
	case a.Report != nil && b.Report != nil:
		return reports(a, b), nil
	case a.Manifest != nil:
		return nil, invalid.Errorf("%q is a manifest, %q a report: give two of a kind", a.Name, b.Name)
	}
	return nil, invalid.Errorf("%q is a report, %q a manifest: give two of a kind", a.Name, b.Name)
}

func several(r *Record) error {
	return invalid.Errorf("%q is a report on %d candidates, which compares them itself: give reports on one checkpoint each", r.Name, len(r.Several.List))
}
