// Package configuration reads the file of `hale balance`: load balancers, their
// listeners and rules, target groups and certificates, with ELB's names as in
// the ELBv2 API and in CloudFormation, and names in place of ARNs. A File is what
// one says; File.Apply makes an inventory be as it says, as a difference.
//
// The structs below are the only place where a key is named: the reader, the
// JSON schema and the tables of docs/balance.md are made from their tags and
// comments (see package yamlfile).
package configuration

import (
	"fmt"
	"path/filepath"

	"hale/internal/balancer/inventory"
	"hale/internal/elb"
	"hale/internal/yamlfile"
)

//go:generate go run hale/internal/config/reference/write balance

// File is a whole file, with defaults filled in. File names in it are absolute or
// relative to the working directory; in the file they are relative to the
// directory of the file itself.
type File struct {
	// Name is where the configuration was read from; empty for none.
	Name string `yaml:"-" json:"-" jsonschema:"-"`

	// Region in ARNs, in the names of zones and in signatures.
	Region string `yaml:"Region" jsonschema:"default=us-east-1"`
	// Account in ARNs, 12 digits.
	Account Account `yaml:"Account" jsonschema:"default=000000000000"`
	// Address of the ELBv2 API. Anything but loopback needs Credentials.
	API yamlfile.Address `yaml:"API,off" jsonschema:"default=127.0.0.1:8087"`
	// Address of a page to look at, of metrics for Prometheus and of /health, the balancer's own. Keep it on loopback or on a private network.
	Admin yamlfile.Address `yaml:"Admin,off"`
	// Keys that requests to the API must be signed with. Without any, whoever reaches the API may use it.
	Credentials []Credential `yaml:"Credentials"`
	// Where a line for each request goes, in ALB's form: a file, stdout, stderr or off.
	AccessLog yamlfile.LogTarget `yaml:"AccessLog,off"`
	// Directory that keeps what there is through restarts; one that is not there is made. off keeps nothing: what the API made is gone after a restart. Absent: systemd's $STATE_DIRECTORY, else /var/lib/hale/balance for root and ~/.local/state/hale/balance for others.
	StateDirectory StateDirectory `yaml:"StateDirectory"`

	// Certificates that listeners can name.
	Certificates []Certificate `yaml:"Certificates"`
	// Groups of targets that requests are sent to.
	TargetGroups []TargetGroup `yaml:"TargetGroups"`
	// Load balancers with their listeners and rules.
	LoadBalancers []LoadBalancer `yaml:"LoadBalancers"`

	// How instances are started.
	LaunchTemplates []LaunchTemplate `yaml:"LaunchTemplates"`
	// Groups of instances that are kept running.
	AutoScalingGroups []AutoScalingGroup `yaml:"AutoScalingGroups"`
}

// Default returns what holds without a file.
func Default() *File {
	f := new(File)
	yamlfile.SetDefaults(f)
	return f
}

// Account is the number of an account.
type Account string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Account) UnmarshalText(b []byte) error {
	if len(b) != 12 || !yamlfile.IsDigits(string(b)) {
		return yamlfile.ValueError(`is not 12 digits; write them in quotes, as "000000000000"`)
	}
	*a = Account(b)
	return nil
}

// StateDirectory is where the state is kept: a directory, StateOff, or empty for
// the usual one.
type StateDirectory string

// StateOff keeps nothing.
const StateOff StateDirectory = "off"

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *StateDirectory) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return yamlfile.ValueError("names no directory; write one, or off")
	}
	*d = StateDirectory(b)
	return nil
}

// Credential is a pair of keys that requests to the API are signed with.
type Credential struct {
	// The access key's ID, which is no secret.
	AccessKeyID string `yaml:"AccessKeyId" jsonschema:"required"`
	// The secret access key. Write the name of a variable, ${NAME}, not the key itself.
	SecretAccessKey Secret `yaml:"SecretAccessKey" jsonschema:"required"`
}

// Secret is a text that is never shown.
type Secret string

