// Package events owns the delivery of committed changes to subscribers on every
// server of the database: at once on the server that committed, soon on the
// other servers, by PostgreSQL's NOTIFY.
//
// After a commit, the committer passes ids to Publish and waits for nothing. Each
// row is loaded once for all subscribers. A change may miss its notification: a
// server died between commit and Publish, a connection was lost, another program
// wrote. A scan for new ids every few seconds finds such changes, so that none
// is missed.
//
// It does not own the right to see a row, nor the transport to a client.
package events

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"tagma/internal/storage/database"
)

const (
	channel       = "tagma_events"
	maxMessage    = 7000 // bytes; PostgreSQL's limit is 8,000
	gatherDelay   = 5 * time.Millisecond
	scanInterval  = 5 * time.Second
	maxPending    = 10_000 // ids that wait for a notification; a scan finds ids beyond the limit
	notifyTimeout = 10 * time.Second
)

// Hub delivers the events of one server.
type Hub struct {
	db       *database.DB
	log      *slog.Logger
	serverID string // marks the server's own messages

	topics map[string]topic

	mu      sync.Mutex
	pending map[string][]int64 // ids to send to other servers, by topic
	wake    chan struct{}
}

// topic is a Topic of any type.
type topic interface {
	enqueue(ids []int64)
	requestScan()
	run(ctx context.Context)
}

// New returns a hub for topics on db.
func New(db *database.DB, log *slog.Logger) *Hub {
	return &Hub{db: db, log: log, serverID: rand.Text(), topics: map[string]topic{}, pending: map[string][]int64{}, wake: make(chan struct{}, 1)}
}

// Start sends, receives and delivers events in the background until ctx ends.
// Make all topics before Start. Start closes the channel when all work has
// ended.
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

// queueNotify queues ids for notifyLoop.
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

// notifyLoop sends the queued ids, many ids in one message. A message that
// cannot be sent is lost; other servers find its ids by scanning.
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
					h.log.WarnContext(ctx, "notification of other servers failed; they find the change by scanning", "topic", topic, "error", err)
				}
				cancel()
			}
		}
	}
}

// messages returns messages with the server id, the topic and the ids, each
// within PostgreSQL's limit.
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

// receive queues the ids in a message of another server.
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
