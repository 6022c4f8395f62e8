package peers

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Activity remembers when anything last happened on any of the connections that share it. It is safe for concurrent use.
type Activity struct{ last atomic.Int64 }

// Touch notes that something happened now.
func (a *Activity) Touch() { a.last.Store(time.Now().UnixNano()) }

// Settle returns when nothing has happened for the quiet time.
func (a *Activity) Settle(quiet time.Duration) {
	a.Touch()
	for {
		idle := time.Duration(time.Now().UnixNano() - a.last.Load())
		if idle >= quiet {
			return
		}
		time.Sleep(quiet - idle)
	}
}

// end says how the receiving direction of a stream ended.
type end uint8

const (
	endNone  end = iota
	endFIN       // the peer shut its direction down
	endReset     // the peer reset the connection
	endSelf      // this side closed
)

func (e end) String() string {
	return [...]string{"open", "closed", "reset", "closed by the test"}[e]
}

// stream is a connection whose received bytes are collected by a goroutine of its own, which ends with the connection.
type stream struct {
	conn net.Conn
	act  *Activity

	mu   sync.Mutex
	wake sync.Cond
	buf  []byte
	end  end
}

func newStream(conn net.Conn, act *Activity) *stream {
	s := &stream{conn: conn, act: act}
	s.wake.L = &s.mu
	go s.collect()
	return s
}

func (s *stream) collect() {
	chunk := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(chunk)
		s.act.Touch()
		s.mu.Lock()
		s.buf = append(s.buf, chunk[:n]...)
		if err != nil && s.end == endNone {
			s.end = endOf(err)
		}
		s.wake.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func endOf(err error) end {
	switch {
	case errors.Is(err, net.ErrClosed):
		return endSelf
	case errors.Is(err, syscall.ECONNRESET):
		return endReset
	}
	return endFIN
}

// wait blocks until ok says yes, the receiving direction has ended (after a last look) or the patience has run out. It reports what ok said
// last. The callback runs under the stream's lock and may consume from buf.
func (s *stream) wait(patience time.Duration, ok func(buf []byte, eof bool) bool) bool {
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		s.wake.Broadcast()
		s.mu.Unlock()
	})
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		ended := s.end != endNone
		if ok(s.buf, ended) {
			return true
		}
		if ended || !time.Now().Before(deadline) {
			return false
		}
		s.wake.Wait()
	}
}

// drop removes the first n received bytes; only from inside wait's callback or with the lock held.
func (s *stream) drop(n int) { s.buf = append([]byte(nil), s.buf[n:]...) }

func (s *stream) state() ([]byte, end) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.buf...), s.end
}

func (s *stream) close() {
	s.mu.Lock()
	if s.end == endNone {
		s.end = endSelf
	}
	s.wake.Broadcast()
	s.mu.Unlock()
	_ = s.conn.Close()
}

func (s *stream) reset() {
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	s.close()
}

func (s *stream) fin() {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
