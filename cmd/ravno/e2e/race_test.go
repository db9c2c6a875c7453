//go:build race

package e2e

// buildFlags build the program as the tests were built: with the race detector.
var buildFlags = []string{"-race"}
