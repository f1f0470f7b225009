package elb

import "strconv"

// The tables of attributes. Source, unless a row says otherwise: the ELBv2 API,
// LoadBalancerAttribute, TargetGroupAttribute and ListenerAttribute.

var (
	boolean = oneOf("true", "false")
	onOff   = oneOf("on", "off")
)

// balancerAttributes are those of load balancers. S3 buckets and prefixes have
// no default; AWS lists them as empty.
func balancerAttributes(internal bool) []attribute {
	const (
		all  = application | network | gateway
		both = application | network
	)
	return []attribute{
		{"deletion_protection.enabled", "false", boolean, all},
		{keyCrossZone, "true", oneOf("true"), application}, // can't be changed
		{keyCrossZone, "false", boolean, network | gateway},
		{"access_logs.s3.enabled", "false", boolean, both},
		{"access_logs.s3.bucket", "", text(), both},
		{"access_logs.s3.prefix", "", text(), both},
		{"ipv6.deny_all_igw_traffic", strconv.FormatBool(internal), boolean, both},
		{"zonal_shift.config.enabled", "false", boolean, both},
		{"idle_timeout.timeout_seconds", "60", between(1, 4000), application},
		{"client_keep_alive.seconds", "3600", between(60, 604800), application},
		{"connection_logs.s3.enabled", "false", boolean, application},
		{"connection_logs.s3.bucket", "", text(), application},
		{"connection_logs.s3.prefix", "", text(), application},
		{"health_check_logs.s3.enabled", "false", boolean, application},
		{"health_check_logs.s3.bucket", "", text(), application},
		{"health_check_logs.s3.prefix", "", text(), application},
		{"routing.http.desync_mitigation_mode", "defensive", oneOf("monitor", "defensive", "strictest"), application},
		{"routing.http.drop_invalid_header_fields.enabled", "false", boolean, application},
		{"routing.http.preserve_host_header.enabled", "false", boolean, application},
		{"routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", boolean, application},
		{"routing.http.xff_client_port.enabled", "false", boolean, application},
		{"routing.http.xff_header_processing.mode", "append", oneOf("append", "preserve", "remove"), application},
		{keyHTTP2, "true", boolean, application},
		{"waf.fail_open.enabled", "false", boolean, application},
		{"dns_record.client_routing_policy", "any_availability_zone", oneOf("availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone"), network},
		{"secondary_ips.auto_assigned.per_subnet", "0", between(0, 7), network},
	}
}

var balancerRules = []attributeRule{
	needsBucket("access_logs"),
	needsBucket("connection_logs"),
	needsBucket("health_check_logs"),
	{
		func(before, after Attributes) bool {
			const key = "secondary_ips.auto_assigned.per_subnet"
			return after.Int(key) < before.Int(key)
		},
		"Load balancer attribute 'secondary_ips.auto_assigned.per_subnet' cannot be decreased",
	},
}

func needsBucket(logs string) attributeRule {
	return attributeRule{
		func(_, after Attributes) bool {
			return after.Bool(logs+".s3.enabled") && after[logs+".s3.bucket"] == ""
		},
		"Load balancer attribute '" + logs + ".s3.bucket' is required when '" + logs + ".s3.enabled' is true",
	}
}

// stickinessTypes are those of all groups.
var stickinessTypes = []string{"lb_cookie", "app_cookie", "source_ip", "source_ip_dest_ip", "source_ip_dest_ip_proto"}

// Attributes that decide over the health of a group's targets.
const (
	keyDelay             = "deregistration_delay.timeout_seconds"
	keyCutUnhealthy      = "target_health_state.unhealthy.connection_termination.enabled"
	keyUnhealthyDraining = "target_health_state.unhealthy.draining_interval_seconds"
	keyFailoverCount     = "target_group_health.dns_failover.minimum_healthy_targets.count"
	keyFailoverShare     = "target_group_health.dns_failover.minimum_healthy_targets.percentage"
	keyRoutingCount      = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count"
	keyRoutingShare      = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage"
	keyHTTP2             = "routing.http2.enabled"             // of load balancers
	keyCrossZone         = "load_balancing.cross_zone.enabled" // of load balancers, too
)

