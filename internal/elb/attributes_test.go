package elb_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hale/internal/elb"
)

// refusal returns the message of a ValidationError, "" for none.
func refusal(t *testing.T, err error) string {
	t.Helper()
	return refusalOf(t, err, elb.CodeValidation)
}

func refusalOf(t *testing.T, err error, code string) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *elb.Error
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%v is no refusal of code %s", err, code)
	}
	return err.Error()
}

var tables = map[string]elb.AttributeTable{
	"application":          elb.BalancerAttributes(elb.Application, false),
	"internal application": elb.BalancerAttributes(elb.Application, true),
	"classic":              elb.BalancerAttributes(elb.Classic, false),
	"network":              elb.BalancerAttributes(elb.Network, false),
	"gateway":              elb.BalancerAttributes(elb.Gateway, false),
	"HTTP group":           elb.GroupAttributes(elb.Kind{Protocol: elb.HTTP}),
	"lambda group":         elb.GroupAttributes(elb.Kind{Targets: elb.Lambda}),
	"TCP group":            elb.GroupAttributes(elb.Kind{Protocol: elb.TCP}),
	"TLS ip group":         elb.GroupAttributes(elb.Kind{Protocol: elb.TLS, Targets: elb.Addresses}),
	"UDP group":            elb.GroupAttributes(elb.Kind{Protocol: elb.UDP}),
	"ALB group":            elb.GroupAttributes(elb.Kind{Protocol: elb.TCP, Targets: elb.Balancers}),
	"GENEVE group":         elb.GroupAttributes(elb.Kind{Protocol: elb.GENEVE}),
	"application listener": elb.ListenerAttributes(elb.Application),
	"network listener":     elb.ListenerAttributes(elb.Network),
	"gateway listener":     elb.ListenerAttributes(elb.Gateway),
}

const sdk = "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

// The keys that the API's documentation names, as the AWS SDK has it in its
// comments: each is in a table of ours.
func TestEveryKeyOfTheModel(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(moduleCache(t), sdk+"@"+requiredVersion(t, sdk), "types", "types.go"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the AWS SDK's source is not in the module cache")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		of     string
		tables []string
		least  int
	}{
		{"LoadBalancerAttribute", []string{"application", "network", "gateway"}, 25},
		{"TargetGroupAttribute", []string{"HTTP group", "lambda group", "TCP group", "UDP group", "GENEVE group"}, 24},
		{"ListenerAttribute", []string{"application listener", "network listener", "gateway listener"}, 21},
	} {
		_, rest, _ := strings.Cut(string(source), "type "+test.of+" struct")
		comment, _, _ := strings.Cut(rest, "Key *string")
		comment = strings.ReplaceAll(comment, "-\n\t//   target_group", "- target_group") // one that is too long for a line
		var named, known []string
		for _, m := range regexp.MustCompile(`//   - ([a-z0-9_]+(?:\.[a-z0-9_]+)+)`).FindAllStringSubmatch(comment, -1) {
			named = append(named, m[1])
		}
		if len(named) < test.least {
			t.Errorf("%s: %d keys found in the SDK's comment, want %d at least", test.of, len(named), test.least)
		}
		for _, table := range test.tables {
			known = append(known, tables[table].Keys()...)
		}
		for _, key := range named {
			if !slices.Contains(known, key) {
				t.Errorf("%s: no table has %s", test.of, key)
			}
		}
		for _, key := range known {
			if !slices.Contains(named, key) {
				t.Errorf("%s: the SDK does not know %s", test.of, key)
			}
		}
	}
}

// requiredVersion returns the version of a module that go.mod asks for.
func requiredVersion(t *testing.T, module string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\t"+module+" ")
	if !found {
		t.Fatalf("go.mod does not ask for %s", module)
	}
	return strings.Fields(rest)[0]
}

func moduleCache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("GOMODCACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("GOPATH"); dir != "" {
		return filepath.Join(dir, "pkg", "mod")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	return filepath.Join(home, "go", "pkg", "mod")
}

