package elbfake

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// other is an API besides ELBv2's. Its answers are made of what the aws command
// prints, which has the same facts in words of its own.
type other struct {
	name    string // in signatures
	version string // of its Query protocol; "" for ECS
	target  string // before the actions of ECS
	answer  func(w http.ResponseWriter, r *http.Request, action string, account *Account)
	fail    func(http.ResponseWriter, Failure)
}

// otherOf tells which one a request is for; nil: ELBv2.
func otherOf(r *http.Request) *other {
	for _, o := range []other{
		{name: "ec2", version: "2016-11-15", answer: computing, fail: failComputing},
		{name: "autoscaling", version: "2011-01-01", answer: scaling, fail: fail},
		{name: "ecs", target: "AmazonEC2ContainerServiceV20141113.", answer: containers, fail: failContainers},
	} {
		if o.version != "" && r.Form.Get("Version") == o.version || o.target != "" && strings.HasPrefix(r.Header.Get("X-Amz-Target"), o.target) {
			return &o
		}
	}
	return nil
}

// printed are the members of a list of all documents beside the account.
func (a *Account) printed(key string) []map[string]any {
	var all []map[string]any
	in := json.NewDecoder(strings.NewReader(a.Beside))
	for {
		var document map[string]any
		if err := in.Decode(&document); err == io.EOF {
			return all
		} else if err != nil {
			panic("elbfake: Beside: " + err.Error())
		}
		switch of := document[key].(type) {
		case []any:
			for _, one := range of {
				all = append(all, one.(map[string]any))
			}
		case map[string]any:
			all = append(all, of)
		}
	}
}

// filters are how EC2 finds what is asked for: by the fields of what it tells.
var filters = map[string]func(map[string]any) []string{
	"instance-id":                  valueOf("InstanceId"),
	"group-id":                     valueOf("GroupId"),
	"vpc-id":                       valueOf("VpcId"),
	"addresses.private-ip-address": valuesOf("PrivateIpAddresses", "PrivateIpAddress"),
	"ipv6-addresses.ipv6-address":  valuesOf("Ipv6Addresses", "Ipv6Address"),
}

func valueOf(name string) func(map[string]any) []string {
	return func(of map[string]any) []string {
		text, _ := of[name].(string)
		return []string{text}
	}
}

func valuesOf(list, name string) func(map[string]any) []string {
	return func(of map[string]any) (all []string) {
		members, _ := of[list].([]any)
		for _, one := range members {
			all = append(all, valueOf(name)(one.(map[string]any))...)
		}
		return all
	}
}

