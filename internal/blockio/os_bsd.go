//go:build unix && !linux && !darwin

package blockio

func (f *osFile) sync() error { return plain(f.File.Sync()) }

// free is not asked for: the fields of statfs differ from system to system.
func free(string) (int64, error) { return -1, nil }
