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

func fromFiles(certificateFile, keyFile string) (*files, error) {
	f := &files{certificateFile: certificateFile, keyFile: keyFile}
	if _, err := f.changed(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.now.Load(), nil }

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
