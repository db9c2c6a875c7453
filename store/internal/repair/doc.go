// Package repair puts right between rows what only the hub can see: orphans and half documents.
package repair
