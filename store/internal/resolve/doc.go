// Package resolve plans an admin's decision on a conflict as a whole, carries it out, and undoes it.
package resolve