// Secret implements yamlfile.Secret.
func (*Secret) Secret() {}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return yamlfile.ValueError("is empty; write ${NAME} and set the variable")
	}
	*s = Secret(b)
	return nil
}

// Certificate is one that listeners can name, from files or obtained by ACME.
type Certificate struct {
	// Name of the certificate. Its ARN is arn:aws:acm:REGION:ACCOUNT:certificate/NAME.
	Name CertificateName `yaml:"Name" jsonschema:"required"`
	// File with the certificate, and the chain after it, in PEM. It is read again when it changes.
	CertificateFile string `yaml:"CertificateFile"`
	// File with its private key, in PEM.
	PrivateKeyFile string `yaml:"PrivateKeyFile"`
	// Names to obtain the certificate for by ACME, in place of files. They have to lead to this machine, and a TLS listener of it has to be reached on port 443 from outside (challenge tls-alpn-01).
	DomainNames []string `yaml:"DomainNames"`
	// Address that the authority may write to.
	Email string `yaml:"Email"`
	// Directory where obtained certificates are kept; absent: acme in the state directory.
	CacheDirectory string `yaml:"CacheDirectory"`
	// Where the authority's ACME directory is; absent: Let's Encrypt's.
	DirectoryURL string `yaml:"DirectoryUrl"`
}

// CertificateName is the name of a certificate, the last part of its ARN.
type CertificateName string

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *CertificateName) UnmarshalText(b []byte) error {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return yamlfile.ValueError("is no name of a certificate; write letters, digits, . - and _ alone")
		}
	}
	if len(b) == 0 || len(b) > 100 {
		return yamlfile.ValueError("is no name of a certificate; write 1 to 100 letters, digits, . - and _")
	}
	*n = CertificateName(b)
	return nil
}

// ACME tells whether the certificate is to be obtained.
func (c *Certificate) ACME() bool { return len(c.DomainNames) > 0 }

// ARN returns a certificate's ARN.
func (f *File) ARN(c CertificateName) string {
	return fmt.Sprintf("arn:aws:acm:%s:%s:certificate/%s", f.Region, f.Account, c)
}

// CertificateSources returns where the file's certificates come from, with names of
// files that hold in every working directory.
func (f *File) CertificateSources() ([]inventory.CertificateSource, error) {
	var all []inventory.CertificateSource
	for i := range f.Certificates {
		c := &f.Certificates[i]
		source := inventory.CertificateSource{
			ARN: f.ARN(c.Name), CertificateFile: c.CertificateFile, PrivateKeyFile: c.PrivateKeyFile,
			DomainNames: c.DomainNames, Email: c.Email, CacheDirectory: c.CacheDirectory, DirectoryURL: c.DirectoryURL,
		}
		for _, name := range []*string{&source.CertificateFile, &source.PrivateKeyFile, &source.CacheDirectory} {
			if *name == "" {
				continue
			}
			var err error
			if *name, err = filepath.Abs(*name); err != nil {
				return nil, fmt.Errorf("certificate %s: %w", c.Name, err)
			}
		}
		all = append(all, source)
	}
	return all, nil
}

// Place returns where the file says that it is. It knows no instance.
func (f *File) Place() inventory.Place {
	known := make(map[string]bool)
	for _, c := range f.Certificates {
		known[f.ARN(c.Name)] = true
	}
	return inventory.Place{Region: f.Region, Account: string(f.Account), HasCertificate: func(arn string) bool { return known[arn] }}
}

