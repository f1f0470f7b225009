package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"hale/internal/listen"
	"hale/internal/probe"
)

// listenOptions are the flags of hale listen.
type listenOptions struct {
	out       output
	server    listen.Server
	headers   []string
	grpc      int
	tls       bool
	cert, key string
	raw       bool
}

func newListen(s Streams) *cobra.Command {
	o := &listenOptions{}
	cmd := &cobra.Command{
		Use:   "listen [ADDR]",
		Short: "Stand in for the app: answer 200 to anything, and show each request as it came",
		Long: "Stand in for the app: answer 200 to anything, print each request as it came, and say\n" +
			"whose probe it looks like and what an app may stumble over in it. ADDR is [HOST]:PORT\n" +
			"or a port alone, " + listen.DefaultAddress + " by default. Point the health check at it, and see what it sends.\n\n" +
			"HTTP/1, HTTP/2 and gRPC are answered; PROXY headers, TLS on a plain port, bare\n" +
			"connections and what is not HTTP are told as what they are. Ctrl-C ends it with a\n" +
			"summary. Exit code 0: it was ended, with --count after as many visits; 2: it could not\n" +
			"listen, or was interrupted before they had come.",
		Example: "  hale listen\n" +
			"  hale listen :80 --status 503\n" +
			"  hale listen --delay 1m           how long does the load balancer wait?\n" +
			"  hale listen --tls --raw\n" +
			"  hale listen --count 1 --output json | jq .request",
		Args: oneArgument("address", "hale listen :8080"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd); err != nil {
				return notAsked(err)
			}
			return o.run(cmd.Context(), s, strings.Join(args, ""))
		},
	}
	a := &o.server.Answer
	o.out.addTo(cmd)
	cmd.Flags().IntVar(&a.Status, "status", 200, "answer `CODE`, 200 to 599")
	cmd.Flags().StringVar(&a.Body, "body", "ok\n", "answer with `TEXT`")
	cmd.Flags().StringArrayVar(&o.headers, "header", nil, "answer with the field `NAME:VALUE`; several times for several")
	cmd.Flags().DurationVar(&a.Delay, "delay", 0, "hold each answer back for `TIME`, such as 10s")
	cmd.Flags().IntVar(&o.grpc, "grpc-status", 0, "answer gRPC calls with the status `N` (else 0 to the health service, 12 to others)")
	cmd.Flags().IntVar(&o.server.Count, "count", 0, "end after `N` visits")
	cmd.Flags().BoolVar(&o.tls, "tls", false, "listen for HTTPS, with a certificate that signs itself")
	cmd.Flags().StringVar(&o.cert, "cert", "", "listen for HTTPS with the certificate in `FILE` (PEM)")
	cmd.Flags().StringVar(&o.key, "key", "", "its key, in `FILE` (PEM)")
	cmd.Flags().BoolVar(&o.raw, "raw", false, "show all bytes, and the ends of lines")
	return cmd
}

// complete checks the flags, and makes a server of them.
func (o *listenOptions) complete(cmd *cobra.Command) error {
	a := &o.server.Answer
	switch {
	case a.Status < 200 || a.Status > 599:
		return errors.New("--status: write a code from 200 to 599")
	case a.Delay < 0:
		return errors.New("--delay: write a time such as 10s")
	case o.server.Count < 0:
		return errors.New("--count: write a number from 1, or leave it out")
	case o.raw && o.out.json():
		return errors.New("--raw is for people: with --output json all bytes are in .raw")
	case (o.cert == "") != (o.key == ""):
		return errors.New("write both --cert and --key, or --tls for a certificate that signs itself")
	}
	if cmd.Flags().Changed("grpc-status") {
		if o.grpc < 0 || o.grpc > 99 {
			return errors.New("--grpc-status: write a number from 0 to 99")
		}
		a.GRPC = &o.grpc
	}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !listen.ValidField(name, value) {
			return fmt.Errorf("--header %q: write NAME:VALUE", line)
		}
		a.Header = append(a.Header, probe.Field{Name: name, Value: value})
	}
	if !o.tls && o.cert == "" {
		return nil
	}
	cert, err := listen.SelfSigned()
	if o.cert != "" {
		if cert, err = tls.LoadX509KeyPair(o.cert, o.key); err != nil {
			return fmt.Errorf("--cert %s, --key %s: %w", o.cert, o.key, err)
		}
	}
	if err != nil {
		return err
	}
	o.server.TLS = listen.TLSConfig(cert)
	return nil
}

func (o *listenOptions) run(ctx context.Context, s Streams, address string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for whom stdout holds up
	ln, err := listen.Bind(ctx, address)
	if err != nil {
		return notAsked(err)
	}
	if err := o.greet(s, ln); err != nil {
		_ = ln.Close()
		return notAsked(err)
	}
	o.server.Probers = probe.Probers()
	if o.out.json() {
		log := &listen.JSON{Out: s.Out}
		summary, err := o.server.Serve(ctx, ln, log)
		if err == nil {
			err = log.Summary(summary)
		}
		return o.verdict(summary, err)
	}
	text := &listen.Text{Out: s.Out, Raw: o.raw, Colour: s.colour(s.Out), Width: s.tableLook(s.Out).width}
	summary, err := o.server.Serve(ctx, ln, text)
	if err == nil && ctx.Err() != nil && isTerminal(s.Out) {
		_, err = fmt.Fprintln(s.Out) // after the terminal's ^C
	}
	if err == nil {
		err = summary.Write(s.Out)
	}
	return o.verdict(summary, err)
}

// maxAddresses is how many of a machine's addresses are said.
const maxAddresses = 4

// greet says where it listens.
func (o *listenOptions) greet(s Streams, ln net.Listener) error {
	kind := "HTTP"
	if o.server.TLS != nil {
		kind = "HTTPS"
	}
	at := listen.Reached(ln)
	more := ""
	if len(at) > maxAddresses {
		more = fmt.Sprintf(" and %d addresses more", len(at)-maxAddresses)
		at = at[:maxAddresses]
	}
	_, err := fmt.Fprintf(s.Err, "hale listen: %s on %s%s; Ctrl-C ends\n", kind, strings.Join(at, ", "), more)
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() && err == nil {
		_, err = fmt.Fprintf(s.Err, "hale listen: only this machine reaches that address; without it all do: hale listen :%d\n", tcp.Port)
	}
	return err
}

// verdict makes an exit code of how it went.
func (o *listenOptions) verdict(summary listen.Summary, err error) error {
	switch {
	case err != nil:
		return notAsked(err)
	case summary.Visits < o.server.Count:
		return errInterrupted // whether they come is not known
	}
	return nil
}
