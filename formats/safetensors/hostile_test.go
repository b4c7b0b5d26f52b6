package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"quern/internal/invalid"
)

// entry is a well-formed entry over bytes 0 to 4.
const entry = `{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`

// length is a file that begins with a header length of n.
func length(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// hostile are files that must be refused, with a part of the message. Cases of
// one header have 4 bytes of data, unless they say otherwise.
func hostile() []struct {
	name string
	file []byte
	want string
} {
	type c = struct {
		name string
		file []byte
		want string
	}
	lfs := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 4\n"
	cases := []c{
		{"empty", nil, "the file is empty"},
		{"seven bytes", make([]byte, 7), "7 bytes, too few"},
		{"eight bytes", make([]byte, 8), "header length 0"},
		{"length zero, then data", length(0, "{}"), "header length 0"},
		{"length 2^40", length(1<<40, "{}"), "header length 1099511627776 exceeds the limit"},
		{"length 2^63", length(1<<63, "{}"), "exceeds the limit"},
		{"length max", length(1<<64-1, "{}"), "header length 18446744073709551615 exceeds the limit"},
		{"length max minus 7", length(1<<64-8, "{}"), "exceeds the limit"},
		{"length over the limit", length(100_000_001, strings.Repeat("{", 64)), "exceeds the limit of 100000000"},
		{"length at the limit", length(100_000_000, "{}"), "exceeds the file, which has 10 bytes"},
		{"length one too long", length(3, "{}"), "header length 3 exceeds the file"},
		{"lfs pointer", []byte(lfs), "run git lfs pull"},
		{"lfs pointer in capitals", []byte("\n VERSION HTTPS://GIT-LFS.github.com/spec/v1"), "run git lfs pull"},
		{"html", []byte("<!doctype html><html><body>Not found</body></html>"), "HTML page"},
		{"html in capitals", []byte(" \r\n\t<HTML lang=en>"), "HTML page"},
		{"html after a mark", []byte("\xef\xbb\xbf<!DOCTYPE html>"), "HTML page"},
		{"short html", []byte("<html>"), "HTML page"},
		{"xml", []byte(`<?xml version="1.0"?><Error>AccessDenied</Error>`), "XML document"},
		{"gguf", append([]byte("GGUF\x03\x00\x00\x00"), make([]byte, 64)...), "GGUF file"},
		{"zip", append([]byte("PK\x03\x04\x14\x00\x00\x00"), make([]byte, 64)...), "zip archive"},
		{"zip whose start is a possible length", append([]byte("PK\x03\x04\x00\x00\x00\x00"), make([]byte, 64)...), "zip archive"},
		{"text", []byte("Entry not found, sorry"), "exceeds the limit"},
	}
	header := func(name, json, want string) {
		cases = append(cases, c{name, file(json, "data", true), want})
	}
	header("not json", "this is not json", "begins with 't'")
	header("array", "[]", "begins with '['")
	header("leading space", ` {"a":`+entry+`}`, "begins with ' '")
	header("byte order mark", "\xef\xbb\xbf{}", "begins with 'ï'")
	header("null", "null", "begins with 'n'")
	header("open", `{"a":`+entry, "expected a comma or '}'")
	header("only a brace", `{`, "expected a key")
	header("comma at the end", `{"a":`+entry+`,}`, "a comma before '}'")
	header("no comma", `{"a":`+entry+` "b":`+entry+`}`, "expected a comma")
	header("no colon", `{"a"`+entry+`}`, "expected a colon")
	header("bare key", `{a:`+entry+`}`, "expected a key")
	header("comment", `{/* */"a":`+entry+`}`, "expected a key")
	header("second value", `{"a":`+entry+`} {}`, "only spaces may follow")
	header("newline padding", `{"a":`+entry+"}\n", "only spaces may follow")
	header("zero padding", `{"a":`+entry+"}\x00", "only spaces may follow")
	header("name not utf-8", "{\"\xff\xfe\":"+entry+`}`, "not valid UTF-8")
	header("name overlong utf-8", "{\"\xc0\x80\":"+entry+`}`, "not valid UTF-8")
	header("name a raw surrogate", "{\"\xed\xa0\x80\":"+entry+`}`, "not valid UTF-8")
	header("name a lone surrogate", `{"\ud800":`+entry+`}`, "unpaired surrogate")
	header("name two high surrogates", `{"\ud800\ud800":`+entry+`}`, "unpaired surrogate")
	header("name with a control character", "{\"a\nb\":"+entry+`}`, "control character 0x0a")
	header("name with an unknown escape", `{"\x41":`+entry+`}`, "unknown escape")
	header("name with half an escape", `{"\u00`, "hexadecimal")
	header("name empty", `{"":`+entry+`}`, "without a name")
	header("name too long", `{"`+strings.Repeat("n", 4097)+`":`+entry+`}`, "4097 bytes, the limit is 4096")
	header("duplicate name", `{"a":`+entry+`,"a":`+entry+`}`, `tensor "a": the name occurs twice`)
	header("duplicate name by escape", `{"a":`+entry+`,"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}}`, "occurs twice")
	header("metadata twice", `{"__metadata__":{},"a":`+entry+`,"__metadata__":{}}`, "__metadata__ occurs twice")
	header("metadata false", `{"__metadata__":false,"a":`+entry+`}`, "__metadata__: byte")
	header("metadata null twice", `{"__metadata__":null,"a":`+entry+`,"__metadata__":null}`, "__metadata__ occurs twice")
	header("metadata nul", `{"__metadata__":nul,"a":`+entry+`}`, "__metadata__: byte")
	header("metadata number", `{"__metadata__":{"k":1},"a":`+entry+`}`, `__metadata__: value of "k"`)
	header("metadata null value", `{"__metadata__":{"k":null},"a":`+entry+`}`, "expected a string")
	header("metadata object", `{"__metadata__":{"k":{}},"a":`+entry+`}`, "expected a string, found an object")
	header("metadata duplicate", `{"__metadata__":{"k":"1","k":"1"},"a":`+entry+`}`, `__metadata__: duplicate key "k"`)
	header("metadata like a tensor", `{"__metadata__":`+entry+`}`, `value of "shape"`)
	header("deep", `{"a":`+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+`}`, `tensor "a": byte 5: expected an object, found an array`)
	header("deep shape", `{"a":{"dtype":"F32","shape":`+strings.Repeat("[", 10)+`}}`, "shape: byte")
	header("entry null", `{"a":null}`, "expected an object")
	header("entry string", `{"a":"b"}`, "expected an object, found a string")
	header("nothing for the data", `{}`, "4 bytes after the last tensor")

	// One entry with one fault.
	tensor := func(name, json, want string) {
		header(name, `{"a":{`+json+`}}`, want)
	}
	tensor("no dtype", `"shape":[1],"data_offsets":[0,4]`, `tensor "a": dtype is missing`)
	tensor("no shape", `"dtype":"F32","data_offsets":[0,4]`, "shape is missing")
	tensor("no offsets", `"dtype":"F32","shape":[1]`, "data_offsets are missing")
	tensor("no key", ``, "dtype is missing")
	tensor("keys in capitals", `"DTYPE":"F32","Shape":[1],"data_offsets":[0,4]`, `unknown key "DTYPE"`)
	tensor("key more", `"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]`, `unknown key "strides"`)
	tensor("dtype twice", `"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]`, `duplicate key "dtype"`)
	tensor("shape twice", `"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]`, `duplicate key "shape"`)
	tensor("offsets twice by escape", `"dtype":"F32","shape":[1],"data_offsets":[0,4],"data\u005foffsets":[0,4]`, `duplicate key "data_offsets"`)
	tensor("dtype unknown", `"dtype":"F7_X","shape":[1],"data_offsets":[0,4]`, `unknown dtype "F7_X" (supported: BOOL, F4,`)
	tensor("dtype in small letters", `"dtype":"f32","shape":[1],"data_offsets":[0,4]`, `unknown dtype "f32"`)
	tensor("dtype empty", `"dtype":"","shape":[1],"data_offsets":[0,4]`, `unknown dtype ""`)
	tensor("dtype number", `"dtype":11,"shape":[1],"data_offsets":[0,4]`, "dtype: byte")
	tensor("dtype null", `"dtype":null,"shape":[1],"data_offsets":[0,4]`, "expected a string")
	for fault, shape := range map[string]string{
		"negative": "[-1]", "minus zero": "[-0]", "point": "[1.0]", "fraction": "[1.5]", "exponent": "[1e0]",
		"string": `["1"]`, "null": "[null]", "true": "[true]", "NaN": "[NaN]", "plus": "[+1]", "hexadecimal": "[0x1]",
	} {
		tensor("shape "+fault, `"dtype":"F32","shape":`+shape+`,"data_offsets":[0,4]`, "expected a plain non-negative integer")
	}
	tensor("shape leading zero", `"dtype":"F32","shape":[01],"data_offsets":[0,4]`, "leading zero")
	tensor("shape number", `"dtype":"F32","shape":1,"data_offsets":[0,4]`, "shape: byte")
	tensor("shape comma", `"dtype":"F32","shape":[1,],"data_offsets":[0,4]`, "a comma before ']'")
	tensor("shape 2^64", `"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]`, "integer \"18446744073709551616\" exceeds 2^64-1")
	tensor("shape 2^63", `"dtype":"F32","shape":[9223372036854775808,2],"data_offsets":[0,4]`, "dimension 9223372036854775808")
	tensor("shape a hundred digits", `"dtype":"F32","shape":[`+strings.Repeat("9", 100)+`],"data_offsets":[0,4]`, "exceeds 2^64-1")
	tensor("shape wraps to 4 bytes", `"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]`, "size overflows")
	tensor("shape wraps to nothing", `"dtype":"BF16","shape":[4294967296,4294967296],"data_offsets":[0,0]`, "size overflows")
	tensor("shape overflow behind zero", `"dtype":"U8","shape":[0,9223372036854775808],"data_offsets":[0,0]`, "size overflows")
	tensor("shape product overflow behind zero", `"dtype":"U8","shape":[4611686018427387904,4611686018427387904,0],"data_offsets":[0,0]`, "size overflows")
	tensor("shape rank", `"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]`, "more than 8 dimensions")
	tensor("shape half a byte", `"dtype":"F4","shape":[7],"data_offsets":[0,4]`, "28 bits are no whole number")
	tensor("size too small", `"dtype":"F32","shape":[2],"data_offsets":[0,4]`, "data_offsets [0, 4]: 4 bytes, but F32 [2] has 8")
	tensor("size too large", `"dtype":"U8","shape":[3],"data_offsets":[0,4]`, "4 bytes, but U8 [3] has 3")
	tensor("size of a scalar", `"dtype":"F32","shape":[],"data_offsets":[0,0]`, "0 bytes, but F32 [] has 4")
	tensor("size of an empty one", `"dtype":"F32","shape":[0],"data_offsets":[0,4]`, "4 bytes, but F32 [0] has 0")
	tensor("offsets strings", `"dtype":"F32","shape":[1],"data_offsets":["0","4"]`, "data_offsets: byte")
	tensor("offsets negative", `"dtype":"F32","shape":[1],"data_offsets":[-4,0]`, `found "-4"`)
	tensor("offsets real", `"dtype":"F32","shape":[1],"data_offsets":[0.0,4.0]`, `found "0.0"`)
	tensor("offsets one", `"dtype":"F32","shape":[1],"data_offsets":[4]`, "1 numbers, expected begin and end")
	tensor("offsets none", `"dtype":"F32","shape":[1],"data_offsets":[]`, "0 numbers")
	tensor("offsets three", `"dtype":"F32","shape":[1],"data_offsets":[0,4,4]`, "more than two numbers")
	tensor("offsets object", `"dtype":"F32","shape":[1],"data_offsets":{"0":4}`, "expected an array, found an object")
	tensor("offsets reversed", `"dtype":"F32","shape":[1],"data_offsets":[4,0]`, "[4, 0]: the end is before the beginning")
	tensor("offsets beyond", `"dtype":"F32","shape":[2],"data_offsets":[0,8]`, "beyond the end of the file, which has 4 bytes of data")
	tensor("offsets 2^64-1", `"dtype":"F32","shape":[1],"data_offsets":[18446744073709551611,18446744073709551615]`, "beyond the end")
	tensor("hole before", `"dtype":"U8","shape":[3],"data_offsets":[1,4]`, "a hole, bytes 0 to 1 belong to no tensor")
	tensor("trailing", `"dtype":"U8","shape":[3],"data_offsets":[0,3]`, "1 bytes after the last tensor")
	u8 := func(begin, end, size string) string {
		return `{"dtype":"U8","shape":[` + size + `],"data_offsets":[` + begin + `,` + end + `]}`
	}
	header("hole between", `{"a":`+u8("0", "1", "1")+`,"b":`+u8("2", "4", "2")+`}`, `tensor "b": data_offsets [2, 4]: a hole, bytes 1 to 2`)
	header("overlap", `{"a":`+u8("0", "3", "3")+`,"b":`+u8("2", "4", "2")+`}`, `tensor "b": data_offsets [2, 4]: overlaps tensor "a" at [0, 3]`)
	header("alias", `{"a":`+entry+`,"b":`+u8("0", "4", "4")+`}`, "overlaps")
	header("inside", `{"a":`+entry+`,"b":`+u8("1", "2", "1")+`}`, "overlaps")
	header("empty inside", `{"a":`+entry+`,"b":`+u8("2", "2", "0")+`}`, `tensor "b": data_offsets [2, 2]: overlaps tensor "a"`)
	return cases
}

func TestHostile(t *testing.T) {
	for _, c := range hostile() {
		h, err := read(c.file)
		switch {
		case err == nil:
			t.Errorf("%s: accepted: %+v", c.name, h)
		case !errors.Is(err, invalid.Input):
			t.Errorf("%s: %v does not match ErrInvalid", c.name, err)
		case !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: got %q\nwant %q", c.name, err, c.want)
		case len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\n\r\x1b"):
			t.Errorf("%s: message %q", c.name, err)
		}
	}
}

// TestTruncated cuts a good file at every length.
func TestTruncated(t *testing.T) {
	b := file(`{"a":`+entry+`}`, "data", true)
	if _, err := read(b); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := read(b[:n]); !errors.Is(err, invalid.Input) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestHostileMemory holds lengths that a file does not cover, and entries that a
// header does not hold, to allocations in proportion to the file.
func TestHostileMemory(t *testing.T) {
	for _, c := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = read(c.file)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(256<<10+4*len(c.file)); got > most {
			t.Errorf("%s: %d bytes allocated for a file of %d", c.name, got, len(c.file))
		}
	}
	// A header that promises many tensors and has none.
	b := file(`{"__metadata__":{"k":"`+strings.Repeat("}", 1_000_000)+`"},"a":`+strings.Repeat("}", 1_000_000), "", true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := read(b)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err == nil || got > uint64(10*len(b)) {
		t.Errorf("%d bytes allocated for a header of %d, %v", got, len(b), err)
	}
}

func TestLimits(t *testing.T) {
	b := file(`{"aa":`+entry+`,"b":{"dtype":"U8","shape":[0,1],"data_offsets":[4,4]}}`, "data", true)
	for want, l := range map[string]Limits{
		"exceeds the limit of 16 bytes": {HeaderBytes: 16},
		"2 bytes, the limit is 1":       {NameBytes: 1},
		"more than 1 dimensions":        {Rank: 1},
		"more than 1 tensors":           {Tensors: 1},
		"":                              {HeaderBytes: 128, NameBytes: 2, Rank: 2, Tensors: 2},
	} {
		_, err := ReadHeader(bytes.NewReader(b), int64(len(b)), l)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// failing gives an error from an offset on.
type failing struct {
	b    []byte
	from int
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) <= f.from {
		return copy(p, f.b[off:]), nil
	}
	return copy(p, f.b[off:f.from]), f.err
}

func TestReadErrors(t *testing.T) {
	b := file(`{"a":`+entry+`}`+strings.Repeat(" ", 1000), "data", true)
	for _, from := range []int{0, 4, 8, 1000} {
		_, err := ReadHeader(failing{b, from, syscall.EIO}, int64(len(b)), Limits{})
		if !errors.Is(err, syscall.EIO) || errors.Is(err, invalid.Input) {
			t.Errorf("EIO at %d: %v", from, err)
		}
		_, err = ReadHeader(failing{b, from, io.EOF}, int64(len(b)), Limits{})
		if !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), "truncated while it was read") {
			t.Errorf("end at %d: %v", from, err)
		}
		if _, err = ReadHeader(failing{b, from, nil}, int64(len(b)), Limits{}); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("silence at %d: %v", from, err)
		}
	}
}
