package instance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// notFound says whether err is the service's "there is no such item".
func notFound(err error) bool {
	var status interface{ HTTPStatusCode() int }
	return errors.As(err, &status) && status.HTTPStatusCode() == http.StatusNotFound
}

// notes collects what was odd in an otherwise useful answer.
type notes struct {
	mu   sync.Mutex
	errs []error
}

func (n *notes) add(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.errs = append(n.errs, err)
	}
}

// check says whether an item was read; one that does not exist is not odd.
func (n *notes) check(path string, err error) bool {
	if err != nil && !notFound(err) {
		n.add(fmt.Errorf("%s: %w", path, shorten(err)))
	}
	return err == nil
}

// addresses reads a list of addresses, leaving out and noting what is none.
func (n *notes) addresses(path, text string) []netip.Addr {
	var addrs []netip.Addr
	for field := range strings.FieldsSeq(text) {
		addr, err := netip.ParseAddr(field)
		if err != nil {
			n.add(fmt.Errorf("%s: %s is not an IP address", path, quote(field)))
			continue
		}
		addrs = append(addrs, addr.Unmap())
	}
	return addrs
}

func (n *notes) err() error {
	slices.SortFunc(n.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return join(n.errs)
}

// join puts errors on one line, which errors.Join does not.
func join(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// shorten takes the innermost error that says something: the SDK wraps each in
// the names of its layers.
func shorten(err error) error {
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) {
		return fmt.Errorf("answered %d %s", status.HTTPStatusCode(), http.StatusText(status.HTTPStatusCode()))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}

// quote shows a stranger's text in a message, at no great length.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
