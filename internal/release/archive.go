package main

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// entries writes files into an archive.
type entries interface {
	add(name string, executable bool, content []byte) error
	io.Closer
}

// archive packs the files of dir under its name, in the order of their names, all of
// one time, of user and group 0, with one of two modes: whoever packs the same files
// gets the same bytes.
func archive(out, dir string, at time.Time) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var to entries
	switch {
	case strings.HasSuffix(out, ".zip"):
		z := zip.NewWriter(f)
		z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
		to = zipped{z, at}
	case strings.HasSuffix(out, ".tar.gz"):
		g, _ := gzip.NewWriterLevel(f, gzip.BestCompression) // its header has neither name nor time
		to = tarred{tar.NewWriter(g), g, at}
	default:
		return fmt.Errorf("%s: neither .zip nor .tar.gz", out)
	}
	base := filepath.Base(dir)
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: not a plain file", p)
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return to.add(path.Join(base, filepath.ToSlash(rel)), info.Mode()&0o100 != 0, content)
	})
	return errors.Join(err, to.Close())
}

// mode is what a file of a release may be.
func mode(executable bool) fs.FileMode {
	if executable {
		return 0o755
	}
	return 0o644
}

type tarred struct {
	*tar.Writer
	gz *gzip.Writer
	at time.Time
}

func (t tarred) add(name string, executable bool, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: int64(mode(executable)), ModTime: t.at, Format: tar.FormatUSTAR}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func (t tarred) Close() error { return errors.Join(t.Writer.Close(), t.gz.Close()) }

type zipped struct {
	*zip.Writer
	at time.Time
}

func (z zipped) add(name string, executable bool, content []byte) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: z.at}
	h.SetMode(mode(executable))
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
