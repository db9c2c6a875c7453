package sim

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The largest value an application may well hold goes over the whole road: capture, fold,
// delta, frames, streams, merge, table.
func TestBlobOfTwentyMegabytesEndToEnd(t *testing.T) {
	story(t, []string{"hub", "a"}, func(c *chain) {
		for _, s := range c.sites { // the program makes it when it starts
			c.must(os.MkdirAll(filepath.Join(s.db+".ravno", "spool"), 0o700))
		}
		c.exec("a", "UPDATE item SET c=randomblob(20000000) WHERE id=1")
		c.eventually("the blob is at the hub", 10*time.Minute, func() bool {
			var size int
			c.must(c.site("hub").app.QueryRow("SELECT length(c) FROM item WHERE id=1").Scan(&size))
			return size == 20_000_000
		})
		c.eventually("everything is green", time.Minute, c.allGreen)
		if !c.isLevel() {
			t.Error(c.difference())
		}
	})
}
