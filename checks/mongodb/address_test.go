package mongodb

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// records is DNS as far as mongodb+srv:// goes.
type records struct {
	srv map[string][]*net.SRV // by service and name, as in mongodb.cluster.example.com
	txt map[string][]string
}

func (r records) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if found, ok := r.srv[service+"."+name]; ok {
		return name, found, nil
	}
	return "", nil, &net.DNSError{Name: name, IsNotFound: true}
}

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	if found, ok := r.txt[name]; ok {
		return found, nil
	}
	return nil, &net.DNSError{Name: name, IsNotFound: true}
}

func TestSRV(t *testing.T) {
	t.Parallel()
	three := []*net.SRV{{Target: "a.example.com.", Port: 27017}, {Target: "b.example.com.", Port: 27018}, {Target: "c.example.com.", Port: 27019}}
	dns := records{
		srv: map[string][]*net.SRV{
			"mongodb.cluster.example.com": three,
			"custom.cluster.example.com":  three[:1],
			"mongodb.bare.example.com":    three[:2],
			"mongodb.two.example.com":     three[:1],
			"mongodb.odd.example.com":     three[:1],
			"mongodb.evil.example.com":    {{Target: "a.example.com.evil.com.", Port: 1}},
			"mongodb.none.example.com":    {},
		},
		txt: map[string][]string{
			"cluster.example.com": {"authSource=admin&replicaSet=rs0"},
			"two.example.com":     {"authSource=a", "replicaSet=b"},
			"odd.example.com":     {"tls=false"},
		},
	}
	for _, test := range []struct{ name, url, plain, want string }{
		{"hosts and options", "mongodb+srv://app:p%40ss@cluster.example.com/app?w=majority", "mongodb://app:p%40ss@a.example.com:27017,b.example.com:27018,c.example.com:27019/app?authSource=admin&replicaSet=rs0&tls=true&w=majority", ""},
		{"the URL's options go before", "mongodb+srv://cluster.example.com/?authSource=app&tls=false", "mongodb://a.example.com:27017,b.example.com:27018,c.example.com:27019/?authSource=app&replicaSet=rs0&tls=false", ""},
		{"so many hosts at most", "mongodb+srv://cluster.example.com/?srvMaxHosts=1", "mongodb://a.example.com:27017/?authSource=admin&replicaSet=rs0&tls=true", ""},
		{"another service", "mongodb+srv://cluster.example.com/?srvServiceName=custom", "mongodb://a.example.com:27017/?authSource=admin&replicaSet=rs0&tls=true", ""},
		{"no options", "mongodb+srv://bare.example.com", "mongodb://a.example.com:27017,b.example.com:27018/?tls=true", ""},
		{"no such name", "mongodb+srv://nowhere.example.com", "", "name does not resolve: nowhere.example.com"},
		{"no host", "mongodb+srv://none.example.com", "", "DNS names no server for none.example.com"},
		{"host elsewhere", "mongodb+srv://evil.example.com", "", "DNS names a server outside of example.com for evil.example.com: a.example.com.evil.com"},
		{"two TXT records", "mongodb+srv://two.example.com", "", "DNS has more than one TXT record for two.example.com"},
		{"options that are not for DNS", "mongodb+srv://odd.example.com", "", "the TXT record of odd.example.com has an option that it must not: tls"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, ok, err := parseSRV(test.url)
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			plain, err := s.resolve(t.Context(), dns)
			if plain != test.plain {
				t.Errorf("got  %s\nwant %s", plain, test.plain)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
				t.Errorf("error = %v, want %s", err, test.want)
			}
		})
	}
	// The whole way: the name resolves to a server that is down.
	check := &Check{URL: "mongodb+srv://app:secret@cluster.invalid.test", resolver: records{srv: map[string][]*net.SRV{
		"mongodb.cluster.invalid.test": {{Target: "db.invalid.test.", Port: 1}},
	}}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := check.Run(ctx); err == nil || err.Error() != "name does not resolve: db.invalid.test" {
		t.Errorf("error = %v", err)
	}
}

func FuzzValidateURL(f *testing.F) {
	for _, seed := range []string{"mongodb://u:p@h:1,h2/d?tls=true", "mongodb+srv://u:p@c.example.com/d?w=1", "mongodb+srv://%zz@h", "mongodb://", "mongodb+srv://a?b=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tail string) {
		const secret = "hunter2"
		for _, scheme := range []string{"mongodb://", "mongodb+srv://"} {
			if err := (&Check{URL: scheme + "app:" + secret + "@" + strings.ReplaceAll(tail, secret, "")}).Validate(); err != nil && strings.Contains(err.Error(), secret) {
				t.Fatalf("%q: %v", tail, err)
			}
		}
	})
}
