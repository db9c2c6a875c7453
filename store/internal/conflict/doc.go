// Package conflict writes, extends and reads conflict records.
//
// A document has at most one open record. More that is found extends it and raises its revision.
// The identifier of a first record is derived from the document and the two versions. A record
// keeps table, key, both sites, and for each column the value before, on each side, and in force.
// Values are in the encoding of keys, in hex, inside JSON, so every byte survives.
//
// A later value of one side replaces the earlier one in the record's columns. The earlier one
// stays beside it, because its author may have seen somebody else's value replace it. A record
// says when its rows were noted. A resolution needs that to leave alone a row that got the number
// since.
//
// Agreement is no conflict: the same columns set to the same values, or two deletions. A row that
// nobody but its author ever had ends without being a side, unless it keeps another's row out.
//
// For each row that another's priority keeps out of its table the hub has one record of kind
// unique, whole with its followers. It closes by itself when the row is back. A row that a CHECK
// keeps out is whole in the conflict of its document.
//
// A record is a replicated row. It is written in the transaction that found it, and never stops
// the flow.
//
// Package conflict refuses to know who was right. It knows neither deltas nor the admin's
// decision. Decision 12 has the reasons.
package conflict
