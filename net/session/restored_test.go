package session_test

import (
	"testing"

	"ravno/net/session"
)

// A node notices that its hub went back in time.
func TestNodeNoticesRestoredHub(t *testing.T) {
	self := nodeSelf()
	self.HubHave = 6
	node := session.NewNode(self)
	node.Start(start)
	m := welcome()
	m.Have = 5
	wantRefusal(t, node.Receive(start, m), session.CodeIdentity, "had acknowledged this node's position 6 and has 5 now")
}
