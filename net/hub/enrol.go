package hub

import (
	"errors"
	"time"

	"ravno/crdt/causal"
	"ravno/journal"
	"ravno/net/identity"
	"ravno/net/quiclink"
	"ravno/net/session"
	"ravno/net/wire"
	"ravno/store"
)

// enrol redeems a join token. The holder of its secret gets a certificate, once.
func (h *Hub) enrol(link *quiclink.Link, m wire.Enrol) {
	if m.ProtocolMin > wire.Protocol || m.ProtocolMax < wire.Protocol {
		h.refuse(link, session.CodeVersion, "the hub and this ravno speak no version of the protocol in common",
			"the same version of ravno at both")
		return
	}
	var certificate []byte
	site, name, err := h.Store.Enrol(identity.HashSecret(m.Secret), m.Incarnation,
		func(site causal.Site, name string) (string, error) {
			issued, err := h.Authority.Issue(m.Request, site, identity.RoleNode, h.Clock())
			if err != nil {
				return "", err
			}
			certificate = issued.PEM
			return issued.Serial, nil
		})
	if err != nil {
		h.Log.Warn().Err(err).Stringer("from", link.RemoteAddr()).Msg("an enrolment was refused")
		h.record(journal.TokenRefused(h.name(causal.Hub), err))
		code, try := session.CodeError, ""
		if errors.Is(err, store.ErrTokenUnknown) || errors.Is(err, store.ErrTokenUsed) ||
			errors.Is(err, store.ErrTokenExpired) {
			code, try = "token", "ravno node add NAME at the hub, for a new token"
		}
		h.refuse(link, code, err.Error(), try)
		return
	}
	self, err := h.Store.Self()
	if err != nil {
		h.refuse(link, session.CodeError, err.Error(), "")
		return
	}
	h.Log.Info().Str("name", name).Uint32("site", uint32(site)).Msg("a node enrolled")
	answer := wire.Enrolled{Site: site, Name: name, Organisation: self.Organisation, HubName: self.Name,
		Certificate: certificate,
		CA:          h.Authority.PEM(), HubIncarnation: self.Incarnation}
	if err := wire.Write(link.Control(), answer); err != nil {
		h.Log.Warn().Err(err).Str("name", name).Msg("a certificate could not be delivered; the node asks again")
	}
	h.Poke()
	h.finish(link)
}

func (h *Hub) refuse(link *quiclink.Link, code, text, try string) {
	// if it does not get there, the close does
	_ = wire.Write(link.Control(), wire.Refuse{Code: code, Text: text, Try: try})
	h.finish(link)
}

// finish lets the other end read the last message, and close.
func (h *Hub) finish(link *quiclink.Link) {
	link.Control().Close()
	control := link.Control()
	if err := control.SetReadDeadline(time.Now().Add(greetingTimeout)); err == nil {
		_, _ = wire.Read(control, wire.MaxControl) // ends when the peer closes, or in time
	}
	link.CloseWith(quiclink.CodeStopped, "done")
}