// TargetGroup is a target group (ELBv2 API, CreateTargetGroup).
type TargetGroup struct {
	// Name, unlike that of any other group. Rules and listeners name it by this.
	Name string `yaml:"Name" json:",omitempty" jsonschema:"required"`
	// What targets are spoken to with.
	Protocol elb.Protocol `yaml:"Protocol" json:",omitempty" jsonschema:"required,enum=HTTP,enum=HTTPS,enum=TCP,enum=TLS"`
	// Version of HTTP; absent: HTTP1. HTTP2 and GRPC take an HTTPS listener.
	ProtocolVersion elb.Version `yaml:"ProtocolVersion" json:",omitempty" jsonschema:"enum=HTTP1,enum=HTTP2,enum=GRPC"`
	// Port of targets that name none.
	Port int `yaml:"Port" json:",omitempty" jsonschema:"required,minimum=1,maximum=65535"`
	// What targets are: ip, addresses; or instance, processes that the balancer starts.
	TargetType elb.TargetType `yaml:"TargetType" json:",omitempty" jsonschema:"enum=instance,enum=ip,default=instance"`
	// Kind of the targets' addresses.
	IPAddressType string `yaml:"IpAddressType" json:",omitempty" jsonschema:"enum=ipv4,enum=ipv6,default=ipv4"`
	// Kept and told; there are no VPCs on one machine.
	VpcID string `yaml:"VpcId" json:",omitempty"`

	// What the health check speaks; absent: HTTP for HTTP and HTTPS groups, else TCP.
	HealthCheckProtocol elb.Protocol `yaml:"HealthCheckProtocol" json:",omitempty" jsonschema:"enum=HTTP,enum=HTTPS,enum=TCP"`
	// Port of the health check; traffic-port is the one that the target takes traffic on.
	HealthCheckPort CheckPort `yaml:"HealthCheckPort" json:",omitempty" jsonschema:"default=traffic-port"`
	// Path of the health check; absent: /, for GRPC /AWS.ALB/healthcheck.
	HealthCheckPath string `yaml:"HealthCheckPath" json:",omitempty"`
	// Seconds from one probe to the next, 5 to 300; absent: 30.
	HealthCheckIntervalSeconds int `yaml:"HealthCheckIntervalSeconds" json:",omitempty" jsonschema:"minimum=5,maximum=300"`
	// Seconds that a probe may take, 2 to 120; absent: 5, for TCP and TLS groups 10 (6 with an HTTP check).
	HealthCheckTimeoutSeconds int `yaml:"HealthCheckTimeoutSeconds" json:",omitempty" jsonschema:"minimum=2,maximum=120"`
	// Passes in a row that make an unhealthy target healthy, 2 to 10; absent: 5.
	HealthyThresholdCount int `yaml:"HealthyThresholdCount" json:",omitempty" jsonschema:"minimum=2,maximum=10"`
	// Failures in a row that make a target unhealthy, 2 to 10; absent: 2.
	UnhealthyThresholdCount int `yaml:"UnhealthyThresholdCount" json:",omitempty" jsonschema:"minimum=2,maximum=10"`
	// Codes of an answer that passes.
	Matcher Matcher `yaml:"Matcher" json:",omitzero"`

	// Attributes of the group by their keys, such as deregistration_delay.timeout_seconds: 60.
	Attributes map[string]string `yaml:"Attributes" json:",omitempty"`
	// Tags by their keys.
	Tags map[string]string `yaml:"Tags" json:",omitempty"`
	// Targets that are registered. Others, that the API registered, stay.
	Targets []Target `yaml:"Targets" json:"-"`
}

// CheckPort is the port of a health check; 0 is the traffic port.
type CheckPort int

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *CheckPort) UnmarshalText(b []byte) error {
	if string(b) == "traffic-port" {
		*p = 0
		return nil
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 65535 {
			n = 0
			break
		}
		n = n*10 + int(c-'0')
	}
	if n < 1 || n > 65535 {
		return yamlfile.ValueError("is no port; write traffic-port, or a number from 1 to 65535")
	}
	*p = CheckPort(n)
	return nil
}

// Matcher is the codes of an answer that passes, as 200,202 or 200-299.
type Matcher struct {
	// Status codes of HTTP; absent: 200, for TCP and TLS groups 200-399.
	HTTPCode string `yaml:"HttpCode" json:",omitempty"`
	// Status codes of gRPC; absent: 12.
	GRPCCode string `yaml:"GrpcCode" json:",omitempty"`
}

// Target is one that is registered with a group.
type Target struct {
	// IP address, or ID of an instance.
	ID string `yaml:"Id" jsonschema:"required"`
	// Port; absent: the group's.
	Port int `yaml:"Port" jsonschema:"minimum=1,maximum=65535"`
	// Zone, such as us-east-1a, or all; absent: that of no zone in particular.
	AvailabilityZone string `yaml:"AvailabilityZone"`
}

