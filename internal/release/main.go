// Release makes the parts of a release for which a shell is too coarse. .ci/release
// runs it.
//
//	go run ./internal/release archive OUT.tar.gz|OUT.zip DIR      all of DIR, the same bytes each time
//	go run ./internal/release sbom BINARY VERSION >BOM.cdx.json   what a binary is made of
//	go run ./internal/release licences BINARY >FILE               under which conditions
//
// SOURCE_DATE_EPOCH is the time that it writes wherever one is wanted.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	at := time.Unix(epoch, 0).UTC()
	switch {
	case len(args) == 3 && args[0] == "archive":
		return archive(args[1], args[2], at)
	case len(args) == 3 && args[0] == "sbom":
		return sbom(os.Stdout, args[1], args[2], at)
	case len(args) == 2 && args[0] == "licences":
		return licences(os.Stdout, args[1])
	}
	return fmt.Errorf("usage: release archive OUT DIR | sbom BINARY VERSION | licences BINARY")
}
