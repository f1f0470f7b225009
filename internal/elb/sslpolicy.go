package elb

import (
	"slices"
	"strings"
)

// SSLPolicy is the TLS versions and ciphers that a listener offers its clients
// (guide of Application Load Balancers, "Security policies"). Ciphers have
// OpenSSL's names, in the order of preference.
type SSLPolicy struct {
	Name      string
	Protocols []string // TLSv1 to TLSv1.3, the lowest first
	Ciphers   []string
}

// Ciphers, in the groups that policies are made of.
var (
	ofTLS13     = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	forwardGCM  = []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"}
	forwardSHA2 = []string{"ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384"}
	forwardSHA  = []string{"ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA"}
	staticGCM   = []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384"}
	staticSHA2  = []string{"AES128-SHA256", "AES256-SHA256"}
	staticSHA   = []string{"AES128-SHA", "AES256-SHA"}
)

// DefaultSSLPolicy is the one of a listener that names none (ELBv2 API,
// CreateListener).
const DefaultSSLPolicy = "ELBSecurityPolicy-2016-08"

// SSLPolicies returns the policies that a listener can have, by their names'
// order. Those of AWS that differ in FIPS modules alone are left out.
func SSLPolicies() []SSLPolicy {
	all := slices.Concat(forwardGCM, forwardSHA2, forwardSHA, staticGCM, staticSHA2, staticSHA)
	forward := slices.Concat(forwardGCM, forwardSHA2, forwardSHA)
	var list []SSLPolicy
	add := func(name, lowest, highest string, ciphers ...[]string) {
		list = append(list, SSLPolicy{"ELBSecurityPolicy-" + name, versions(lowest, highest), slices.Concat(ciphers...)})
	}
	add("2016-08", "TLSv1", "TLSv1.2", all)
	add("FS-1-1-2019-08", "TLSv1.1", "TLSv1.2", forward)
	add("FS-1-2-2019-08", "TLSv1.2", "TLSv1.2", forward)
	add("FS-1-2-Res-2019-08", "TLSv1.2", "TLSv1.2", forwardGCM, forwardSHA2)
	add("FS-1-2-Res-2020-10", "TLSv1.2", "TLSv1.2", forwardGCM)
	add("FS-2018-06", "TLSv1", "TLSv1.2", forward)
	add("TLS-1-1-2017-01", "TLSv1.1", "TLSv1.2", all)
	add("TLS-1-2-2017-01", "TLSv1.2", "TLSv1.2", forwardGCM, forwardSHA2, staticGCM, staticSHA2)
	add("TLS-1-2-Ext-2018-06", "TLSv1.2", "TLSv1.2", all)
	for _, p := range []struct {
		name, lowest string
		ciphers      []string
	}{
		{"TLS13-1-0", "TLSv1", all},
		{"TLS13-1-1", "TLSv1.1", all},
		{"TLS13-1-2", "TLSv1.2", slices.Concat(forwardGCM, forwardSHA2)},
		{"TLS13-1-2-Ext1", "TLSv1.2", slices.Concat(forwardGCM, forwardSHA2, staticGCM, staticSHA2)},
		{"TLS13-1-2-Ext2", "TLSv1.2", all},
		{"TLS13-1-2-Res", "TLSv1.2", forwardGCM},
		{"TLS13-1-3", "TLSv1.3", nil},
	} {
		add(p.name+"-2021-06", p.lowest, "TLSv1.3", ofTLS13, p.ciphers)
		// The same with a key exchange by ML-KEM, which is offered here with all.
		if p.name != "TLS13-1-1" {
			add(p.name+"-PQ-2025-09", p.lowest, "TLSv1.3", ofTLS13, p.ciphers)
		}
	}
	slices.SortFunc(list, func(a, b SSLPolicy) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func versions(lowest, highest string) []string {
	known := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	return known[slices.Index(known, lowest) : slices.Index(known, highest)+1]
}

// SSLPolicyOf returns the policy of that name; ok is false if there is none.
func SSLPolicyOf(name string) (policy SSLPolicy, ok bool) {
	list := SSLPolicies()
	i := slices.IndexFunc(list, func(p SSLPolicy) bool { return p.Name == name })
	if i < 0 {
		return SSLPolicy{}, false
	}
	return list[i], true
}
