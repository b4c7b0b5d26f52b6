//go:build !unix && !windows

package blockio

func (f *osFile) Lock() error { return nil }

func (f *osFile) sync() error { return plain(f.File.Sync()) }

const noFollow = 0

func (osFS) Retire(f File) error {
	err := f.Close()
	if rerr := OS.Remove(f.Name()); err == nil {
		err = rerr
	}
	return err
}

func syncDir(string) error { return nil }

func free(string) (int64, error) { return -1, nil }
