package quiclink_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"ravno/net/quiclink"
)

func TestBackoffDoublesToItsCap(t *testing.T) {
	backoff := quiclink.NewBackoff(func() float64 { return 0.5 })
	for _, want := range []time.Duration{125, 250, 500, 1000, 2000, 4000, 8000, 15000, 15000} {
		if got := backoff.Next(); got != want*time.Millisecond {
			t.Errorf("waits %s, want %s", got, want*time.Millisecond)
		}
	}
	for range 10_000 {
		if got := backoff.Next(); got != quiclink.BackoffCap/2 {
			t.Fatalf("after very many attempts: %s", got)
		}
	}
	backoff.Reset()
	if got := backoff.Next(); got != quiclink.BackoffBase/2 {
		t.Errorf("after success: %s", got)
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backoff := quiclink.NewBackoff(func() float64 { return rapid.Float64Range(0, 0.9999999).Draw(t, "draw") })
		ceiling := quiclink.BackoffBase
		for range rapid.IntRange(1, 50).Draw(t, "attempts") {
			wait := backoff.Next()
			if wait < quiclink.BackoffFloor || wait > min(ceiling, quiclink.BackoffCap) {
				t.Fatalf("waits %s, ceiling %s", wait, ceiling)
			}
			ceiling = min(2*ceiling, quiclink.BackoffCap)
		}
	})
}
