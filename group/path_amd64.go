//go:build !noasm

package group

func archPaths() []*path { return nil }
