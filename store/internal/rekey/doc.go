// Package rekey gives one of two rows under one key a fresh key.
package rekey