// LoadBalancer is a load balancer (ELBv2 API, CreateLoadBalancer).
type LoadBalancer struct {
	// Name, unlike that of any other load balancer.
	Name string `yaml:"Name" json:",omitempty" jsonschema:"required"`
	// application for HTTP and HTTPS, network for TCP and TLS, classic for all of them with one target group and no rules.
	Type elb.Balancer `yaml:"Type" json:",omitempty" jsonschema:"enum=application,enum=network,enum=classic,default=application"`
	// Where listeners listen: internal on loopback alone, internet-facing on all addresses of the machine. A SubnetMapping's address comes before both.
	Scheme inventory.Scheme `yaml:"Scheme" json:",omitempty" jsonschema:"enum=internet-facing,enum=internal,default=internet-facing"`
	// Kind of the addresses that listeners listen on.
	IPAddressType string `yaml:"IpAddressType" json:",omitempty" jsonschema:"enum=ipv4,enum=dualstack,default=ipv4"`
	// Subnets, one for each zone; the last letter names the zone, as in subnet-b. Absent: subnet-a.
	Subnets []string `yaml:"Subnets" json:",omitempty"`
	// Subnets with an address to listen on, in place of Subnets.
	SubnetMappings []SubnetMapping `yaml:"SubnetMappings" json:",omitempty"`
	// Kept and told; nothing is filtered on one machine.
	SecurityGroups []string `yaml:"SecurityGroups" json:",omitempty"`
	// Attributes of the load balancer by their keys, such as idle_timeout.timeout_seconds: 60.
	Attributes map[string]string `yaml:"Attributes" json:",omitempty"`
	// Tags by their keys.
	Tags map[string]string `yaml:"Tags" json:",omitempty"`
	// Ports that it listens on.
	Listeners []Listener `yaml:"Listeners" json:"-"`
}

// SubnetMapping is a subnet with an address.
type SubnetMapping struct {
	// ID of the subnet; its last letter names the zone, as in subnet-b.
	SubnetID string `yaml:"SubnetId" json:",omitempty" jsonschema:"required"`
	// Address of this machine that listeners listen on.
	PrivateIPv4Address string `yaml:"PrivateIPv4Address" json:",omitempty"`
}

// Listener takes connections on a port (ELBv2 API, CreateListener).
type Listener struct {
	// HTTP or HTTPS for application load balancers, TCP or TLS for network ones, any of these for classic ones.
	Protocol elb.Protocol `yaml:"Protocol" json:",omitempty" jsonschema:"required,enum=HTTP,enum=HTTPS,enum=TCP,enum=TLS"`
	// Port, unlike that of any other listener of the load balancer.
	Port int `yaml:"Port" json:"-" jsonschema:"required,minimum=1,maximum=65535"`
	// Versions and ciphers of TLS, by the name of the policy; absent: ELBSecurityPolicy-2016-08.
	SslPolicy string `yaml:"SslPolicy" json:",omitempty"`
	// Names of certificates; the first is for clients that name no host, or one that none is for.
	Certificates []string `yaml:"Certificates" json:",omitempty"`
	// ALPN policy of a TLS listener, one of HTTP1Only, HTTP2Only, HTTP2Optional, HTTP2Preferred and None.
	AlpnPolicy []string `yaml:"AlpnPolicy" json:",omitempty"`
	// What is done with requests that no rule matches.
	DefaultActions []Action `yaml:"DefaultActions" json:",omitempty" jsonschema:"required"`
	// Attributes of the listener by their keys.
	Attributes map[string]string `yaml:"Attributes" json:",omitempty"`
	// Tags by their keys.
	Tags map[string]string `yaml:"Tags" json:",omitempty"`
	// Rules, of which the first by priority that matches says what is done.
	Rules []Rule `yaml:"Rules" json:"-"`
}

