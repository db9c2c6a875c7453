package sim

import (
	"flag"
	"os"
	"testing"
)

// schedules is how many random schedules an ordinary test run goes through, unless
// -rapid.checks says otherwise: enough to find what breaks often, in well under a minute.
const schedules = "300"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", schedules); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
