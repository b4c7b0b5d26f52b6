package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// wellFormed reads a page as strictly as XML is read: every tag closed in order,
// attributes quoted, & and < escaped. What HTML does not close is closed first.
func wellFormed(page string) ([]xml.StartElement, error) {
	page, ok := strings.CutPrefix(page, "<!DOCTYPE html>")
	if !ok {
		return nil, errors.New("no doctype")
	}
	lines := strings.Split(page, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "<meta ") {
			lines[i] = strings.TrimSuffix(l, ">") + "/>"
		}
	}
	var tags []xml.StartElement
	ids := map[string]bool{}
	d := xml.NewDecoder(strings.NewReader(strings.Join(lines, "\n")))
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
		if t, ok := t.(xml.StartElement); ok {
			tags = append(tags, t.Copy())
			for _, a := range t.Attr {
				if a.Name.Local == "id" && ids[a.Value] {
					return nil, fmt.Errorf("id %q is there twice", a.Value)
				} else if a.Name.Local == "id" {
					ids[a.Value] = true
				}
			}
		}
	}
}
