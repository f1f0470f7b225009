package doctor

import (
	"os"
	"strings"
	"testing"

	"hale/internal/machine"
)

// The variables of these lines are in nobody's environment.
func TestUnsetPortIn(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"node", "app.listen(process.env.SHOP_PORT, () => console.log('up'))", "SHOP_PORT"},
		{"node, in brackets", "server.listen({port: process.env['SHOP_PORT']})", "SHOP_PORT"},
		{"python", "serve(app, port=int(os.environ.get('SHOP_PORT') or 0))", "SHOP_PORT"},
		{"python, getenv", "app.run(port=os.getenv(\"SHOP_PORT\"))", "SHOP_PORT"},
		{"ruby", "Rack::Server.new(port: 1).serve(ENV['SHOP_PORT'])", "SHOP_PORT"},
		{"go", `http.ListenAndServe(":"+os.Getenv("SHOP_PORT"), mux)`, "SHOP_PORT"},
		{"any port where it is not set", "app.listen(process.env.SHOP_PORT || 0)", "SHOP_PORT"},
		{"another port where it is not set", "app.listen(process.env.SHOP_PORT || 3000)", ""},
		{"another port, as text", "app.listen(process.env.SHOP_PORT ?? '3000')", ""},
		{"another port, python", "serve(port=os.environ.get('SHOP_PORT', 8000))", ""},
		{"another port, ruby", "serve(ENV.fetch('SHOP_PORT') { 1 } || ENV['SHOP_HOST'] || '1')", "SHOP_PORT"},
		{"no port of its own", "const db = {port: process.env.SHOP_DB_PORT}", ""},
		{"any port, without a variable", "app.listen(0)", ""},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := unsetPortIn(machine.Process{PID: os.Getpid()}, "app", []string{"", test.line})
			if got.variable != test.want {
				t.Errorf("variable %q, want %q", got.variable, test.want)
			}
			if test.want != "" && (got.place != "app:2" || !strings.Contains(got.line, test.want)) {
				t.Errorf("place %q, line %q", got.place, got.line)
			}
		})
	}
}

// The code of a program is its command, or its script and what lies beside that,
// and not what else lies in the directory in which it was started.
func TestUnsetPort(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"other/other.js":  "app.listen(process.env.OTHER_PORT)\n",
		"shop/app.js":     "require('./server')\n",
		"shop/server.js":  "\nserver.listen(process.env.SHOP_PORT)\n",
		"shop/start.sh":   "exec serve(process.env.SHELL_PORT)\n",
		"guni/conf.py":    "serve(os.environ['SHOP_PORT'])\n",
		"fixed/app.js":    "app.listen()\n",
		"fixed/server.js": "app.listen(process.env.FIXED_PORT)\n",
		"only.sh/run.sh":  "serve(process.env.SHELL_PORT)\n",
	})
	tests := []struct {
		name            string
		dir             string
		args            []string
		variable, place string
	}{
		{"the command itself", "other", []string{"node", "-e", "token='s3cret'; listen(process.env.SHOP_PORT)"}, "SHOP_PORT", "its command"},
		{"beside the script", "other", []string{"node", dir + "/shop/app.js"}, "SHOP_PORT", dir + "/shop/server.js:2"},
		{"beside the script, named shortly", "shop", []string{"node", "app.js"}, "SHOP_PORT", dir + "/shop/server.js:2"},
		{"a script that listens for itself", "fixed", []string{"node", "app.js"}, "", ""},
		{"a script's own flag", "other", []string{"python3", "/usr/bin/gunicorn", "-c", dir + "/guni/conf.py"}, "SHOP_PORT", dir + "/guni/conf.py:1"},
		{"below the directory", "shop", []string{"shop"}, "SHOP_PORT", dir + "/shop/server.js:2"},
		{"a shell's script, below the directory", "only.sh", []string{"shop"}, "", ""},
		{"no code at all", "", []string{"shop"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := machine.Process{PID: os.Getpid(), Dir: dir + "/" + test.dir, Args: test.args}
			if test.dir == "" {
				p.Dir = ""
			}
			got := unsetPort(p)
			if got.variable != test.variable || got.place != test.place || strings.Contains(got.line, "s3cret") {
				t.Errorf("%+v, want %s at %q", got, test.variable, test.place)
			}
		})
	}
}
