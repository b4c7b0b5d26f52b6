package strictjson

import "unicode/utf8"

// Indent writes the value in the layout of json.MarshalIndent with an empty prefix:
// one member or element a line, empty containers as {} and [], no newline at the
// end. Numbers keep their text, and no character is escaped that JSON lets stand.
func (v Value) Indent(indent string) []byte {
	return v.append(nil, indent, 0)
}

func (v *Value) append(dst []byte, indent string, depth int) []byte {
	switch v.Kind {
	case KindString:
		return AppendQuote(dst, v.Text)
	case KindBool, KindNumber:
		return append(dst, v.Text...)
	case KindArray:
		if len(v.Elems) == 0 {
			return append(dst, "[]"...)
		}
		for i := range v.Elems {
			dst = line(append(dst, "[,"[min(i, 1)]), indent, depth+1)
			dst = v.Elems[i].append(dst, indent, depth+1)
		}
		return append(line(dst, indent, depth), ']')
	case KindObject:
		if len(v.Members) == 0 {
			return append(dst, "{}"...)
		}
		for i := range v.Members {
			dst = line(append(dst, "{,"[min(i, 1)]), indent, depth+1)
			dst = append(AppendQuote(dst, v.Members[i].Key), ": "...)
			dst = v.Members[i].Value.append(dst, indent, depth+1)
		}
		return append(line(dst, indent, depth), '}')
	}
	return append(dst, "null"...)
}

// line begins a line at a depth.
func line(dst []byte, indent string, depth int) []byte {
	dst = append(dst, '\n')
	for range depth {
		dst = append(dst, indent...)
	}
	return dst
}

// AppendQuote appends s as a JSON string. Only the quote, the backslash and control
// characters below U+0020 are escaped, the latter in their short form where there
// is one (\n), else as \u00 and two lower-case digits: the form that Rust's
// serde_json writes. Bytes that are not UTF-8 become U+FFFD.
func AppendQuote(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = utf8.AppendRune(append(dst, s[done:i]...), utf8.RuneError)
				done = i + 1
			}
			i += n
			continue
		}
		if i++; c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i-1]...)
		done = i
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, s[done:]...), '"')
}
