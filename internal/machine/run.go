package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"hale/internal/explain"
)

// What a program of the system may take that is asked for facts, and answer.
const (
	runTimeout = 5 * time.Second
	runBytes   = 4 << 20
)

// sbin are where programs of the system are that users do not have in PATH.
var sbin = []string{"/usr/sbin", "/sbin"}

// lookUp returns the path of a program.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range sbin {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", &explain.Error{Text: "there is no program " + name, Err: fs.ErrNotExist}
}

func found(name string) bool {
	_, err := lookUp(name)
	return err == nil
}

// run returns what a program writes to its standard output. The error says what
// it complained of.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := lookUp(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	var out, complaint bounded
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case out.over:
		return nil, fmt.Errorf("%s tells more than %d MiB", name, runBytes>>20)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not end in time: %w", name, ctx.Err())
	case err != nil:
		if line := explain.Line(complaint.buffer.String()); line != "" {
			return nil, &explain.Error{Text: name + ": " + line, Err: err}
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out.buffer.Bytes(), nil
}

// bounded is a buffer that takes no more than runBytes.
type bounded struct {
	buffer bytes.Buffer // not embedded: it would be filled by its ReadFrom
	over   bool
}

var errTooMuch = errors.New("too much")

func (b *bounded) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > runBytes {
		b.over = true
		return 0, errTooMuch
	}
	return b.buffer.Write(p)
}
