package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hale/internal/machine"
)

// probeRanges are where a cloud's probes come from, which is none of its load
// balancers' own addresses, and where its firewall is asked about. (Google Cloud,
// "Probe IP ranges and firewall rules"; Azure, "What is IP address
// 168.63.129.16?".)
var probeRanges = map[string]struct {
	networks []netip.Prefix
	how      string
}{
	"gcp": {
		[]netip.Prefix{netip.MustParsePrefix("35.191.0.0/16"), netip.MustParsePrefix("130.211.0.0/22")},
		"gcloud compute firewall-rules list --filter=direction=INGRESS --format='table(name,sourceRanges.list(),allowed[].map().firewall_rule().list())': is there one for tcp:PORT from both ranges?",
	},
	"azure": {
		[]netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")},
		"az network nic list-effective-nsg: is there a rule for TCP PORT from the service tag AzureLoadBalancer before one that denies it?",
	},
}

// examineRanges looks whether the machine's own firewall lets the cloud's probes
// in. What the cloud's firewall does, no probe from here can show.
func (x *examination) examineRanges(ctx context.Context) {
	row, ok := probeRanges[x.Probe.Prober.Name]
	if !ok || x.found("firewall-drop") || x.found("firewall-reject") {
		return
	}
	if x.Inside {
		for _, network := range row.networks {
			if seen := shutTo(ctx, x.Probe.Address.Port(), network); len(seen) > 0 {
				x.asideOf("cloud-probe-ranges-blocked", seen)
				x.order()
				return
			}
		}
	}
	var from []string
	for _, network := range row.networks {
		from = append(from, network.String())
	}
	x.undecided = append(x.undecided, Undecided{
		"whether the cloud's firewall admits its own probers, which come from " + strings.Join(from, " and ") + " (cloud-probe-ranges-blocked)",
		strings.ReplaceAll(row.how, "PORT", portOf(x.Probe)),
	})
}

// shutTo proves that no packet from a network comes through to a port: neither
// from its first address nor from its last.
func shutTo(ctx context.Context, port uint16, network netip.Prefix) []Evidence {
	var seen []Evidence
	for _, source := range []netip.Addr{network.Addr(), machine.LastOf(network)} {
		wall, err := machine.FirewallFrom(ctx, port, source)
		if err != nil {
			return nil
		}
		i := slices.IndexFunc(wall.Rules, func(r machine.FirewallRule) bool { return !r.Outgoing && (r.Conditional || r.Action != machine.Accept) })
		if i < 0 || wall.Rules[i].Conditional { // which may let it in
			return nil
		}
		seen = []Evidence{{
			Change: fmt.Sprintf("what the rules of %s do to %s", strings.Join(wall.Tools, " and "), network),
			Before: printable(wall.Rules[i].Chain+": "+wall.Rules[i].Text, 160),
		}}
	}
	return seen
}
