// Package install puts ravno's tables, triggers and mirrors into the file and keeps them up to date.
package install
