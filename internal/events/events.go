// Package events owns that what was committed is told to whoever listens, on
// every server of the database: at once on the one that committed it, soon on
// the others, by PostgreSQL's NOTIFY.
//
// Those who commit tell ids, after the commit, and wait for nothing. The row is
// loaded once for all listeners. What was not told (a server died between the
// commit and the telling, a connection was gone, another program wrote) is
// found by looking for new ids every few seconds, so that none is missed.
//
// It does not own who may see a row, nor how it gets to them.
package events

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"tagma/internal/database"
)

const (
	channel       = "tagma_events"
	maxMessage    = 7000 // bytes: PostgreSQL takes 8,000
	gatherDelay   = 5 * time.Millisecond
	scanInterval  = 5 * time.Second
	maxPending    = 10_000 // ids that wait to be told; what is beyond is found by looking
	notifyTimeout = 10 * time.Second
)

// Hub is the events of one server.
type Hub struct {
	db       *database.DB
	log      *slog.Logger
	serverID string // tells the server's own messages apart

	topics map[string]topic

	mu      sync.Mutex
	pending map[string][]int64 // what other servers are to hear, by topic
	wake    chan struct{}
}

// topic is a Topic of any type.
type topic interface {
	enqueue(ids []int64)
	requestScan()
	run(ctx context.Context)
}

// New is a hub for topics on db.
func New(db *database.DB, log *slog.Logger) *Hub {
	return &Hub{db: db, log: log, serverID: rand.Text(), topics: map[string]topic{}, pending: map[string][]int64{}, wake: make(chan struct{}, 1)}
}

// Start tells and listens, in the background, until ctx ends. All topics are
// made before. The channel is closed when nothing is under way.
func (h *Hub) Start(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { h.notifyLoop(ctx) })
	work.Go(func() { h.db.Listen(ctx, channel, h.receive, h.scanAll) })
	for _, t := range h.topics {
		work.Go(func() { t.run(ctx) })
	}
	go func() {
		defer close(ended)
		work.Wait()
	}()
	return ended
}

func (h *Hub) scanAll() {
	for _, t := range h.topics {
		t.requestScan()
	}
}

// queueNotify puts ids where tellOthers finds them.
func (h *Hub) queueNotify(topic string, ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pending[topic])+len(ids) <= maxPending {
		h.pending[topic] = append(h.pending[topic], ids...)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// notifyLoop sends what is to be told, many ids in a message. A message that
// cannot be sent is lost: others find what was in it by looking.
func (h *Hub) notifyLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		timer := time.NewTimer(gatherDelay)
		<-timer.C
		h.mu.Lock()
		batch := h.pending
		h.pending = map[string][]int64{}
		h.mu.Unlock()
		for topic, ids := range batch {
			for _, message := range h.messages(topic, ids) {
				sendCtx, cancel := context.WithTimeout(ctx, notifyTimeout)
				if err := h.db.Notify(sendCtx, channel, message); err != nil && ctx.Err() == nil {
					h.log.WarnContext(ctx, "other servers hear of a change later", "topic", topic, "error", err)
				}
				cancel()
			}
		}
	}
}

// messages is who speaks, the topic and the ids, in messages that are short
// enough.
func (h *Hub) messages(topic string, ids []int64) []string {
	var messages []string
	var b strings.Builder
	for _, id := range ids {
		if b.Len() == 0 {
			b.WriteString(h.serverID + " " + topic)
		}
		b.WriteByte(' ')
		b.WriteString(strconv.FormatInt(id, 10))
		if b.Len() > maxMessage {
			messages = append(messages, b.String())
			b.Reset()
		}
	}
	if b.Len() > 0 {
		messages = append(messages, b.String())
	}
	return messages
}

// receive takes a message of another server in.
func (h *Hub) receive(message string) {
	fields := strings.Fields(message)
	if len(fields) < 3 || fields[0] == h.serverID || h.topics[fields[1]] == nil {
		return
	}
	var ids []int64
	for _, field := range fields[2:] {
		if id, err := strconv.ParseInt(field, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	h.topics[fields[1]].enqueue(ids)
}
