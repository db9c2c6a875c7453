// Package history keeps what must be remembered until every site has seen it, and says when it may be forgotten.
package history
