package certificate

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// files is a certificate and its key in files.
type files struct {
	certificateFile, keyFile string
	now                      atomic.Pointer[tls.Certificate]
	seen                     [2]state // when they were last read, be it in vain
}

// state is what tells that a file has changed.
type state struct {
	modified time.Time
	size     int64
	missing  bool
}

func stateOf(name string) state {
	info, err := os.Stat(name)
	if err != nil {
		return state{missing: true}
	}
	return state{info.ModTime(), info.Size(), false}
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := f.now.Load(); now != nil {
		return now, nil
	}
	return nil, fmt.Errorf("the certificate %s could not be read", f.certificateFile)
}

func (f *files) changed() (bool, error) {
	is := [2]state{stateOf(f.certificateFile), stateOf(f.keyFile)}
	if is == f.seen {
		return false, nil
	}
	f.seen = is
	read, err := tls.LoadX509KeyPair(f.certificateFile, f.keyFile)
	if err != nil {
		return false, fmt.Errorf("read the certificate %s with the key %s: %w", f.certificateFile, f.keyFile, err)
	}
	f.now.Store(&read)
	return true, nil
}
