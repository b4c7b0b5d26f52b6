package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"quern/internal/invalid"
)

// file joins a header (padded if pad is set) and data into a file.
func file(header, data string, pad bool) []byte {
	for pad && (len(header)+lengthBytes)%8 != 0 {
		header += " "
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func read(b []byte) (*Header, error) {
	return ReadHeader(bytes.NewReader(b), int64(len(b)), Limits{})
}

func TestReadHeader(t *testing.T) {
	// Entries and keys out of order, an escaped name, whitespace between tokens,
	// tensors without bytes at the start, between two others and at the end.
	b := file(`{ "w\u00e9\/":{"data_offsets":[8,14],"shape":[3],"dtype":"BF16"},
	"__metadata__":{"format":"pt","":"\ud83d\ude00"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
	"z0":{"dtype":"F64","shape":[0],"data_offsets":[0,0]},"m0":{"dtype":"U8","shape":[4,0],"data_offsets":[8,8]},
	"e0":{"dtype":"U8","shape":[0,9],"data_offsets":[16,16]},"d0":{"dtype":"U8","shape":[0],"data_offsets":[16,16]},
	"s":{"dtype":"F8_E4M3","shape":[],"data_offsets":[14,15]},"q":{"dtype":"F4","shape":[2],"data_offsets":[15,16]}}`,
		"0123456789abcdef", false)
	got, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	want := &Header{
		Tensors: []Tensor{
			{"z0", F64, []int64{0}, 0, 0},
			{"a", F32, []int64{2, 1}, 0, 8},
			{"m0", U8, []int64{4, 0}, 8, 8},
			{"wé/", BF16, []int64{3}, 8, 14},
			{"s", F8E4M3, []int64{}, 14, 15},
			{"q", F4, []int64{2}, 15, 16},
			{"d0", U8, []int64{0}, 16, 16},
			{"e0", U8, []int64{0, 9}, 16, 16},
		},
		Metadata:   map[string]string{"format": "pt", "": "😀"},
		DataOffset: int64(len(b) - 16),
		Digest:     blake3.Sum256(b[:len(b)-16]),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if n := got.Tensors[4].Elements(); n != 1 {
		t.Errorf("a scalar has %d elements", n)
	}
}

func TestReadHeaderEmptyObject(t *testing.T) {
	for _, header := range []string{"{}", "{}   ", `{"__metadata__":{}}`, `{"__metadata__":null}`} {
		h, err := read(file(header, "", false))
		if err != nil || len(h.Tensors) != 0 || h.Metadata != nil || h.DataOffset != int64(8+len(header)) {
			t.Errorf("%s: %+v, %v", header, h, err)
		}
	}
}

func TestNewHeaderGolden(t *testing.T) {
	tensors := []Tensor{
		{Name: "b\"\\\n\x01\x7fü\u2028", DType: BF16, Shape: []int64{2, 3}},
		{Name: "a", DType: F8E4M3, Shape: []int64{5}},
		{Name: "B", DType: F16, Shape: []int64{1}},
		{Name: "s", DType: F32},
		{Name: "i", DType: I64, Shape: []int64{0, 7}},
		{Name: "c", DType: F32, Shape: []int64{1}},
		{Name: "p", DType: F6E2M3, Shape: []int64{4}},
	}
	const json = `{"__metadata__":{"format":"pt","z":"<&>/"},` +
		`"i":{"dtype":"I64","shape":[0,7],"data_offsets":[0,0]},` +
		`"c":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},` +
		`"s":{"dtype":"F32","shape":[],"data_offsets":[4,8]},` +
		`"B":{"dtype":"F16","shape":[1],"data_offsets":[8,10]},` +
		`"b\"\\\n\u0001` + "\x7fü\u2028" + `":{"dtype":"BF16","shape":[2,3],"data_offsets":[10,22]},` +
		`"a":{"dtype":"F8_E4M3","shape":[5],"data_offsets":[22,27]},` +
		`"p":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[27,30]}}`
	h, got, err := NewHeader(tensors, map[string]string{"z": "<&>/", "format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	if want := file(json, "", true); !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(got)%8 != 0 {
		t.Errorf("data begins at %d", len(got))
	}
	back, err := read(append(got, make([]byte, 30)...))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, h) {
		t.Errorf("read back %+v\nwant %+v", back, h)
	}
	_, again, err := NewHeader(back.Tensors, back.Metadata)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("written again: %q, %v", again, err)
	}
	if tensors[3].Shape != nil || tensors[0].End != 0 {
		t.Error("the argument was changed")
	}
}

func TestNewHeaderInOrder(t *testing.T) {
	tensors := []Tensor{
		{Name: "x.scale", DType: F32, Shape: []int64{1}},
		{Name: "x", DType: F8E4M3, Shape: []int64{4}},
		{Name: "y.scale", DType: F32, Shape: []int64{1}},
		{Name: "y", DType: F8E4M3, Shape: []int64{3}},
	}
	h, b, err := NewHeaderInOrder(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, tensor := range h.Tensors {
		if tensor.Name != tensors[i].Name {
			t.Errorf("tensor %d is %s", i, tensor.Name)
		}
	}
	if back, err := read(append(b, make([]byte, 15)...)); err != nil || !reflect.DeepEqual(back, h) {
		t.Errorf("read back %+v, %v", back, err)
	}
	tensors[1].Shape[0] = 3
	if _, _, err = NewHeaderInOrder(tensors, nil); err == nil || !strings.Contains(err.Error(), `tensor "y.scale": it would begin at byte 7`) {
		t.Errorf("misaligned: %v", err)
	}
}

func TestNewHeaderRefuses(t *testing.T) {
	one := []int64{1}
	for want, ts := range map[string][]Tensor{
		"without a name":      {{Name: "", DType: U8, Shape: one}},
		"reserved":            {{Name: "__metadata__", DType: U8, Shape: one}},
		"not valid UTF-8":     {{Name: "a\xff", DType: U8, Shape: one}},
		"occurs twice":        {{Name: "a", DType: U8, Shape: one}, {Name: "b", DType: U8}, {Name: "a", DType: F32, Shape: one}},
		"4097 bytes":          {{Name: strings.Repeat("n", 4097), DType: U8, Shape: one}},
		"8 dimensions":        {{Name: "a", DType: U8, Shape: make([]int64, 9)}},
		"negative dimension":  {{Name: "a", DType: U8, Shape: []int64{-1}}},
		"size overflows":      {{Name: "a", DType: F32, Shape: []int64{1 << 40, 1 << 30}}},
		"whole number":        {{Name: "a", DType: F4, Shape: []int64{3}}},
		"DType(0) is no":      {{Name: "a", Shape: one}},
		"DType(99) is no":     {{Name: "a", DType: 99, Shape: one}},
		"the file overflows":  {{Name: "a", DType: U8, Shape: []int64{1 << 59}}, {Name: "b", DType: U8, Shape: []int64{1 << 59}}},
		"key \"k\": not vali": {{Name: "a", DType: U8, Shape: one}},
	} {
		metadata := map[string]string{"k": "v"}
		if strings.HasPrefix(want, "key") {
			metadata["k"] = "\xff"
		}
		if want == "the file overflows" {
			for i := range 20 {
				ts = append(ts, Tensor{Name: strings.Repeat("x", i+1), DType: U8, Shape: []int64{1 << 59}})
			}
		}
		_, _, err := NewHeader(ts, metadata)
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, invalid.Input) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestDTypes(t *testing.T) {
	names := "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64"
	for i, name := range strings.Fields(names) {
		d, err := ParseDType(name)
		if err != nil || int(d) != i+1 || d.String() != name {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if d.Bits() < 8 != (d.Alignment()*8 != d.Bits()) {
			t.Errorf("%s: %d bits, alignment %d", d, d.Bits(), d.Alignment())
		}
	}
	if U64 != 22 {
		t.Errorf("U64 is %d", U64)
	}
	for _, d := range []DType{0, U64 + 1} {
		if d.Bits() != 0 || d.Alignment() != 1 || d.IsFloat() {
			t.Errorf("%s is taken for a type", d)
		}
	}
	if !F8E8M0.IsFloat() || I8.IsFloat() || C64.IsFloat() || C64.Alignment() != 8 || F4.Alignment() != 1 {
		t.Error("a property of a type is wrong")
	}
}

func TestSizeOf(t *testing.T) {
	for _, c := range []struct {
		d     DType
		shape []int64
		want  int64
		err   string
	}{
		{F32, nil, 4, ""},
		{F4, []int64{4, 3}, 6, ""},
		{F6E3M2, []int64{4}, 3, ""},
		{F6E3M2, []int64{2}, 0, "12 bits"},
		{F4, nil, 0, "4 bits"},
		{U8, []int64{math.MaxInt64 / 8}, math.MaxInt64 / 8, ""},
		{U8, []int64{math.MaxInt64}, 0, "overflows"},
		{F32, []int64{1 << 32, 1 << 32}, 0, "overflows"},
		{F32, []int64{0, 1 << 62}, 0, "overflows"},
		{U8, []int64{1 << 31, 1 << 31, 0}, 0, "overflows"},
		{U8, []int64{0, 1 << 31, 1 << 28}, 0, ""},
		{U8, []int64{0, -1}, 0, "negative"},
		{F4, []int64{0, 3}, 0, ""},
	} {
		got, err := SizeOf(c.d, c.shape)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("SizeOf(%s, %v) = %d, %v", c.d, c.shape, got, err)
		}
	}
}

func TestWrite(t *testing.T) {
	tensors := []Tensor{
		{Name: "codes", DType: U8, Shape: []int64{3}},
		{Name: "none", DType: U8, Shape: []int64{0}},
		{Name: "scale", DType: F32, Shape: []int64{1}},
	}
	content := []string{"abc", "", "WXYZ"}
	var b bytes.Buffer
	err := Write(&b, tensors, map[string]string{"format": "pt"}, func(i int, w io.Writer) error {
		for _, c := range []byte(content[i]) {
			if _, err := w.Write([]byte{c}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := read(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range h.Tensors {
		got := string(b.Bytes()[h.DataOffset+tensor.Begin : h.DataOffset+tensor.End])
		for i := range tensors {
			if tensors[i].Name == tensor.Name && got != content[i] {
				t.Errorf("%s holds %q", tensor.Name, got)
			}
		}
	}
	for _, bad := range []string{"WXY", "WXYZ!", ""} {
		err := Write(io.Discard, tensors, nil, func(i int, w io.Writer) error {
			s := content[i]
			if i == 2 {
				s = bad
			}
			_, _ = io.WriteString(w, s) // the error is ignored: Write must notice all the same
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), `tensor "scale"`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
