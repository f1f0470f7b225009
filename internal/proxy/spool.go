package proxy

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spool holds a request's body of unknown length, until that is known.
type spool struct {
	memory bytes.Buffer
	file   *os.File // nil while memory is enough
	size   int64
}

// fill reads the body to its end.
func (s *spool) fill(body io.Reader, settings *Settings) *Error {
	large := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(large)
	for {
		n, err := body.Read(large[:])
		s.size += int64(n)
		if settings.BodySize >= 0 && s.size > settings.BodySize {
			return &Error{Kind: ErrBodyTooLarge, Op: "read the request's body"}
		}
		if werr := s.write(large[:n], settings); werr != nil {
			return &Error{Kind: ErrSpool, Op: "keep the request's body", Err: werr}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		}
	}
}

func (s *spool) write(p []byte, settings *Settings) error {
	if s.file == nil && s.memory.Len()+len(p) <= settings.SpoolMemory {
		s.memory.Write(p)
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(settings.SpoolDir, "hale-body-*")
		if err != nil {
			return err
		}
		s.file = f
		// Without a name it is gone with its last user, however that ends.
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("remove the name of %s: %w", f.Name(), err)
		}
	}
	_, err := s.file.Write(p)
	return err
}

// reader returns the body, from its beginning.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory.Bytes())
	}
	return io.MultiReader(bytes.NewReader(s.memory.Bytes()), io.NewSectionReader(s.file, 0, s.size-int64(s.memory.Len())))
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