// Rule is a rule of a listener (ELBv2 API, CreateRule).
type Rule struct {
	// Place among the listener's rules, 1 to 50000, the lowest first; unlike that of any other of them.
	Priority int `yaml:"Priority" json:"-" jsonschema:"required,minimum=1,maximum=50000"`
	// What a request must fulfil, all of it.
	Conditions []Condition `yaml:"Conditions" json:",omitempty" jsonschema:"required"`
	// What is done with a request that does.
	Actions []Action `yaml:"Actions" json:",omitempty" jsonschema:"required"`
	// What is changed of a request that is forwarded.
	Transforms []Transform `yaml:"Transforms" json:",omitempty"`
	// Tags by their keys.
	Tags map[string]string `yaml:"Tags" json:",omitempty"`
}

// Condition is a condition of a rule (ELBv2 API, RuleCondition). Its values are in
// Values, or in the section of its field.
type Condition struct {
	// What is looked at.
	Field string `yaml:"Field" json:",omitempty" jsonschema:"required,enum=host-header,enum=path-pattern,enum=http-header,enum=http-request-method,enum=query-string,enum=source-ip"`
	// Values of host-header and path-pattern, with * and ? as wildcards; one that matches is enough.
	Values []string `yaml:"Values" json:",omitempty"`
	// Regular expressions in place of Values.
	RegexValues []string `yaml:"RegexValues" json:",omitempty"`
	// Values of host-header.
	HostHeaderConfig *Values `yaml:"HostHeaderConfig" json:",omitempty"`
	// Values of path-pattern.
	PathPatternConfig *Values `yaml:"PathPatternConfig" json:",omitempty"`
	// Name and values of http-header.
	HTTPHeaderConfig *HeaderValues `yaml:"HttpHeaderConfig" json:",omitempty"`
	// Values of http-request-method.
	HTTPRequestMethodConfig *PlainValues `yaml:"HttpRequestMethodConfig" json:",omitempty"`
	// Values of query-string.
	QueryStringConfig *QueryValues `yaml:"QueryStringConfig" json:",omitempty"`
	// Networks of source-ip.
	SourceIPConfig *PlainValues `yaml:"SourceIpConfig" json:",omitempty"`
}

// Values are what is compared with.
type Values struct {
	// Values, with * and ? as wildcards; one that matches is enough.
	Values []string `yaml:"Values" json:",omitempty"`
	// Regular expressions in place of Values.
	RegexValues []string `yaml:"RegexValues" json:",omitempty"`
}

// HeaderValues are values of a header field.
type HeaderValues struct {
	// Name of the header field.
	HTTPHeaderName string `yaml:"HttpHeaderName" json:",omitempty" jsonschema:"required"`
	// Values, with * and ? as wildcards; one that matches is enough.
	Values []string `yaml:"Values" json:",omitempty"`
	// Regular expressions in place of Values.
	RegexValues []string `yaml:"RegexValues" json:",omitempty"`
}

// PlainValues are values without wildcards.
type PlainValues struct {
	// Values; one that matches is enough.
	Values []string `yaml:"Values" json:",omitempty" jsonschema:"required"`
}

// QueryValues are parameters of a query.
type QueryValues struct {
	// Parameters; one that matches is enough.
	Values []KeyValue `yaml:"Values" json:",omitempty" jsonschema:"required"`
}

// KeyValue is a parameter of a query.
type KeyValue struct {
	// Name of the parameter; absent: any.
	Key string `yaml:"Key" json:",omitempty"`
	// Value, with * and ? as wildcards.
	Value string `yaml:"Value" json:",omitempty" jsonschema:"required"`
}

// Action is what is done with a request (ELBv2 API, Action).
type Action struct {
	// forward, redirect or fixed-response.
	Type string `yaml:"Type" json:",omitempty" jsonschema:"required,enum=forward,enum=redirect,enum=fixed-response"`
	// Place among several actions.
	Order int `yaml:"Order" json:",omitempty" jsonschema:"minimum=1,maximum=50000"`
	// Name of the target group that is forwarded to, in place of ForwardConfig.
	TargetGroup string `yaml:"TargetGroup" json:",omitempty"`
	// Target groups that are forwarded to, with their weights.
	ForwardConfig *ForwardConfig `yaml:"ForwardConfig" json:",omitempty"`
	// Where a redirect leads.
	RedirectConfig *RedirectConfig `yaml:"RedirectConfig" json:",omitempty"`
	// The answer of a fixed-response.
	FixedResponseConfig *FixedResponseConfig `yaml:"FixedResponseConfig" json:",omitempty"`
}