// computing answers for EC2 (API: DescribeInstances, DescribeNetworkInterfaces,
// DescribeSecurityGroups).
func computing(w http.ResponseWriter, r *http.Request, action string, account *Account) {
	var all []map[string]any
	var set string
	switch action {
	case "DescribeInstances":
		set = "reservationSet"
		for _, reservation := range account.printed("Reservations") {
			for _, instance := range reservation["Instances"].([]any) {
				all = append(all, instance.(map[string]any))
			}
		}
	case "DescribeNetworkInterfaces":
		set, all = "networkInterfaceSet", account.printed("NetworkInterfaces")
	case "DescribeSecurityGroups":
		set, all = "securityGroupInfo", account.printed("SecurityGroups")
	default:
		failComputing(w, Failure{Code: "InvalidAction", Message: "The action " + action + " is not valid for this web service."})
		return
	}
	for n := 1; r.Form.Has("Filter." + strconv.Itoa(n) + ".Name"); n++ {
		prefix := "Filter." + strconv.Itoa(n) + "."
		values, ok := filters[r.Form.Get(prefix+"Name")]
		if !ok {
			failComputing(w, Failure{Code: "InvalidParameterValue", Message: "The filter '" + r.Form.Get(prefix+"Name") + "' is invalid"})
			return
		}
		var wanted []string
		for i := 1; r.Form.Has(prefix + "Value." + strconv.Itoa(i)); i++ {
			wanted = append(wanted, r.Form.Get(prefix+"Value."+strconv.Itoa(i)))
		}
		all = filter(all, func(one map[string]any) bool {
			return slices.ContainsFunc(values(one), func(value string) bool { return slices.Contains(wanted, value) })
		})
	}
	part, next, failure := page(account, marked(r.Form.Get("NextToken")), all)
	if failure != nil {
		failComputing(w, *failure)
		return
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>%s</requestId><%s>`, action, requestID, set)
	for _, one := range part {
		b.WriteString("<item>")
		if action == "DescribeInstances" {
			b.WriteString("<reservationId>r-1234567890abcdef0</reservationId><instancesSet><item>")
			writeValue(&b, one, "item", nameOfComputing)
			b.WriteString("</item></instancesSet>")
		} else {
			writeValue(&b, one, "item", nameOfComputing)
		}
		b.WriteString("</item>")
	}
	fmt.Fprintf(&b, "</%s>", set)
	if next != nil {
		fmt.Fprintf(&b, "<nextToken>%s</nextToken>", *next)
	}
	fmt.Fprintf(&b, "</%sResponse>", action)
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Write(b.Bytes())
}

// nameOfComputing is how EC2's answers call what the command prints: most names
// begin with a small letter, and some lists have names of their own.
func nameOfComputing(printed string) string {
	switch printed {
	case "SecurityGroups", "Groups":
		return "groupSet"
	case "UserIdGroupPairs":
		return "groups"
	case "PrivateIpAddresses":
		return "privateIpAddressesSet"
	case "Ipv6Addresses":
		return "ipv6AddressesSet"
	}
	return string(unicode.ToLower(rune(printed[0]))) + printed[1:]
}

func failComputing(w http.ResponseWriter, f Failure) {
	if f.Body == "" {
		f.Body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>" + f.Code + "</Code><Message>" + escaped(f.Message) + "</Message></Error></Errors><RequestID>" + requestID + "</RequestID></Response>"
	}
	fail(w, f)
}

// scaling answers for Auto Scaling (API: DescribeAutoScalingGroups).
func scaling(w http.ResponseWriter, r *http.Request, action string, account *Account) {
	if action != "DescribeAutoScalingGroups" {
		fail(w, Failure{Code: "InvalidAction", Message: fmt.Sprintf("Could not find operation %s for version 2011-01-01", action)})
		return
	}
	if most, err := strconv.Atoi(r.Form.Get("MaxRecords")); r.Form.Has("MaxRecords") && (err != nil || most < 1 || most > 100) {
		fail(w, Failure{Code: "ValidationError", Message: "MaxRecords must be between 1 and 100"})
		return
	}
	part, next, failure := page(account, marked(r.Form.Get("NextToken")), account.printed("AutoScalingGroups"))
	if failure != nil {
		fail(w, *failure)
		return
	}
	var b bytes.Buffer
	b.WriteString(`<DescribeAutoScalingGroupsResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeAutoScalingGroupsResult><AutoScalingGroups>`)
	for _, one := range part {
		b.WriteString("<member>")
		writeValue(&b, one, "member", func(name string) string { return name })
		b.WriteString("</member>")
	}
	b.WriteString("</AutoScalingGroups>")
	if next != nil {
		fmt.Fprintf(&b, "<NextToken>%s</NextToken>", *next)
	}
	fmt.Fprintf(&b, "</DescribeAutoScalingGroupsResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></DescribeAutoScalingGroupsResponse>", requestID)
	w.Header().Set("Content-Type", "text/xml")
	w.Write(b.Bytes())
}

// writeValue writes what was printed as elements; each member of a list is one.
func writeValue(b *bytes.Buffer, of any, member string, name func(string) string) {
	switch of := of.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(of)) {
			fmt.Fprintf(b, "<%s>", name(key))
			writeValue(b, of[key], member, name)
			fmt.Fprintf(b, "</%s>", name(key))
		}
	case []any:
		for _, one := range of {
			fmt.Fprintf(b, "<%s>", member)
			writeValue(b, one, member, name)
			fmt.Fprintf(b, "</%s>", member)
		}
	default:
		b.WriteString(escaped(fmt.Sprint(of)))
	}
}

func escaped(text string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(text))
	return b.String()
}

// marked is a form as page takes it.
func marked(token string) url.Values { return url.Values{"Marker": {token}} }

// containers answers for ECS (API: ListClusters, ListServices, DescribeServices,
// DescribeTaskDefinition). A service without a clusterArn is in the cluster
// "default".
func containers(w http.ResponseWriter, r *http.Request, action string, account *Account) {
	var asked struct {
		Cluster  string   `json:"cluster"`
		Services []string `json:"services"`
		Task     string   `json:"taskDefinition"`
		Next     string   `json:"nextToken"`
		Most     int      `json:"maxResults"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		failContainers(w, Failure{Code: "SerializationException", Message: err.Error()})
		return
	}
	if asked.Most < 0 || asked.Most > 100 || len(asked.Services) > 10 {
		failContainers(w, Failure{Code: "InvalidParameterException", Message: "too many at once"})
		return
	}
	prefix := "arn:aws:ecs:eu-west-1:123456789012:"
	clusterOf := func(service map[string]any) string {
		if arn, ok := service["clusterArn"].(string); ok {
			return arn
		}
		return prefix + "cluster/default"
	}
	arnOf := func(service map[string]any) string {
		if arn, ok := service["serviceArn"].(string); ok {
			return arn
		}
		return prefix + "service/default/" + service["serviceName"].(string)
	}
	services := account.printed("services")
	list := func(key string, all []string) {
		part, next, failure := page(account, marked(asked.Next), all)
		if failure != nil {
			failContainers(w, *failure)
			return
		}
		answer := map[string]any{key: slices.Concat([]string{}, part)}
		if next != nil {
			answer["nextToken"] = *next
		}
		say(w, answer)
	}
	var arns []string
	switch action {
	case "ListClusters":
		for _, s := range services {
			if cluster := clusterOf(s); !slices.Contains(arns, cluster) {
				arns = append(arns, cluster)
			}
		}
		list("clusterArns", arns)
	case "ListServices":
		for _, s := range services {
			if clusterOf(s) == asked.Cluster {
				arns = append(arns, arnOf(s))
			}
		}
		list("serviceArns", arns)
	case "DescribeServices":
		found := filter(services, func(s map[string]any) bool {
			return clusterOf(s) == asked.Cluster && slices.ContainsFunc(asked.Services, func(name string) bool { return name == arnOf(s) || name == s["serviceName"] })
		})
		say(w, map[string]any{"services": slices.Concat([]map[string]any{}, found), "failures": []any{}})
	case "DescribeTaskDefinition":
		for _, task := range account.printed("taskDefinition") {
			if asked.Task == task["taskDefinitionArn"] || asked.Task == fmt.Sprintf("%s:%v", task["family"], task["revision"]) {
				say(w, map[string]any{"taskDefinition": task, "tags": []any{}})
				return
			}
		}
		failContainers(w, Failure{Code: "ClientException", Message: "Unable to describe task definition."})
	default:
		failContainers(w, Failure{Code: "UnknownOperationException"})
	}
}

func say(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(answer)
}

func failContainers(w http.ResponseWriter, f Failure) {
	if f.Body == "" {
		body, err := json.Marshal(map[string]string{"__type": f.Code, "message": f.Message})
		if err != nil {
			panic(err)
		}
		f.Body = string(body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	}
	fail(w, f)
}
