package safetensors

import (
	"bytes"

	"quern/internal/invalid"
)

// sniffBytes is how much of a file is looked at to tell what it is.
const sniffBytes = 512

// impostors are the files that are found under a .safetensors name, by what they
// begin with. They are looked for once a file has turned out to be no safetensors
// file, never before: the first bytes of a zip archive are a possible length.
var impostors = []struct {
	prefix string
	text   bool // after whitespace, in any case
	advice string
}{
	{"version https://git-lfs", true, "this is a Git LFS pointer, not the file: run git lfs pull"},
	{"<!doctype", true, "this is an HTML page, not the file: the download was answered by a web page, log in or check the address"},
	{"<html", true, "this is an HTML page, not the file: the download was answered by a web page, log in or check the address"},
	{"<?xml", true, "this is an XML document, not the file: the download was answered by an error message, check access and address"},
	{"GGUF", false, "this is a GGUF file, not a safetensors file"},
	{"PK\x03\x04", false, "this is a zip archive, perhaps a PyTorch checkpoint, not a safetensors file"},
}

// sniff names the kind of a file that is no safetensors file, from its first bytes;
// nil when it is not recognised.
func sniff(start []byte) error {
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n"))
	for _, k := range impostors {
		head := start
		if k.text {
			head = text
		}
		if bytes.HasPrefix(head, []byte(k.prefix)) {
			return invalid.Errorf("%s", k.advice)
		}
	}
	return nil
}