// ForwardConfig is where a forward goes.
type ForwardConfig struct {
	// Target groups, five at most.
	TargetGroups []WeightedGroup `yaml:"TargetGroups" json:",omitempty" jsonschema:"required"`
	// Whether a client stays with the group that it was sent to first.
	TargetGroupStickinessConfig GroupStickiness `yaml:"TargetGroupStickinessConfig" json:",omitzero"`
}

// WeightedGroup is a target group and its weight.
type WeightedGroup struct {
	// Name of the target group.
	TargetGroup string `yaml:"TargetGroup" json:",omitempty" jsonschema:"required"`
	// Its share of the requests, among the weights of all.
	Weight int `yaml:"Weight" jsonschema:"default=1,minimum=0,maximum=999"`
}

// GroupStickiness keeps a client at a target group.
type GroupStickiness struct {
	// Whether it does.
	Enabled bool `yaml:"Enabled" json:",omitempty"`
	// For how many seconds.
	DurationSeconds int `yaml:"DurationSeconds" json:",omitempty" jsonschema:"minimum=1,maximum=604800"`
}

// RedirectConfig is where a redirect leads. What is absent is as in the request.
type RedirectConfig struct {
	// HTTP, HTTPS or "#{protocol}".
	Protocol string `yaml:"Protocol" json:",omitempty"`
	// Host, which may have "#{host}" in it.
	Host string `yaml:"Host" json:",omitempty"`
	// Port, or "#{port}".
	Port string `yaml:"Port" json:",omitempty"`
	// Path, which may have #{host}, #{path} and #{port} in it.
	Path string `yaml:"Path" json:",omitempty"`
	// Query without its question mark, which may have #{query} in it.
	Query string `yaml:"Query" json:",omitempty"`
	// Status of the answer.
	StatusCode string `yaml:"StatusCode" json:",omitempty" jsonschema:"required,enum=HTTP_301,enum=HTTP_302"`
}

// FixedResponseConfig is an answer.
type FixedResponseConfig struct {
	// Status, 2xx, 4xx or 5xx.
	StatusCode string `yaml:"StatusCode" json:",omitempty" jsonschema:"required"`
	// Type of the body.
	ContentType string `yaml:"ContentType" json:",omitempty" jsonschema:"enum=text/plain,enum=text/css,enum=text/html,enum=application/javascript,enum=application/json"`
	// Body, 1024 bytes at most.
	MessageBody string `yaml:"MessageBody" json:",omitempty"`
}

// Transform changes a request that is forwarded (ELBv2 API, RuleTransform).
type Transform struct {
	// host-header-rewrite or url-rewrite.
	Type string `yaml:"Type" json:",omitempty" jsonschema:"required,enum=host-header-rewrite,enum=url-rewrite"`
	// How the host is rewritten.
	HostHeaderRewriteConfig *RewriteConfig `yaml:"HostHeaderRewriteConfig" json:",omitempty"`
	// How path and query are rewritten.
	URLRewriteConfig *RewriteConfig `yaml:"UrlRewriteConfig" json:",omitempty"`
}

// RewriteConfig says how something is rewritten.
type RewriteConfig struct {
	// Exactly one.
	Rewrites []Rewrite `yaml:"Rewrites" json:",omitempty" jsonschema:"required"`
}

// Rewrite replaces what a regular expression matches.
type Rewrite struct {
	// Regular expression.
	Regex string `yaml:"Regex" json:",omitempty" jsonschema:"required"`
	// What takes its place; $1 is what the first parentheses matched.
	Replace string `yaml:"Replace" json:",omitempty"`
}
