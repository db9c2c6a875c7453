package sim

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ravno/crdt/causal"
	"ravno/net/identity"
	"ravno/net/node"
	"ravno/net/quiclink"
	"ravno/net/quiclink/simlink"
	"ravno/store"
)

// joining is a server that joins a running chain, and what was seen of its first load.
type joining struct {
	c     *chain
	site  *site
	token identity.Token
	// halfway is called once, when half of the load is here.
	halfway func()
	steps   []uint64 // how far the load was at each step, in bytes
	size    uint64   // of the whole
	carried uint64   // bytes that travelled to the server, of packets not cut
}

// invite makes a token at the hub for a server that is not there yet.
func (c *chain) invite(name, dir string) *joining {
	c.t.Helper()
	hub := c.sites[0]
	authority, err := identity.LoadAuthority(hub.db + ".ravno")
	c.must(err)
	address := netip.AddrPortFrom(hub.host, hubPort).String()
	token, err := identity.NewToken(name, []string{address}, authority.Fingerprint(), time.Now().Add(time.Hour))
	c.must(err)
	c.must(hub.daemon.store.AddToken(name, identity.HashSecret(token.Secret), token.Expires))
	s := &site{name: name, db: filepath.Join(dir, name+".db"), host: simlink.Host(byte(len(c.sites) + 1)),
		wake: make(chan struct{}, 1)}
	return &joining{c: c, site: s, token: token}
}

// weigh counts what travels to the server that joins.
func (j *joining) weigh() {
	j.c.net.SetFate(func(p simlink.Packet) []time.Duration {
		if p.To.Addr() == j.site.host {
			j.carried += uint64(p.Size)
		}
		return []time.Duration{0}
	})
}

// run is one call of join, by a process of its own.
func (j *joining) run(ctx context.Context) error {
	socket, err := j.c.net.Endpoint(netip.AddrPortFrom(j.site.host, 0))
	j.c.must(err)
	endpoint := quiclink.NewEndpoint(socket)
	defer endpoint.Close()
	join := node.Join{Token: j.token, Path: j.site.db, StateDir: j.site.db + ".ravno", Local: store.RefuseLocal,
		Endpoint: endpoint,
		Resolve:  resolve, Version: "sim", Clock: j.c.clock(j.site), Progress: j.progress,
		NewIncarnation: func() (i causal.Incarnation) {
			rand.Read(i[:])
			return i
		}}
	_, err = join.Run(ctx)
	return err
}

func (j *joining) progress(step string, done, total uint64) {
	if step != "loading" {
		return
	}
	j.steps, j.size = append(j.steps, done), total
	if done >= total/2 && j.halfway != nil {
		half := j.halfway
		j.halfway = nil
		half()
	}
}

func TestFirstLoadGoesOnWhereCutOff(t *testing.T) {
	cases := map[string]func(j *joining) error{
		"the link is cut for a while": func(j *joining) error {
			j.halfway = func() {
				j.c.net.Cut(j.c.sites[0].host, j.site.host)
				time.AfterFunc(20*time.Second, func() { j.c.net.Heal(j.c.sites[0].host, j.site.host) })
			}
			return j.run(context.Background())
		},
		"the joining process dies and join is called again": func(j *joining) error {
			ctx, die := context.WithCancel(context.Background())
			defer die()
			j.halfway = die
			if err := j.run(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return j.run(context.Background())
		},
	}
	for name, join := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				c := newTemplate(t, t.TempDir(), schema, settings, "hub").start(t, dir, 1)
				defer c.stop()
				c.exec("hub", "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i<1400) INSERT INTO "+
					"item(id, a) SELECT i, randomblob(10000) FROM n")
				c.exec("hub", "INSERT INTO happening(what) VALUES('the hub''s own')")
				j := c.invite("varna", dir)
				j.weigh()
				c.must(join(j))
				j.judge(t)

				var err error
				j.site.app, err = openApp(j.site.db)
				c.must(err)
				c.sites = append(c.sites, j.site)
				c.run(j.site)
				c.exec("varna", "UPDATE item SET a='small again' WHERE id>=1000")
				c.settle(nil)
				c.eventually("green", 5*time.Second, c.allGreen)
				if !c.has("varna", "SELECT count(*) FROM happening", "0") {
					t.Error("the hub's journal came along with the first load")
				}
			})
		})
	}
}

// judge checks that no part of the load travelled twice, but for what was on its way when it
// was cut off.
func (j *joining) judge(t *testing.T) {
	t.Helper()
	for i, done := range j.steps[1:] {
		if done <= j.steps[i] {
			t.Errorf("the load went back from byte %d to %d", j.steps[i], done)
		}
	}
	const onItsWay, overhead = 1 << 20, 10 // bytes; one in so many for frames and packets
	t.Logf("a load of %d bytes took %d bytes", j.size, j.carried)
	if j.size < 2<<20 || j.carried > j.size+j.size/overhead+onItsWay {
		t.Errorf("%d bytes travelled for a load of %d", j.carried, j.size)
	}
}
