package safetensors

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	other "github.com/nlpodyssey/safetensors"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// seeds are headers that are good or nearly so, each with the bytes of data that
// belong to it.
var seeds = []struct {
	header string
	data   uint16
}{
	{`{}`, 0},
	{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4},
	{`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4},
	{`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"U8","shape":[],"data_offsets":[12,13]}}  `, 13},
	{`{"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"c":{"dtype":"F64","shape":[3,0],"data_offsets":[8,8]}}`, 8},
	{`{"w":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]},"s":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[4,5]}}`, 5},
	{`{"w":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"v":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[2,5]}}`, 5},
	{`{"\u00e9\ud83d\ude00\n":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, 1},
	{`{"\ud83d":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}`, 1},
	{"{\"\xff\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1},
	{` {"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1},
	{"{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}\n", 1},
	{`{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1},
	{`{"a":{"dtype":"I8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1},
	{`{"__metadata__":{"a":"b","a":"b"},"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}`, 2},
	{`{"__metadata__":null,"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}`, 2},
	{`{"__metadata__":null,"":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}`, 2},
	{`{"a":{"dtype":"I16","shape":[0,9223372036854775808],"data_offsets":[0,0]}}`, 0},
	{`{"a":{"dtype":"I16","shape":[4294967296,0,4294967296],"data_offsets":[0,0]}}`, 0},
	{`null`, 0},
}

// FuzzReadHeader holds whatever is accepted to what the package promises.
func FuzzReadHeader(f *testing.F) {
	for _, s := range seeds {
		f.Add(file(s.header, strings.Repeat("\x00", int(s.data)), false))
	}
	for _, c := range hostile() {
		if len(c.file) < 4096 {
			f.Add(c.file)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := read(b)
		if err != nil {
			if h != nil || !errors.Is(err, invalid.Input) {
				t.Fatalf("%v, %v", h, err)
			}
			return
		}
		checkHeader(t, h, int64(len(b)))
	})
}

// checkHeader checks a header that was accepted for a file of size bytes.
func checkHeader(t *testing.T, h *Header, size int64) {
	t.Helper()
	end, names := int64(0), map[string]bool{}
	for _, tensor := range h.Tensors {
		n, err := SizeOf(tensor.DType, tensor.Shape)
		switch {
		case err != nil || n != tensor.Bytes():
			t.Fatalf("%+v: size %d, %v", tensor, n, err)
		case tensor.Elements()*tensor.DType.Bits() != 8*n:
			t.Fatalf("%+v: %d elements", tensor, tensor.Elements())
		case tensor.Begin != end:
			t.Fatalf("%+v does not begin at %d", tensor, end)
		case names[tensor.Name]:
			t.Fatalf("%s twice", tensor.Name)
		}
		end, names[tensor.Name] = tensor.End, true
	}
	if h.DataOffset+end != size {
		t.Fatalf("data ends at %d of %d", h.DataOffset+end, size)
	}

	// Written canonically, the file has the same tensors; written again, it has
	// the same bytes.
	canonical, head, err := NewHeader(h.Tensors, h.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	back := reread(t, head, end)
	if !reflect.DeepEqual(back, canonical) {
		t.Fatalf("read back %+v\nwant %+v", back, canonical)
	}
	if !reflect.DeepEqual(back.Metadata, h.Metadata) || !reflect.DeepEqual(shapes(back), shapes(h)) {
		t.Fatalf("canonical file %+v\ndiffers from %+v", back, h)
	}
	if _, again, err := NewHeader(back.Tensors, back.Metadata); err != nil || !bytes.Equal(again, head) {
		t.Fatalf("%q\nwritten again %q, %v", head, again, err)
	}
	// In its own order it keeps its offsets, if they are aligned.
	_, head, err = NewHeaderInOrder(h.Tensors, h.Metadata)
	aligned := !slices.ContainsFunc(h.Tensors, func(t Tensor) bool { return t.Begin%t.DType.Alignment() != 0 })
	if (err == nil) != aligned {
		t.Fatalf("aligned %v, but %v", aligned, err)
	}
	if aligned {
		if back := reread(t, head, end); !reflect.DeepEqual(back.Tensors, h.Tensors) {
			t.Fatalf("in order: read back %+v\nwant %+v", back.Tensors, h.Tensors)
		}
	}
}

func reread(t *testing.T, head []byte, data int64) *Header {
	t.Helper()
	h, err := ReadHeader(bytes.NewReader(head), int64(len(head))+data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// shapes is what a header says apart from places.
func shapes(h *Header) map[string]Tensor {
	m := make(map[string]Tensor, len(h.Tensors))
	for _, t := range h.Tensors {
		m[t.Name] = Tensor{DType: t.DType, Shape: t.Shape}
	}
	return m
}

// The reasons for which this package refuses files that nlpodyssey/safetensors
// accepts. Any other reason is a bug in one of the two.
var (
	// laxText is what encoding/json lets pass, in the words of strictjson. Where a
	// key occurs twice it keeps the last, so what stood at the first may be anything.
	laxText = []string{"duplicate key", "is not valid UTF-8", "unpaired surrogate"}

	// laxHeader is what that package lets pass itself, in the words of this one.
	laxHeader = []string{
		"it begins with",         // whitespace, or null instead of an object
		"only spaces may follow", // other whitespace
		"without a name",
		"bytes, the limit is 4096",
		"more than 8 dimensions",
		"size overflows", // unless it is multiplied with 0 first
	}
)

// FuzzDifferential compares with nlpodyssey/safetensors over the dtypes it knows.
func FuzzDifferential(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s.header), s.data)
	}
	f.Fuzz(func(t *testing.T, header []byte, data uint16) {
		b := file(string(header), strings.Repeat("\x00", int(data)), false)
		h, err := read(b)
		st, otherErr := other.Deserialize(b)
		switch {
		case err == nil && otherErr == nil:
			compare(t, h, st)
			_, m, err := other.ReadMetadata(b)
			if err != nil || !maps.Equal(m.Metadata(), h.Metadata) {
				t.Fatalf("metadata %q, nlpodyssey finds %q, %v", h.Metadata, m.Metadata(), err)
			}
		case err == nil:
			for _, tensor := range h.Tensors {
				if _, err := other.ParseDType(tensor.DType.String()); err != nil {
					return // it cannot know better
				}
			}
			t.Fatalf("%q: only nlpodyssey refuses: %v", header, otherErr)
		case otherErr == nil && !lax(err, header):
			t.Fatalf("%q: only quern refuses, for no known reason: %v", header, err)
		}
	})
}

func lax(err error, header []byte) bool {
	says := func(err error, reasons []string) bool {
		return slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(err.Error(), r) })
	}
	if _, textErr := strictjson.Parse(header, strictjson.Options{MaxDepth: 10_000}); textErr != nil {
		return says(textErr, laxText)
	}
	return says(err, laxHeader)
}

func compare(t *testing.T, h *Header, st other.SafeTensors) {
	t.Helper()
	if st.Len() != len(h.Tensors) {
		t.Fatalf("%d tensors, nlpodyssey finds %d", len(h.Tensors), st.Len())
	}
	for _, tensor := range h.Tensors {
		view, ok := st.Tensor(tensor.Name)
		if !ok {
			t.Fatalf("nlpodyssey lacks %q", tensor.Name)
		}
		shape := []int64{}
		for _, n := range view.Shape() {
			shape = append(shape, int64(n))
		}
		if view.DType().String() != tensor.DType.String() || !slices.Equal(shape, tensor.Shape) || int64(view.DataLen()) != tensor.Bytes() {
			t.Fatalf("%+v: nlpodyssey finds %s %v, %d bytes", tensor, view.DType(), shape, view.DataLen())
		}
	}
}