// What is listed of a thing that nobody has set anything of.
func TestAttributeDefaults(t *testing.T) {
	t.Parallel()
	stream := elb.Attributes{
		"deregistration_delay.timeout_seconds":                                           "300",
		"deregistration_delay.connection_termination.enabled":                            "false",
		"stickiness.enabled":                                                             "false",
		"stickiness.type":                                                                "source_ip",
		"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
		"preserve_client_ip.enabled":                                                     "true",
		"proxy_protocol_v2.enabled":                                                      "false",
		"target_health_state.unhealthy.connection_termination.enabled":                   "true",
		"target_health_state.unhealthy.draining_interval_seconds":                        "0",
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
	}
	application := elb.Attributes{
		"deletion_protection.enabled":                              "false",
		"load_balancing.cross_zone.enabled":                        "true",
		"access_logs.s3.enabled":                                   "false",
		"access_logs.s3.bucket":                                    "",
		"access_logs.s3.prefix":                                    "",
		"connection_logs.s3.enabled":                               "false",
		"connection_logs.s3.bucket":                                "",
		"connection_logs.s3.prefix":                                "",
		"health_check_logs.s3.enabled":                             "false",
		"health_check_logs.s3.bucket":                              "",
		"health_check_logs.s3.prefix":                              "",
		"ipv6.deny_all_igw_traffic":                                "false",
		"zonal_shift.config.enabled":                               "false",
		"idle_timeout.timeout_seconds":                             "60",
		"client_keep_alive.seconds":                                "3600",
		"routing.http.desync_mitigation_mode":                      "defensive",
		"routing.http.drop_invalid_header_fields.enabled":          "false",
		"routing.http.preserve_host_header.enabled":                "false",
		"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
		"routing.http.xff_client_port.enabled":                     "false",
		"routing.http.xff_header_processing.mode":                  "append",
		"routing.http2.enabled":                                    "true",
		"waf.fail_open.enabled":                                    "false",
	}
	for table, want := range map[string]elb.Attributes{
		"application":          application,
		"internal application": changed(application, "ipv6.deny_all_igw_traffic", "true"),
		"network": {
			"deletion_protection.enabled": "false", "load_balancing.cross_zone.enabled": "false",
			"access_logs.s3.enabled": "false", "access_logs.s3.bucket": "", "access_logs.s3.prefix": "",
			"ipv6.deny_all_igw_traffic": "false", "zonal_shift.config.enabled": "false",
			"dns_record.client_routing_policy": "any_availability_zone", "secondary_ips.auto_assigned.per_subnet": "0",
		},
		"gateway": {"deletion_protection.enabled": "false", "load_balancing.cross_zone.enabled": "false"},
		"HTTP group": {
			"deregistration_delay.timeout_seconds":  "300",
			"stickiness.enabled":                    "false",
			"stickiness.type":                       "lb_cookie",
			"stickiness.lb_cookie.duration_seconds": "86400", "stickiness.app_cookie.duration_seconds": "86400", "stickiness.app_cookie.cookie_name": "",
			"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
			"load_balancing.algorithm.type":                                                  "round_robin",
			"load_balancing.algorithm.anomaly_mitigation":                                    "off",
			"slow_start.duration_seconds":                                                    "0",
			"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
			"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
			"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
			"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
		},
		"lambda group": {
			"stickiness.enabled": "false", "stickiness.type": "lb_cookie",
			"load_balancing.cross_zone.enabled": "use_load_balancer_configuration", "lambda.multi_value_headers.enabled": "false",
		},
		"TCP group":    stream,
		"TLS ip group": changed(stream, "preserve_client_ip.enabled", "false"),
		"UDP group": changed(changed(stream, "deregistration_delay.connection_termination.enabled", "true"),
			"target_health_state.unhealthy.connection_termination.enabled", "false"),
		"GENEVE group": {
			"deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false", "stickiness.type": "source_ip_dest_ip_proto",
			"target_failover.on_deregistration": "no_rebalance", "target_failover.on_unhealthy": "no_rebalance",
			"send_tcp_reset.on_unhealthy.enabled": "false", "send_tcp_reset.on_deregistration.enabled": "false",
		},
		"network listener": {"tcp.idle_timeout.seconds": "350"},
		"gateway listener": {"tcp.idle_timeout.seconds": "350", "send_tcp_reset.on_idle_timeout.enabled": "false"},
	} {
		full := tables[table].Full(nil)
		for key := range full {
			if got, ok := want[key]; !ok || got != full[key] {
				t.Errorf("%s: %s is %q, want %q, %v", table, key, full[key], got, ok)
			}
		}
		for key := range want {
			if _, ok := full[key]; !ok {
				t.Errorf("%s: %s is missing", table, key)
			}
		}
	}
}

func changed(a elb.Attributes, key, value string) elb.Attributes {
	next := maps.Clone(a)
	next[key] = value
	return next
}

