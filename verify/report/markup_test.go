package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// void are the elements that have no end.
var void = []string{"meta", "br", "wbr", "hr", "img", "link", "input"}

var attribute = regexp.MustCompile(`^\s+([a-zA-Z][a-zA-Z0-9-]*)(?:="([^"<]*)")?`)

// elements reads a page strictly and returns its tags in order, with the names of their
// attributes. It knows what the page may use: quoted attributes, no comments, text in
// which < and & are escaped.
func elements(page string) ([]string, error) {
	rest, ok := strings.CutPrefix(page, "<!DOCTYPE html>")
	if !ok {
		return nil, fmt.Errorf("no doctype")
	}
	var tags, open []string
	ids := map[string]bool{}
	for rest != "" {
		at := strings.IndexByte(rest, '<')
		if at < 0 {
			at = len(rest)
		}
		if err := properText(rest[:at]); err != nil {
			return nil, fmt.Errorf("in %q: %w", open, err)
		}
		if rest = rest[at:]; rest == "" {
			break
		}
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return nil, fmt.Errorf("a tag without end: %.40q", rest)
		}
		tag := rest[1:end]
		rest = rest[end+1:]
		if name, ok := strings.CutPrefix(tag, "/"); ok {
			if len(open) == 0 || open[len(open)-1] != name {
				return nil, fmt.Errorf("</%s> where %q are open", name, open)
			}
			open = open[:len(open)-1]
			tags = append(tags, tag)
			continue
		}
		tag, closed := strings.CutSuffix(tag, "/")
		name := tag
		if i := strings.IndexAny(tag, " \n\t"); i >= 0 {
			name = tag[:i]
		}
		sign := name
		for attributes := tag[len(name):]; strings.TrimSpace(attributes) != ""; {
			m := attribute.FindStringSubmatch(attributes)
			if m == nil {
				return nil, fmt.Errorf("<%s>: attributes %q", name, attributes)
			}
			if err := properText(m[2]); err != nil {
				return nil, fmt.Errorf("<%s %s>: %w", name, m[1], err)
			}
			if m[1] == "id" {
				if ids[m[2]] {
					return nil, fmt.Errorf("id %q is there twice", m[2])
				}
				ids[m[2]] = true
			}
			sign += " " + m[1]
			attributes = attributes[len(m[0]):]
		}
		tags = append(tags, sign)
		if name == "style" { // raw text
			end := strings.Index(rest, "</style>")
			if end < 0 || strings.Contains(rest[:end], "<") {
				return nil, fmt.Errorf("a style sheet that does not end")
			}
			rest = rest[end:]
		}
		if !closed && !slices.Contains(void, name) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("left open: %q", open)
	}
	return tags, nil
}

var entity = regexp.MustCompile(`&(?:amp|lt|gt|quot|#34|#39|#43|#x[0-9a-fA-F]+);`)

// properText refuses characters that text may not have as they are.
func properText(s string) error {
	if strings.Contains(entity.ReplaceAllString(s, ""), "&") {
		return fmt.Errorf("an ampersand that is not escaped in %.60q", s)
	}
	for _, r := range s {
		if (r < ' ' && r != '\n') || r == 0x7f || r == 0xfeff || (r >= 0x200b && r <= 0x200f) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return fmt.Errorf("character %U in %.60q", r, s)
		}
	}
	return nil
}

func TestElementsRefuses(t *testing.T) {
	for _, page := range []string{
		"<p></p>", "<!DOCTYPE html><p>", "<!DOCTYPE html><p></b>", "<!DOCTYPE html><p a=b></p>", "<!DOCTYPE html><p>&</p>",
		"<!DOCTYPE html><p>\x01</p>", "<!DOCTYPE html><p", "<!DOCTYPE html><style>a", "<!DOCTYPE html><p>\u202e</p>",
		`<!DOCTYPE html><p id="a"></p><p id="a"></p>`,
	} {
		if tags, err := elements(page); err == nil {
			t.Errorf("%q is taken for %q", page, tags)
		}
	}
	tags, err := elements(`<!DOCTYPE html><p class="x">a &lt; b<br><rect x="1"/></p>`)
	if want := []string{"p class", "br", "rect x", "/p"}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("got %q, %v", tags, err)
	}
}
