package crdt

// Section is a run of changes of one table, as they travel in a delta. Columns travel by name,
// since numbers are each site's own, and a Register's Column is an index into Columns here.
type Section struct {
	Table      string
	Journal    bool // rows of the event journal: from a node to the hub only
	KeyColumns []string
	Columns    []string
	Changes    []Change
}
