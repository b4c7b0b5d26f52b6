package ui

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A bar that begins in the middle never shows less, and the time left goes by what was
// done from there on.
func TestProgressBegins(t *testing.T) {
	for _, form := range []ProgressForm{ProgressBar, ProgressLines, ProgressJSON} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		said := make(chan string)
		go func() {
			all, _ := io.ReadAll(r)
			said <- string(all)
		}()
		p := NewProgress(w, "work", form)
		p.every = 100 * time.Millisecond
		const total = int64(1000e6)
		p.Begin(total/2, total)
		for i := int64(1); i <= 24; i++ { // 10 MB in 50 ms: some 200 MB/s, or 2.5 s for the rest
			time.Sleep(50 * time.Millisecond)
			p.Update(total/2+i*10e6, total)
		}
		p.Stop()
		_ = w.Close()
		text := <-said
		if form == ProgressJSON {
			if !strings.Contains(text, `"done":740000000,"total":1000000000`) {
				t.Error(text)
			}
			continue
		}
		share := regexp.MustCompile(`(\d+) ?%`).FindAllStringSubmatch(text, -1)
		left := regexp.MustCompile(`:(\d+)s\]|([\d.]+)(?: s|s) left`).FindAllStringSubmatch(text, -1)
		if len(share) < 3 || len(left) < 3 {
			t.Fatalf("%s: %q", form, text)
		}
		for _, m := range share {
			if n, _ := strconv.Atoi(m[1]); n < 50 || n > 75 {
				t.Errorf("%s: %s %%: %q", form, m[1], text)
				break
			}
		}
		for _, m := range left {
			// By the whole 500 MB it would be less than half a second.
			if s, _ := strconv.ParseFloat(m[1]+m[2], 64); s < 1 || s > 15 {
				t.Errorf("%s: %q left: %q", form, m[0], text)
				break
			}
		}
	}
}
