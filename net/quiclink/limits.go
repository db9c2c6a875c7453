package quiclink

import (
	"time"

	"github.com/quic-go/quic-go"
)

// Times. A cut link has to be seen red within CutNoticedWithin at both ends.
const (
	// KeepAlive is how often a node speaks on an idle link. Only nodes do. Their packet and the
	// hub's acknowledgement keep both ends and every NAT between them awake. A second keep-alive
	// would double the idle traffic of a hub with a thousand nodes for nothing.
	KeepAlive = 3 * time.Second

	// IdleTimeout is how long silence may last. QUIC starts to count anew when it sends for the
	// first time after having heard something (RFC 9000, 10.1), so a node that is cut off right
	// after an answer notices KeepAlive + IdleTimeout later. Seven seconds leave room for two lost
	// keep-alives and their repetitions on a bad network.
	IdleTimeout = 7 * time.Second

	// CutNoticedWithin is the longest that a cut goes unnoticed at either end.
	CutNoticedWithin = KeepAlive + IdleTimeout

	// HandshakeTimeout is how long a dialled hub may be silent before its first answer. The whole
	// handshake may last twice as long. With GreetingTimeout, Dial reports "no answer" after 15
	// seconds at the latest.
	HandshakeTimeout = 5 * time.Second

	// GreetingTimeout bounds the exchange of greetings after the handshake, one round trip.
	GreetingTimeout = 5 * time.Second

	// EnrolmentTime is how long an enrolment may take, from the handshake to the certificate. It
	// needs a few round trips. A stranger gets this far without a certificate and must not stay.
	EnrolmentTime = 30 * time.Second
)

// Memory. A link can pin at the hub the unread bytes of its node, 192 KiB, and the unacknowledged
// bytes of the hub, which the node's window bounds to 352 KiB. A thousand nodes pin 531 MiB at their
// very worst. With some 50 KiB of state for each this stays under 600 MiB. Data flows mostly down,
// to the nodes, so they have the larger window, which fills a network of 7 MB/s at 50 ms.
const (
	// MaxBatchStreams is how many batches a peer may have under way at once, one being read and
	// the next on its way. The others wait in the sender's database, not in our memory.
	MaxBatchStreams = 2

	// hubStreamWindow and nodeStreamWindow are how many bytes one stream may have unread.
	hubStreamWindow  = 80 << 10
	nodeStreamWindow = 160 << 10

	// controlRoom is kept free for the control stream when every batch stream is full and unread,
	// because acknowledgements must pass a reader that is busy applying.
	controlRoom = 32 << 10

	// hubLinkWindow and nodeLinkWindow are how many bytes all streams of a link may have unread.
	hubLinkWindow  = MaxBatchStreams*hubStreamWindow + controlRoom
	nodeLinkWindow = MaxBatchStreams*nodeStreamWindow + controlRoom

	// MaxEnrolments is how many enrolments a hub serves at once, each without a certificate.
	MaxEnrolments = 16
)

// packetBytes is the size of every packet. It is the least that QUIC demands of a path (RFC 9000, 14),
// so it passes wherever QUIC can run at all.
//
// Path MTU discovery is off. It wins at most a fifth in throughput. Where a tunnel drops large packets
// in silence, or the path changes to such a tunnel, it leaves links that shake hands and then starve,
// or lose one packet in a hundred for ever.
const packetBytes = 1200

// baseConfig is the configuration that hub and node share. It has no 0-RTT, which can be replayed and
// comes before the certificate. It has no datagrams and no second version, because nothing uses them.
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
