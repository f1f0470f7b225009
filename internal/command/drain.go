package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newDrain(s Streams) *cobra.Command {
	var file, admin string
	cmd := &cobra.Command{
		Use:   "drain [-c FILE]",
		Short: "Take this instance out of service: the running hale serve drains and ends",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("admin") {
				if _, port, err := net.SplitHostPort(admin); err != nil || port == "" {
					return notAsked(fmt.Errorf("--admin %q: write an address with its port, such as 127.0.0.1:8086", admin))
				}
			} else {
				cfg, err := loadConfig(file)
				if err != nil {
					return err
				}
				admin = string(cfg.Admin)
			}
			return drain(cmd.Context(), s.Out, admin)
		},
	}
	addConfigFlag(cmd, &file)
	cmd.Flags().StringVar(&admin, "admin", "", "admin `ADDRESS` of the hale serve, instead of the configuration's")
	return cmd
}

func drain(ctx context.Context, out io.Writer, admin string) error {
	if admin == "" {
		return notAsked(errors.New("the admin address is off: send SIGTERM to hale serve instead"))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address := admin
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	u := url.URL{Scheme: "http", Host: address, Path: "/drain"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return notAsked(fmt.Errorf("%q is no admin address: write one such as 127.0.0.1:8086", admin))
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		req.Host = "localhost" // hale's admin answers to no other name (DNS rebinding)
	}
	resp, err := adminClient().Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return notAsked(fmt.Errorf("ask %s to drain: %w; is hale serve running with this admin address?", address, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return notAsked(fmt.Errorf("ask %s to drain: %w", address, err))
	}
	if resp.StatusCode != http.StatusAccepted {
		return notAsked(fmt.Errorf("ask %s to drain: it answered %s: %s", address, resp.Status, strings.TrimSpace(string(body))))
	}
	var answer struct{ Message string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return notAsked(fmt.Errorf("ask %s to drain: %w", address, err))
	}
	_, err = fmt.Fprintln(out, answer.Message)
	return err
}

// adminClient asks the admin address itself: no proxy of the environment, whose
// network is another, and nobody that it points to.
func adminClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