// Defaults are values that the API takes, each key stands once, and a full set
// can be sent back as it came.
func TestDefaultsAreTaken(t *testing.T) {
	t.Parallel()
	for name, table := range tables {
		keys := table.Keys()
		if distinct := slices.Compact(slices.Sorted(slices.Values(keys))); len(distinct) != len(keys) {
			t.Errorf("%s: a key stands twice in %v", name, keys)
		}
		full := table.Full(nil)
		delete(full, "stickiness.app_cookie.cookie_name") // a default that cannot be set
		if _, err := elb.SetAttributes(table, nil, full); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetAttributes(t *testing.T) {
	t.Parallel()
	const (
		validation    = elb.CodeValidation
		configuration = "InvalidConfigurationRequest"
	)
	for _, test := range []struct {
		table   string
		change  elb.Attributes
		code    string
		message string // empty: it is taken
	}{
		{"application", elb.Attributes{"idle_timeout.timeout_seconds": "4000"}, "", ""},
		{"application", elb.Attributes{"idle_timeout.timeout_seconds": "0"}, validation, "Load balancer attribute 'idle_timeout.timeout_seconds' cannot be '0': it must be an integer between 1 and 4000"},
		{"application", elb.Attributes{"idle_timeout.timeout_seconds": "4001"}, validation, "Load balancer attribute 'idle_timeout.timeout_seconds' cannot be '4001': it must be an integer between 1 and 4000"},
		{"application", elb.Attributes{"idle_timeout.timeout_seconds": "1m"}, validation, "Load balancer attribute 'idle_timeout.timeout_seconds' cannot be '1m': it must be an integer between 1 and 4000"},
		{"application", elb.Attributes{"idle_timeout.timeout_seconds": "+60"}, validation, "Load balancer attribute 'idle_timeout.timeout_seconds' cannot be '+60': it must be an integer between 1 and 4000"},
		{"application", elb.Attributes{"idle_timeout.seconds": "60"}, validation, "Load balancer attribute key 'idle_timeout.seconds' is not recognized"},
		{"network", elb.Attributes{"idle_timeout.timeout_seconds": "60"}, configuration, "Load balancer attribute key 'idle_timeout.timeout_seconds' is not supported on load balancers with type 'network'"},
		{"application", elb.Attributes{"load_balancing.cross_zone.enabled": "false"}, validation, "Load balancer attribute 'load_balancing.cross_zone.enabled' cannot be 'false': it must be true"},
		{"network", elb.Attributes{"load_balancing.cross_zone.enabled": "true"}, "", ""},
		{"classic", elb.Attributes{"idle_timeout.timeout_seconds": "4000"}, "", ""},
		{"classic", elb.Attributes{"routing.http2.enabled": "true"}, validation, "Load balancer attribute 'routing.http2.enabled' cannot be 'true': it must be false"},
		{"application", elb.Attributes{"routing.http.xff_header_processing.mode": "drop"}, validation, "Load balancer attribute 'routing.http.xff_header_processing.mode' cannot be 'drop': it must be append, preserve or remove"},
		{"application", elb.Attributes{"access_logs.s3.enabled": "true"}, configuration, "Load balancer attribute 'access_logs.s3.bucket' is required when 'access_logs.s3.enabled' is true"},
		{"application", elb.Attributes{"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "logs"}, "", ""},
		{"application", elb.Attributes{"access_logs.s3.prefix": "a\nb"}, validation, "Load balancer attribute 'access_logs.s3.prefix' cannot be 'a\nb': it must be at most 1024 characters, none of them a control character"},

		{"HTTP group", elb.Attributes{"deregistration_delay.timeout_seconds": "0"}, "", ""},
		{"HTTP group", elb.Attributes{"deregistration_delay.timeout_seconds": "3601"}, validation, "Target group attribute 'deregistration_delay.timeout_seconds' cannot be '3601': it must be an integer between 0 and 3600"},
		{"HTTP group", elb.Attributes{"slow_start.duration_seconds": "29"}, validation, "Target group attribute 'slow_start.duration_seconds' cannot be '29': it must be an integer between 30 and 900 or 0"},
		{"HTTP group", elb.Attributes{"slow_start.duration_seconds": "30"}, "", ""},
		{"HTTP group", elb.Attributes{"slow_start.duration_seconds": "30", "load_balancing.algorithm.type": "least_outstanding_requests"}, configuration, "Slow start is possible with the routing algorithm round_robin alone"},
		{"HTTP group", elb.Attributes{"slow_start.duration_seconds": "30", "load_balancing.algorithm.type": "weighted_random"}, configuration, "Slow start is possible with the routing algorithm round_robin alone"},
		{"HTTP group", elb.Attributes{"load_balancing.algorithm.anomaly_mitigation": "on"}, configuration, "Anomaly mitigation is possible with the routing algorithm weighted_random alone"},
		{"HTTP group", elb.Attributes{"load_balancing.algorithm.anomaly_mitigation": "on", "load_balancing.algorithm.type": "weighted_random"}, "", ""},
		{"HTTP group", elb.Attributes{"stickiness.enabled": "true", "load_balancing.algorithm.type": "weighted_random"}, configuration, "Stickiness is not possible with the routing algorithm weighted_random"},
		{"HTTP group", elb.Attributes{"stickiness.type": "source_ip"}, configuration, "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol"},
		{"HTTP group", elb.Attributes{"stickiness.type": "cookie"}, validation, "Target group attribute 'stickiness.type' cannot be 'cookie': it must be lb_cookie or app_cookie"},
		{"TCP group", elb.Attributes{"stickiness.type": "lb_cookie"}, configuration, "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol"},
		{"HTTP group", elb.Attributes{"stickiness.enabled": "true", "stickiness.type": "app_cookie"}, configuration, "Target group attribute 'stickiness.app_cookie.cookie_name' is required when 'stickiness.type' is app_cookie"},
		{"HTTP group", elb.Attributes{"stickiness.enabled": "true", "stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "sessionid"}, "", ""},
		{"HTTP group", elb.Attributes{"stickiness.app_cookie.cookie_name": "AWSALBAPP"}, validation, "Target group attribute 'stickiness.app_cookie.cookie_name' cannot be 'AWSALBAPP': it must be the name of a cookie, and must not begin with AWSALB, AWSALBAPP or AWSALBTG, which are the load balancer's"},
		{"HTTP group", elb.Attributes{"stickiness.app_cookie.cookie_name": "a b"}, validation, "Target group attribute 'stickiness.app_cookie.cookie_name' cannot be 'a b': it must be the name of a cookie, and must not begin with AWSALB, AWSALBAPP or AWSALBTG, which are the load balancer's"},
		{"HTTP group", elb.Attributes{"load_balancing.cross_zone.enabled": "false", "stickiness.enabled": "true"}, configuration, "Stickiness is not possible when cross-zone load balancing is off"},
		{"HTTP group", elb.Attributes{"target_group_health.dns_failover.minimum_healthy_targets.count": "off"}, "", ""},
		{"HTTP group", elb.Attributes{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "off"}, validation, "Target group attribute 'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count' cannot be 'off': it must be an integer between 1 and 1000"},
		{"HTTP group", elb.Attributes{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "2"}, configuration, "Target group attribute 'target_group_health.dns_failover.minimum_healthy_targets.count' must not be lower than 'target_group_health.unhealthy_state_routing.minimum_healthy_targets.count'"},
		{"HTTP group", elb.Attributes{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "50"}, "", ""},
		{"HTTP group", elb.Attributes{"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "50", "target_group_health.dns_failover.minimum_healthy_targets.percentage": "40"}, configuration, "Target group attribute 'target_group_health.dns_failover.minimum_healthy_targets.percentage' must not be lower than 'target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage'"},
		{"HTTP group", elb.Attributes{"proxy_protocol_v2.enabled": "true"}, configuration, "Target group attribute key 'proxy_protocol_v2.enabled' is not supported on target groups with the HTTP protocol"},
		{"lambda group", elb.Attributes{"deregistration_delay.timeout_seconds": "1"}, configuration, "Target group attribute key 'deregistration_delay.timeout_seconds' is not supported on target groups with the lambda target type"},
		{"ALB group", elb.Attributes{"target_group_health.dns_failover.minimum_healthy_targets.count": "1"}, configuration, "Target group attribute key 'target_group_health.dns_failover.minimum_healthy_targets.count' is not supported on target groups with the TCP protocol"},
		{"HTTP group", elb.Attributes{"deregistration_delay": "1"}, validation, "Target group attribute key 'deregistration_delay' is not recognized"},
		{"TCP group", elb.Attributes{"target_health_state.unhealthy.draining_interval_seconds": "60"}, configuration, "Target group attribute 'target_health_state.unhealthy.draining_interval_seconds' is possible only when 'target_health_state.unhealthy.connection_termination.enabled' is false"},
		{"TCP group", elb.Attributes{"target_health_state.unhealthy.draining_interval_seconds": "360000", "target_health_state.unhealthy.connection_termination.enabled": "false"}, "", ""},
		{"UDP group", elb.Attributes{"preserve_client_ip.enabled": "false"}, validation, "Target group attribute 'preserve_client_ip.enabled' cannot be 'false': it must be true"},
		{"UDP group", elb.Attributes{"target_health_state.unhealthy.connection_termination.enabled": "true"}, validation, "Target group attribute 'target_health_state.unhealthy.connection_termination.enabled' cannot be 'true': it must be false"},
		{"GENEVE group", elb.Attributes{"target_failover.on_unhealthy": "rebalance"}, configuration, "Target group attributes 'target_failover.on_deregistration' and 'target_failover.on_unhealthy' must have the same value"},
		{"GENEVE group", elb.Attributes{"target_failover.on_unhealthy": "rebalance", "target_failover.on_deregistration": "rebalance"}, "", ""},

		{"network listener", elb.Attributes{"tcp.idle_timeout.seconds": "59"}, validation, "Listener attribute 'tcp.idle_timeout.seconds' cannot be '59': it must be an integer between 60 and 6000"},
		{"application listener", elb.Attributes{"tcp.idle_timeout.seconds": "60"}, configuration, "Listener attribute key 'tcp.idle_timeout.seconds' is not supported on listeners of load balancers with type 'application'"},
		{"application listener", elb.Attributes{"routing.http.request.x_amzn_tls_version.header_name": "X-TLS"}, "", ""},
		{"application listener", elb.Attributes{"routing.http.request.x_amzn_tls_version.header_name": "X TLS"}, validation, "Listener attribute 'routing.http.request.x_amzn_tls_version.header_name' cannot be 'X TLS': it must be the name of a header field, of letters, digits, - and _, at most 40 characters"},
		{"application listener", elb.Attributes{"routing.http.response.access_control_allow_credentials.header_value": "no"}, validation, "Listener attribute 'routing.http.response.access_control_allow_credentials.header_value' cannot be 'no': it must be true, false or empty"},
		{"application listener", elb.Attributes{"routing.http.response.strict_transport_security.header_value": "max-age=31536000; includeSubDomains"}, "", ""},
	} {
		set := elb.Attributes{}
		got, err := elb.SetAttributes(tables[test.table], set, test.change)
		if message := refusalOf(t, err, test.code); message != test.message {
			t.Errorf("%s, %v: %q\nwant %q", test.table, test.change, message, test.message)
		}
		if err == nil && !maps.Equal(got, test.change) || len(set) != 0 {
			t.Errorf("%s, %v: %v", test.table, test.change, got)
		}
	}
}

// A change is laid over what was set; what goes together is decided by both.
func TestSetAttributesOverOthers(t *testing.T) {
	t.Parallel()
	table := tables["HTTP group"]
	set := elb.Attributes{"slow_start.duration_seconds": "30"}
	if _, err := elb.SetAttributes(table, set, elb.Attributes{"load_balancing.algorithm.type": "weighted_random"}); err == nil {
		t.Error("slow start and weighted_random go together when set one after the other")
	}
	next, err := elb.SetAttributes(table, set, elb.Attributes{"load_balancing.algorithm.type": "weighted_random", "slow_start.duration_seconds": "0"})
	if err != nil || next["load_balancing.algorithm.type"] != "weighted_random" || set["slow_start.duration_seconds"] != "30" {
		t.Errorf("%v, %v; before %v", next, err, set)
	}
	network := tables["network"]
	fewer := elb.Attributes{"secondary_ips.auto_assigned.per_subnet": "2"}
	if _, err := elb.SetAttributes(network, elb.Attributes{"secondary_ips.auto_assigned.per_subnet": "3"}, fewer); refusalOf(t, err, "InvalidConfigurationRequest") == "" {
		t.Error("the number of secondary addresses can be decreased")
	}
	if _, err := elb.SetAttributes(network, nil, fewer); err != nil {
		t.Error(err)
	}
}

func TestAttributeReaders(t *testing.T) {
	t.Parallel()
	a := elb.Attributes{"yes": "true", "on": "on", "no": "false", "n": "42", "off": "off", "text": "x"}
	if !a.Bool("yes") || !a.Bool("on") || a.Bool("no") || a.Bool("text") || a.Bool("none") {
		t.Errorf("Bool of %v", a)
	}
	if a.Int("n") != 42 || a.Int("off") != 0 || a.Int("none") != 0 || a.Duration("n") != 42*time.Second {
		t.Errorf("Int or Duration of %v", a)
	}
	full := tables["HTTP group"].Full(elb.Attributes{"deregistration_delay.timeout_seconds": "7", "of.another": "x"})
	if full.Duration("deregistration_delay.timeout_seconds") != 7*time.Second || full["of.another"] != "" || !slices.Contains(tables["HTTP group"].Keys(), "stickiness.type") {
		t.Errorf("Full: %v", full)
	}
}
