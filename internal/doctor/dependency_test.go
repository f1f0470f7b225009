package doctor

import "testing"

func TestDependencyIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"libpq", `psycopg2.OperationalError: connection to server at "10.0.3.9", port 5432 failed: Connection refused`, "10.0.3.9:5432"},
		{"libpq, a name", `connection to server at "db.internal" (10.0.3.9), port 5432 failed: timeout expired`, "db.internal:5432"},
		{"libpq, version 6 of IP", `connection to server at "::1", port 5432 failed: Connection refused`, "[::1]:5432"},
		{"libpq before 14", "could not connect to server: Connection refused\n\tIs the server running on host \"db\" (10.0.3.9) and accepting\n\tTCP/IP connections on port 5432?", "db:5432"},
		{"libpq, no such name", `could not translate host name "db.internal" to address: Name or service not known`, "db.internal"},
		{"in a page", `connection to server at &quot;10.0.3.9&quot;, port 5432 failed`, "10.0.3.9:5432"},
		{"in JSON", `{"error": "connection to server at \"10.0.3.9\", port 5432 failed"}`, "10.0.3.9:5432"},
		{"in JSON within JSON", `{"error": "{\"db\": \"connection to server at \\\"10.0.3.9\\\", port 5432 failed\"}"}`, "10.0.3.9:5432"},
		{"MySQL in JSON", `{"error": "Can\u0027t connect to MySQL server on \u002710.0.3.9:3306\u0027 (111)"}`, "10.0.3.9:3306"},
		{"MySQL", `(2003, "Can't connect to MySQL server on '10.0.3.9:3306' (111)")`, "10.0.3.9:3306"},
		{"MySQL, without a port", `(2002, "Can't connect to server on 'db' (115)")`, "db"},
		{"redis-py", `redis.exceptions.ConnectionError: Error 111 connecting to 10.0.3.8:6379. Connection refused.`, "10.0.3.8:6379"},
		{"the kernel", `to 10.0.3.9:5432, without an answer (SYN-SENT) at 9 of 9 looks`, "10.0.3.9:5432"},
		{"the kernel, version 6 of IP", `to [fd00::9]:5432, without an answer (SYN-SENT) at 9 of 9 looks`, "[fd00::9]:5432"},
		{"Node.js", `Error: connect ECONNREFUSED 10.0.3.9:5432`, "10.0.3.9:5432"},
		{"Node.js, version 6 of IP", `Error: connect ECONNREFUSED ::1:5432`, "[::1]:5432"},
		{"Node.js, no such name", `Error: getaddrinfo ENOTFOUND db.internal`, "db.internal"},
		{"nothing", `ZeroDivisionError: division by zero`, ""},
	} {
		if got := dependencyIn(test.text); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestIsOwn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"": true, "localhost": true, "localhost:6379": true, "127.0.0.1:5432": true, "[::1]:5432": true,
		"10.0.3.9:5432": false, "db.internal:5432": false, "db": false,
	} {
		if got := isOwn(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
