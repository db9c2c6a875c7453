// Package extract reads a delta out of the shadows, in slices.
package extract
