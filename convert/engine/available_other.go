//go:build !linux

package engine

func availableMemory() int64 { return 0 }
