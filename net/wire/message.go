package wire

import (
	"ravno/crdt"
	"ravno/crdt/causal"
)

// Message is one control or enrolment message. The interface is sealed. Its values are exactly the
// structs below, held by value, so a receiver is one type switch and every new message needs its
// encoding. A single struct with a kind and the union of all fields would let a Ping carry a Secret.
//
// A message read owns its memory: slices in it are not used again by this package.
type Message interface {
	// Kind is the kind of frame the message travels in.
	Kind() Kind
	encode(*encoder)
}

// Hello opens a session. The node gives its incarnation and its positions.
type Hello struct {
	ProtocolMin, ProtocolMax uint16 // versions the node can speak, both included
	Version                  string // of the program, for people
	Incarnation              causal.Incarnation
	Position                 causal.Position    // the node's own
	Seen                     causal.Seen        // of the hub, applied here
	HubIncarnation           causal.Incarnation // the hub that Seen belongs to
	ClockMillis              int64              // Unix milliseconds at sending
	Floor                    causal.Seen
	Until                    causal.Position // as in Ack, of the hub's work
}

// Welcome is the hub's answer to Hello.
type Welcome struct {
	Protocol    uint16 // the version chosen
	Version     string
	Incarnation causal.Incarnation
	Have        causal.Position // of the node, applied at the hub
	Position    causal.Position // the hub's own
	ClockMillis int64           // Unix milliseconds at sending
	Until       causal.Position // as in Ack, of the node's work
}

// Refuse ends a session or an enrolment, and says why and what to do.
type Refuse struct {
	Code string // a word for programs
	Text string // one line for people
	Try  string // what to do about it; may be empty
}

// Ping asks for a sign of life and tells how the sender is.
type Ping struct {
	ID          uint64
	ClockMillis int64 // Unix milliseconds at sending
	PendingOut  int64 // changes to send
	PendingIn   int64 // changes to apply
	Floor       causal.Seen
	Trouble     string // a cause word of the status, empty if there is none
	TroubleText string // one line for people
	Settled     Settled
}

// Settled says which work need not be remembered any more. The hub tells a node with each Ping, and
// nodes never send it.
type Settled struct {
	Hub causal.Position // what the hub had at this position is settled
	Own causal.Position // and of the receiver's own work, what is up to this position of its own
	At  causal.Position // the hub's position when it knew: who has not seen that remembers everything
}

// Pong answers the Ping with the same ID.
type Pong struct {
	ID          uint64
	EchoMillis  int64 // the Ping's ClockMillis
	ClockMillis int64 // Unix milliseconds at sending
}

// Ack says that everything of the other side up to Position is committed durably here.
type Ack struct {
	Position causal.Position
	Floor    causal.Seen
	// Left says that a batch was left with its sender on purpose, and may be sent again now.
	Left bool
	// Rows is how many rows a batch should have at most, so that applying them there keeps the
	// application waiting only briefly. 0 means not known yet.
	Rows uint64
	// Until is the end of the delta of which Position is the end of a slice. 0 means no delta.
	Until causal.Position
}

// Status carries the hub's view of all servers. The JSON is opaque here.
type Status struct{ JSON []byte }

// Where asks the hub for its position. Here with the same ID answers.
type Where struct{ ID uint64 }

// Here answers Where.
type Here struct {
	ID       uint64
	Position causal.Position
}

// DigestRequest asks for the digests of one table, or of all if Table is empty.
type DigestRequest struct {
	ID      uint64
	Table   string
	Buckets bool // with the digests of the 256 buckets of each table
}

// BucketCount is how many buckets the rows of a table are digested into.
const BucketCount = 256

// Digest answers DigestRequest.
type Digest struct {
	ID       uint64
	Position causal.Position
	Seen     causal.Seen
	Pending  int64 // changes not sent or not applied; the digests may differ because of them
	Tables   []TableDigest
	Trouble  string // why there are no digests; empty if there are
}

// TableDigest is the digest of one table.
type TableDigest struct {
	Table   string
	Rows    uint64
	Sum     [16]byte
	Buckets [][16]byte // none, or BucketCount
}

// RowsRequest asks for the digests of the rows in some buckets of a table.
type RowsRequest struct {
	ID      uint64
	Table   string
	Buckets []uint8
}

// Rows answers RowsRequest, in as many messages as it takes.
type Rows struct {
	ID      uint64
	Rows    []RowDigest
	More    bool   // another Rows with this ID follows
	Trouble string // why there are no rows; empty if there are
}

// RowDigest is the digest of one row.
type RowDigest struct {
	Key crdt.Key
	Sum [16]byte
}

// Enrol asks the hub to admit a new node.
type Enrol struct {
	ProtocolMin, ProtocolMax uint16
	Version                  string
	Secret                   [32]byte // from the join token
	Request                  []byte   // PKCS#10 certificate request, DER
	Incarnation              causal.Incarnation
}

// Enrolled is the hub's answer to Enrol.
type Enrolled struct {
	Site           causal.Site
	Name           string
	Organisation   string
	HubName        string
	Certificate    []byte // PEM
	CA             []byte // PEM
	HubIncarnation causal.Incarnation
}

// SnapshotRequest asks for a snapshot, or for the rest of one from Offset on.
type SnapshotRequest struct {
	ID     string // empty: a fresh one
	Offset uint64 // in bytes
}

// SnapshotHeader precedes the Data of a snapshot.
type SnapshotHeader struct {
	ID     string
	Size   uint64   // of the whole snapshot as sent, in bytes
	Offset uint64   // where the Data that follow begin, in bytes
	SHA256 [32]byte // of the whole snapshot as sent
	Rows   uint64   // in it, for progress
	Bytes  uint64   // of it once unpacked
}

// Data is a piece of a snapshot, at most MaxData bytes.
type Data struct{ Bytes []byte }

// Kind is KindHello, and the other messages follow suit.
func (Hello) Kind() Kind           { return KindHello }
func (Welcome) Kind() Kind         { return KindWelcome }
func (Refuse) Kind() Kind          { return KindRefuse }
func (Ping) Kind() Kind            { return KindPing }
func (Pong) Kind() Kind            { return KindPong }
func (Ack) Kind() Kind             { return KindAck }
func (Status) Kind() Kind          { return KindStatus }
func (Where) Kind() Kind           { return KindWhere }
func (Here) Kind() Kind            { return KindHere }
func (DigestRequest) Kind() Kind   { return KindDigestRequest }
func (Digest) Kind() Kind          { return KindDigest }
func (RowsRequest) Kind() Kind     { return KindRowsRequest }
func (Rows) Kind() Kind            { return KindRows }
func (Enrol) Kind() Kind           { return KindEnrol }
func (Enrolled) Kind() Kind        { return KindEnrolled }
func (SnapshotRequest) Kind() Kind { return KindSnapshotRequest }
func (SnapshotHeader) Kind() Kind  { return KindSnapshotHeader }
func (Data) Kind() Kind            { return KindData }
