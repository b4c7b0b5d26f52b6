//go:build !unix && !windows

package blockio

func (f *osFile) Lock() error { return nil }

func syncDir(string) error { return nil }

func free(string) (int64, error) { return -1, nil }