// mostTargets is what "the maximum number of targets" is taken for.
const mostTargets = 1000

// groupAttributes are those of target groups. Unconfirmed: the default of
// stickiness.type for groups of Gateway Load Balancers; that QUIC has what UDP
// has; that a group of an Application Load Balancer has what one of instances
// has, but for the DNS part ("Target group health", guide).
func groupAttributes() []attribute {
	const all = routed | lambda | ofNLB | geneve
	return []attribute{
		{keyDelay, "300", between(0, 3600), all &^ lambda},
		{"stickiness.enabled", "false", boolean, all},
		{"stickiness.type", "lb_cookie", oneOf("lb_cookie", "app_cookie"), routed | lambda},
		{"stickiness.type", "source_ip", oneOf("source_ip"), ofNLB},
		{"stickiness.type", "source_ip_dest_ip_proto", oneOf("source_ip_dest_ip", "source_ip_dest_ip_proto"), geneve},
		{"stickiness.lb_cookie.duration_seconds", "86400", between(1, 604800), routed},
		{"stickiness.app_cookie.duration_seconds", "86400", between(1, 604800), routed},
		{"stickiness.app_cookie.cookie_name", "", cookieName(), routed},
		{keyCrossZone, "use_load_balancer_configuration", oneOf("true", "false", "use_load_balancer_configuration"), routed | lambda | ofNLB},
		{keyFailoverCount, "1", between(1, mostTargets, "off"), routed | ofNLB&^toALB},
		{keyFailoverShare, "off", between(1, 100, "off"), routed | ofNLB&^toALB},
		{keyRoutingCount, "1", between(1, mostTargets), routed | ofNLB},
		{keyRoutingShare, "off", between(1, 100, "off"), routed | ofNLB},
		{"load_balancing.algorithm.type", "round_robin", oneOf("round_robin", "least_outstanding_requests", "weighted_random"), routed},
		{"load_balancing.algorithm.anomaly_mitigation", "off", onOff, routed},
		{"slow_start.duration_seconds", "0", between(30, 900, "0"), routed},
		{"lambda.multi_value_headers.enabled", "false", boolean, lambda},
		{"deregistration_delay.connection_termination.enabled", "false", boolean, ofNLB &^ datagrams},
		{"deregistration_delay.connection_termination.enabled", "true", boolean, datagrams},
		{"preserve_client_ip.enabled", "true", boolean, streams | toALB},
		{"preserve_client_ip.enabled", "false", boolean, toAddress},
		{"preserve_client_ip.enabled", "true", oneOf("true"), datagrams},
		{"proxy_protocol_v2.enabled", "false", boolean, ofNLB},
		{keyCutUnhealthy, "true", boolean, ofNLB &^ datagrams},
		{keyCutUnhealthy, "false", oneOf("false"), datagrams},
		{keyUnhealthyDraining, "0", between(0, 360000), ofNLB},
		{"target_failover.on_deregistration", "no_rebalance", oneOf("rebalance", "no_rebalance"), geneve},
		{"target_failover.on_unhealthy", "no_rebalance", oneOf("rebalance", "no_rebalance"), geneve},
		{"send_tcp_reset.on_unhealthy.enabled", "false", boolean, geneve},
		{"send_tcp_reset.on_deregistration.enabled", "false", boolean, geneve},
	}
}

