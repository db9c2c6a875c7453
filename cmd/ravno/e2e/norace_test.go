//go:build !race

package e2e

// buildFlags build the program as the tests were built.
var buildFlags []string
