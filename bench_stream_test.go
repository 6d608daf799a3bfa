package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"golang.org/x/sync/errgroup"

	"tagma/internal/base/instant"
	"tagma/internal/testing/testenv"
)

// BenchmarkSubscribers puts one image in, and waits until so many subscribers
// have heard of it: ms/last is from the commit to the last of them, in the
// median over the rounds, and cpu-ms is what client and server have worked in a
// round. One subscriber is what the others are measured against. The floor is
// the least there is to do: as many bytes written to as many connections, one
// after the other, and read.
func BenchmarkSubscribers(b *testing.B) {
	for _, count := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("floor/%d", count), func(b *testing.B) {
			benchmarkFloor(b, count)
		})
		b.Run(fmt.Sprintf("SQLite/%d", count), func(b *testing.B) {
			benchmarkSubscribers(b, "sqlite:"+filepath.Join(b.TempDir(), "tagma.db"), count)
		})
		b.Run(fmt.Sprintf("PostgreSQL/%d", count), func(b *testing.B) {
			benchmarkSubscribers(b, testenv.Postgres(b), count)
		})
	}
}

func benchmarkSubscribers(b *testing.B, databaseURL string, count int) {
	server := open(b, databaseURL)
	st := server.Store
	d := server.domain
	ctx, stop := context.WithCancel(b.Context())
	telling, watching := d.hub.Start(ctx), d.watch.Start(ctx)
	defer func() {
		stop()
		<-telling
		<-watching
	}()
	listening := httptest.NewServer(server.routes(b))
	defer listening.Close()
	token := server.signIn(b)

	// add commits the image n, and tells when it did.
	if err := st.DB.Device.Create().SetID("0a5bb6f4").SetCreatedAt(0).Exec(ctx); err != nil {
		b.Fatal(err)
	}
	add := func(n int) (time.Time, error) {
		row, err := st.DB.Image.Create().SetDeviceID("0a5bb6f4").SetTakenAt(1_600_000_000_000 + instant.Instant(1000*n)).
			SetMd5(strings.Repeat("0", 32)).SetSha256(strings.Repeat("0", 64)).SetSize(1).SetWidth(1).SetHeight(1).
			SetFileID("0").SetMetadata([]byte("{}")).SetCreatedAt(0).Save(ctx)
		committed := time.Now()
		if err == nil {
			d.events.Images.Publish(row.ID)
		}
		return committed, err
	}

	heard := make(chan time.Time, count)
	var group errgroup.Group
	group.SetLimit(50)
	for range count {
		group.Go(func() error {
			return subscribe(ctx, listening.URL, token, heard)
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	n := 0
	// Those that are not in force yet hear of one of the next.
	for begun := 0; begun < count; n++ {
		if _, err := add(n); err != nil {
			b.Fatal(err)
		}
		begun = 0
		for late := time.After(2 * time.Second); begun < count; begun++ {
			select {
			case <-heard:
				continue
			case <-late:
			}
			break
		}
	}

	rounds(b, heard, count, func() (time.Time, error) {
		n++
		return add(n - 1)
	})
}

func benchmarkFloor(b *testing.B, count int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan time.Time, count)
	told := make([]net.Conn, count)
	for n := range told {
		hears, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		if told[n], err = listener.Accept(); err != nil {
			b.Fatal(err)
		}
		defer told[n].Close()
		go func() {
			defer hears.Close()
			message := make([]byte, messageBytes)
			for {
				if _, err := io.ReadFull(hears, message); err != nil {
					return
				}
				heard <- time.Now()
			}
		}()
	}
	message := make([]byte, messageBytes)
	rounds(b, heard, count, func() (time.Time, error) {
		began := time.Now()
		for _, one := range told {
			if _, err := one.Write(message); err != nil {
				return began, err
			}
		}
		return began, nil
	})
}

// messageBytes is the length of what a subscriber hears, with the frame's head.
const messageBytes = 155

// rounds measures from the moment that tell gives until count have heard.
func rounds(b *testing.B, heard <-chan time.Time, count int, tell func() (time.Time, error)) {
	var took []time.Duration
	before := worked()
	for b.Loop() {
		began, err := tell()
		if err != nil {
			b.Fatal(err)
		}
		var last time.Time
		for range count {
			last = <-heard
		}
		took = append(took, last.Sub(began))
	}
	b.ReportMetric(1000*(worked()-before).Seconds()/float64(len(took)), "cpu-ms")
	slices.Sort(took)
	b.ReportMetric(1000*took[len(took)/2].Seconds(), "ms/last")
}

// worked is the CPU time of this process so far.
func worked() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used) // fails for no process's own
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// subscribe opens a socket that tells when it hears of an image.
func subscribe(ctx context.Context, url, token string, heard chan<- time.Time) error {
	conn, _, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/graphql",
		&websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return err
	}
	for _, m := range []map[string]any{
		{"type": "connection_init", "payload": map[string]any{"Authorization": "Bearer " + token}},
		{"type": "subscribe", "id": "1", "payload": map[string]any{"query": "subscription { imageAdded { id takenAt md5 } }"}},
	} {
		if err := wsjson.Write(ctx, conn, m); err != nil {
			return err
		}
	}
	if _, _, err := conn.Read(ctx); err != nil { // the acknowledgement
		return err
	}
	go func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
			heard <- time.Now()
		}
	}()
	return nil
}