// groupRules: that slow start and stickiness are refused with weighted_random is
// unconfirmed.
var groupRules = []attributeRule{
	{
		func(_, a Attributes) bool {
			return a.Int("slow_start.duration_seconds") > 0 && a["load_balancing.algorithm.type"] != "round_robin"
		},
		"Slow start is possible with the routing algorithm round_robin alone",
	},
	{
		func(_, a Attributes) bool {
			return a.Bool("stickiness.enabled") && a["load_balancing.algorithm.type"] == "weighted_random"
		},
		"Stickiness is not possible with the routing algorithm weighted_random",
	},
	{
		func(_, a Attributes) bool {
			return a.Bool("load_balancing.algorithm.anomaly_mitigation") && a["load_balancing.algorithm.type"] != "weighted_random"
		},
		"Anomaly mitigation is possible with the routing algorithm weighted_random alone",
	},
	{
		func(_, a Attributes) bool {
			return a.Bool("stickiness.enabled") && a["stickiness.type"] == "app_cookie" && a["stickiness.app_cookie.cookie_name"] == ""
		},
		"Target group attribute 'stickiness.app_cookie.cookie_name' is required when 'stickiness.type' is app_cookie",
	},
	{
		func(_, a Attributes) bool { return a[keyCrossZone] == "false" && a.Bool("stickiness.enabled") },
		"Stickiness is not possible when cross-zone load balancing is off",
	},
	{
		func(_, a Attributes) bool { return belowRouting(a, keyFailoverCount, keyRoutingCount) },
		"Target group attribute '" + keyFailoverCount + "' must not be lower than '" + keyRoutingCount + "'",
	},
	{
		func(_, a Attributes) bool { return belowRouting(a, keyFailoverShare, keyRoutingShare) },
		"Target group attribute '" + keyFailoverShare + "' must not be lower than '" + keyRoutingShare + "'",
	},
	{
		func(_, a Attributes) bool { return a.Bool(keyCutUnhealthy) && a.Int(keyUnhealthyDraining) > 0 },
		"Target group attribute '" + keyUnhealthyDraining + "' is possible only when '" + keyCutUnhealthy + "' is false",
	},
	{
		func(_, a Attributes) bool {
			return a["target_failover.on_deregistration"] != a["target_failover.on_unhealthy"]
		},
		"Target group attributes 'target_failover.on_deregistration' and 'target_failover.on_unhealthy' must have the same value",
	},
}

// belowRouting: where both are on, DNS has to fail over before traffic goes to
// unhealthy targets (guide, "Target group health").
func belowRouting(a Attributes, failover, routing string) bool {
	return a.Int(failover) > 0 && a.Int(failover) < a.Int(routing)
}

// listenerAttributes are those of listeners. That the default of a header's name
// is its own, and of a header's value nothing, is unconfirmed.
func listenerAttributes() []attribute {
	value := text()
	rows := []attribute{
		{"tcp.idle_timeout.seconds", "350", between(60, 6000), network | gateway},
		{"send_tcp_reset.on_idle_timeout.enabled", "false", boolean, gateway},
		{"routing.http.response.server.enabled", "true", boolean, application},
	}
	for _, header := range []struct{ key, name string }{
		{"x_amzn_mtls_clientcert_serial_number", "X-Amzn-Mtls-Clientcert-Serial-Number"},
		{"x_amzn_mtls_clientcert_issuer", "X-Amzn-Mtls-Clientcert-Issuer"},
		{"x_amzn_mtls_clientcert_subject", "X-Amzn-Mtls-Clientcert-Subject"},
		{"x_amzn_mtls_clientcert_validity", "X-Amzn-Mtls-Clientcert-Validity"},
		{"x_amzn_mtls_clientcert_leaf", "X-Amzn-Mtls-Clientcert-Leaf"},
		{"x_amzn_mtls_clientcert", "X-Amzn-Mtls-Clientcert"},
		{"x_amzn_tls_version", "X-Amzn-Tls-Version"},
		{"x_amzn_tls_cipher_suite", "X-Amzn-Tls-Cipher-Suite"},
	} {
		rows = append(rows, attribute{"routing.http.request." + header.key + ".header_name", header.name, fieldName(), application})
	}
	for _, header := range []struct {
		key   string
		takes values
	}{
		{"strict_transport_security", value},
		{"access_control_allow_origin", value},
		{"access_control_allow_methods", value},
		{"access_control_allow_headers", value},
		{"access_control_allow_credentials", oneOf("true", "false", "")},
		{"access_control_expose_headers", value},
		{"access_control_max_age", between(0, 86400, "")},
		{"content_security_policy", value},
		{"x_content_type_options", oneOf("nosniff", "")},
		{"x_frame_options", value},
	} {
		rows = append(rows, attribute{"routing.http.response." + header.key + ".header_value", "", header.takes, application})
	}
	return rows
}
