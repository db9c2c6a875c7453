// Package enrol makes a file ravno's, gives it a first load, lets it leave, and keeps the list of members.
package enrol
