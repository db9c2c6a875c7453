package quiclink

import (
	"time"

	"github.com/quic-go/quic-go"
)

// Times. A cut link has to be seen red within CutNoticedWithin at both ends.
const (
	// KeepAlive is how often a node speaks on an idle link. Only nodes do: their packet and the
	// hub's acknowledgement keep both ends and every NAT between them awake, and two keep-alives
	// would double the idle traffic of a hub with a thousand nodes for nothing.
	KeepAlive = 3 * time.Second

	// IdleTimeout is how long silence may last. QUIC starts to count anew when it sends for the
	// first time after having heard something (RFC 9000, 10.1), so a node that is cut off right
	// after an answer notices KeepAlive + IdleTimeout later. Seven seconds leave room for two lost
	// keep-alives and their repetitions on a bad network.
	IdleTimeout = 7 * time.Second

	// CutNoticedWithin is the longest that a cut goes unnoticed at either end.
	CutNoticedWithin = KeepAlive + IdleTimeout

	// HandshakeTimeout is how long a dialled hub may be silent before its first answer, and the
	// whole handshake may last twice as long: with GreetingTimeout, "no answer" is said after
	// 15 seconds at the latest.
	HandshakeTimeout = 5 * time.Second

	// GreetingTimeout bounds the exchange of greetings after the handshake: one round trip.
	GreetingTimeout = 5 * time.Second

	// EnrolmentTime is how long an enrolment may take, from the handshake to the certificate: a
	// few round trips. A stranger needs no certificate to get this far, so he must not stay.
	EnrolmentTime = 30 * time.Second
)

// Memory. What a link can pin at the hub is what its node may send unread plus what the hub
// may have sent unacknowledged, which the node's window bounds: 192 + 352 KiB, and so for a
// thousand nodes at their very worst 531 MiB, which with some 50 KiB of state for each stays
// under 600 MiB. Data flows mostly down, to the nodes; hence their larger window, which fills
// a network of 7 MB/s at 50 ms.
const (
	// MaxBatchStreams is how many batches a peer may have under way at once: one being read and
	// the next already on its way. The others wait in the sender's database, not in our memory.
	MaxBatchStreams = 2

	// hubStreamWindow and nodeStreamWindow are what one stream may have unread, in bytes.
	hubStreamWindow  = 80 << 10
	nodeStreamWindow = 160 << 10

	// controlRoom is kept free for the control stream when every batch stream is full and
	// unread: acknowledgements must pass a reader that is busy applying.
	controlRoom = 32 << 10

	// hubLinkWindow and nodeLinkWindow are what all streams of a link together may have unread.
	hubLinkWindow  = MaxBatchStreams*hubStreamWindow + controlRoom
	nodeLinkWindow = MaxBatchStreams*nodeStreamWindow + controlRoom

	// MaxEnrolments is how many enrolments a hub serves at once, each without a certificate.
	MaxEnrolments = 16
)

// packetBytes is the size of every packet: the least that QUIC demands of a path (RFC 9000,
// 14), hence one which passes wherever QUIC can run at all.
//
// Path MTU discovery is off. It wins at most a fifth in throughput, and where a tunnel drops
// large packets in silence (or the path changes to one which does), it leaves links that shake
// hands and then starve, or lose one packet in a hundred for ever.
const packetBytes = 1200

// baseConfig is what hub and node have in common. No 0-RTT (it can be replayed and comes before
// the certificate), no datagrams, no second version: what nobody uses nobody has to guard.
func baseConfig() *quic.Config {
	return &quic.Config{
		Versions:                []quic.Version{quic.Version1},
		HandshakeIdleTimeout:    HandshakeTimeout,
		MaxIdleTimeout:          IdleTimeout,
		MaxIncomingUniStreams:   MaxBatchStreams,
		InitialPacketSize:       packetBytes,
		DisablePathMTUDiscovery: true,
		Allow0RTT:               false,
		EnableDatagrams:         false,
	}
}

func hubConfig() *quic.Config {
	config := baseConfig()
	config.MaxIncomingStreams = 1 // the control stream, opened by the node
	config.InitialStreamReceiveWindow = hubStreamWindow
	config.MaxStreamReceiveWindow = hubStreamWindow
	config.InitialConnectionReceiveWindow = hubLinkWindow
	config.MaxConnectionReceiveWindow = hubLinkWindow
	return config
}

func nodeConfig() *quic.Config {
	config := baseConfig()
	config.KeepAlivePeriod = KeepAlive
	config.MaxIncomingStreams = -1 // a hub opens no bidirectional stream
	config.InitialStreamReceiveWindow = nodeStreamWindow
	config.MaxStreamReceiveWindow = nodeStreamWindow
	config.InitialConnectionReceiveWindow = nodeLinkWindow
	config.MaxConnectionReceiveWindow = nodeLinkWindow
	return config
}
