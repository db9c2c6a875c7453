package quiclink

import "testing"

func TestThousandLinksFitIntoMemory(t *testing.T) {
	const nodes, perLink, limit = 1000, 50 << 10, 600 << 20
	if worst := nodes * (hubLinkWindow + nodeLinkWindow + perLink); worst > limit {
		t.Errorf("%d nodes can pin %d MiB, limit %d MiB", nodes, worst>>20, limit>>20)
	}
}

func TestConfigurationsAgreeOnLimits(t *testing.T) {
	hub, node := hubConfig(), nodeConfig()
	if hub.MaxIncomingStreams != 1 || node.MaxIncomingStreams >= 0 {
		t.Errorf("bidirectional streams: hub takes %d, node %d", hub.MaxIncomingStreams, node.MaxIncomingStreams)
	}
	if hub.Allow0RTT || node.Allow0RTT || hub.EnableDatagrams || node.EnableDatagrams {
		t.Error("0-RTT or datagrams are on")
	}
	if hub.MaxIdleTimeout != node.MaxIdleTimeout || node.KeepAlivePeriod*2 >= node.MaxIdleTimeout ||
		hub.KeepAlivePeriod != 0 {
		t.Errorf("idle %s and %s, keep-alive %s and %s", hub.MaxIdleTimeout, node.MaxIdleTimeout, hub.KeepAlivePeriod,
			node.KeepAlivePeriod)
	}
}
