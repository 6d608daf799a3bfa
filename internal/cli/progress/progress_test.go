package progress

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestBar_ALogHasALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		out := New(&log)
		bar := out.Start("sending", 4_000_000)
		for range 30 { // half a minute
			<-time.After(time.Second)
			bar.Add(100_000)
		}
		bar.Add(-1_000_000)
		out.Printf("the server %s", "hesitates")
		bar.Done()
		const want = "sending: 4.0 MB\n" +
			"sending: 1.0 MB of 4.0 MB, 100 kB/s, 30s left\n" +
			"sending: 2.0 MB of 4.0 MB, 100 kB/s, 20s left\n" +
			"sending: 3.0 MB of 4.0 MB, 100 kB/s, 10s left\n" +
			"the server hesitates\n"
		if log.String() != want {
			t.Errorf("log: got %s, want %s", log.String(), want)
		}
	})
}
