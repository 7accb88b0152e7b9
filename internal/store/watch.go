package store

import "sync"

// Topics of Watch. Whoever watches must look for itself too, now and then: a
// signal says "look", it is never the only proof.
const TopicWork = "work" // some mailbox is wanted, or may be claimed

// TopicUser is about what one user's pages show.
func TopicUser(id string) string { return "user:" + id }

// TopicOrg is about what an administrator's pages show.
func TopicOrg(id string) string { return "org:" + id }

// TopicMailbox is about one mailbox: asked for, paused, mapped anew.
func TopicMailbox(id string) string { return "mailbox:" + id }

// hub hands signals to the watchers of this process.
type hub struct {
	mu   sync.Mutex
	subs map[string]map[chan struct{}]struct{}
}

func newHub() *hub { return &hub{subs: map[string]map[chan struct{}]struct{}{}} }

// Watch returns a channel that gets a signal after each committed change that
// concerns topic; several changes may make one signal. The caller must call
// cancel, which does not close the channel. On PostgreSQL the changes of other
// nodes count too.
func (s *Store) Watch(topic string) (<-chan struct{}, func()) {
	h, ch := s.hub, make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[topic] == nil {
		h.subs[topic] = map[chan struct{}]struct{}{}
	}
	h.subs[topic][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs[topic], ch)
		if len(h.subs[topic]) == 0 {
			delete(h.subs, topic)
		}
	}
}

func (h *hub) publish(topics ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		h.wake(t)
	}
}

func (h *hub) publishAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.subs {
		h.wake(t)
	}
}

func (h *hub) wake(topic string) {
	for ch := range h.subs[topic] {
		select {
		case ch <- struct{}{}:
		default: // one signal already waits
		}
	}
}
