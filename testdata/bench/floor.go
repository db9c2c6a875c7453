package main

import (
	"net"
	"os"
	"time"
)

const (
	// floorTries is how often the floor is measured for one median.
	floorTries = 100
	// commitBytes is what a commit of one row appends to a -wal file: a page or two.
	commitBytes = 8 << 10
	// datagram is the size of a full QUIC packet.
	datagram = 1200
)

// syncTime is the median time of a small durable append, with a pause before each.
func (b *bench) syncTime(path string, pause time.Duration) time.Duration {
	file, err := os.Create(path)
	b.must(err)
	defer file.Close()
	page := make([]byte, commitBytes)
	return typically(pause, func() {
		_, err := file.Write(page)
		b.must(err)
		b.must(file.Sync())
	})
}

// typically is the median time of what is done floorTries times, with a pause before each.
func typically(pause time.Duration, f func()) time.Duration {
	var took []float64
	for range floorTries {
		time.Sleep(pause)
		took = append(took, float64(timed(f)))
	}
	return time.Duration(median(took))
}

// loopTime is the median time of a datagram to another socket of this machine and back, with a
// pause before each.
func (b *bench) loopTime(pause time.Duration) time.Duration {
	far, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	b.must(err)
	defer far.Close()
	go func() {
		packet := make([]byte, datagram)
		for {
			n, from, err := far.ReadFromUDP(packet)
			if err != nil {
				return
			}
			_, _ = far.WriteToUDP(packet[:n], from) // a lost one ends the wait below
		}
	}()
	near, err := net.DialUDP("udp", nil, far.LocalAddr().(*net.UDPAddr))
	b.must(err)
	defer near.Close()
	packet := make([]byte, datagram)
	return typically(pause, func() {
		b.must(near.SetDeadline(time.Now().Add(time.Second)))
		_, err := near.Write(packet)
		b.must(err)
		_, err = near.Read(packet)
		b.must(err)
	})
}
