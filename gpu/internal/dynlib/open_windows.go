//go:build !nogpu && (amd64 || arm64)

package dynlib

import "golang.org/x/sys/windows"

// open looks in the system's own folder only, where drivers put their libraries,
// and not where the program happens to be started.
func open(name string) (uintptr, error) {
	h, err := windows.LoadLibraryEx(name, 0, windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	return uintptr(h), err
}

func (l *Library) symbol(name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(l.handle), name)
}
