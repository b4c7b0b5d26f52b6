//go:build !unix

package main

// The cases of places need links, FIFOs and devices.
func hostilePlaces() []hostile { return nil }
