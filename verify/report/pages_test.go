package report

import (
	"bytes"
	"flag"
	"sync"
	"testing"

	"quern/verify"
)

var pages = flag.String("pages", "", "write the made-up reports into this folder, to look at them")

// samples are reports of all forms.
var samples = sync.OnceValue(func() map[string]*verify.Report {
	return map[string]*verify.Report{
		"tiny": made(tinyShape), "v3": made(v3Shape), "single": madeSingle(tinyShape),
		"reference": madeReference(tinyShape), "failing": madeFailing(tinyShape),
	}
})

// html is the page of a report.
func html(t testing.TB, r *verify.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
