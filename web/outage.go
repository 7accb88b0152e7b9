package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"mailroom/internal/mailroom"
)

// What the pages do while the database is away, full or read-only: who only
// reads goes on as long as there is something to read, and all others get a
// calm page. Fragments get its status and keep what they show (htmx-config).

// sessionFault answers when the session store is out of order. A page that was
// only to be read is shown although its session cannot be saved: what is lost is
// the time of the visit, or a message that shows once more.
func (s *Server) sessionFault(w http.ResponseWriter, r *http.Request, err error) {
	var unsaved saveFault
	if errors.As(err, &unsaved) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.Log.Warn("session not saved", "request", reference(r), "err", err)
		return
	}
	t := s.Texts.For(s.Texts.Match("", r.Header.Get("Accept-Language"))).In(s.Location)
	e := mailroom.AsError(err)
	if e.Kind != mailroom.Unavailable || e.Key == "error.timeout" {
		e = mailroom.E(mailroom.Unavailable, "error.unavailable", err)
	}
	s.fail(&call{Server: s, w: w, r: r, t: t, noSession: true}, e)
	if once, ok := w.(*onceWriter); ok {
		once.answered = true
	}
}

// saveFault marks an error as of saving, not of reading.
type saveFault struct{ error }

func (f saveFault) Unwrap() error { return f.error }

// sessionStore tells faults of saving from faults of reading.
type sessionStore struct{ scs.Store }

// CommitCtx implements scs.CtxStore.
func (s sessionStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) (err error) {
	if with, ok := s.Store.(scs.CtxStore); ok {
		err = with.CommitCtx(ctx, token, b, expiry)
	} else {
		err = s.Commit(token, b, expiry)
	}
	if err != nil {
		return saveFault{err}
	}
	return nil
}

// FindCtx implements scs.CtxStore.
func (s sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	if with, ok := s.Store.(scs.CtxStore); ok {
		return with.FindCtx(ctx, token)
	}
	return s.Find(token)
}

// DeleteCtx implements scs.CtxStore.
func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	if with, ok := s.Store.(scs.CtxStore); ok {
		return with.DeleteCtx(ctx, token)
	}
	return s.Delete(token)
}

// answerOnce keeps a handler from writing its page below the one that
// sessionFault has sent: sessions are saved with the first byte of an answer.
func answerOnce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&onceWriter{ResponseWriter: w}, r)
	})
}

type onceWriter struct {
	http.ResponseWriter
	answered bool
}

func (w *onceWriter) WriteHeader(code int) {
	if !w.answered {
		w.ResponseWriter.WriteHeader(code)
	}
}

func (w *onceWriter) Write(p []byte) (int, error) {
	if w.answered {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController: streams flush.
func (w *onceWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
