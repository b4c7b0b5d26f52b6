// Package page is what quern's reports have in common: the beginning of a page that loads
// nothing and runs nothing, and text from files made safe to look at.
package page

import (
	_ "embed"
	"html/template"
)

//go:embed head.html
var head string

// Parse makes a page of its body: html begins with {{template "head" .}}, which takes
// the fields CSS, Title and Version, and may write the version behind a name with
// {{template "version" .}}. It panics if html is no template.
func Parse(html string) *template.Template {
	t := template.Must(template.New("page").Parse(html))
	return template.Must(t.New("head.html").Parse(head)).Lookup("page")
}
