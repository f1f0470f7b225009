package supervise_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hale/internal/supervise"
)

// nothing is an environment without variables.
func nothing(string) string { return "" }

// read returns what a text sets, as NAME=value in order.
func read(t *testing.T, text string, lookup func(string) string) []string {
	t.Helper()
	variables, err := supervise.ParseEnv("app.env", []byte(text), lookup)
	if err != nil {
		t.Fatalf("ParseEnv: %v", err)
	}
	var got []string
	for _, v := range variables {
		got = append(got, v.Name+"="+v.Value)
	}
	return got
}

// asShell are files that are read as /bin/sh sources them.
var asShell = []struct{ name, text string }{
	{"plain", "A=1\nB=two\n"},
	{"empty", "A=\nB=''\nC=\"\"\n"},
	{"no newline at the end", "A=1"},
	{"comments and blank lines", "# one\n\n   # two\nA=1 # three\n\t\nB=a#b\n"},
	{"export", "export A=1\nexport B='2' C=3\nexport A\nexport A B\n"},
	{"several on a line", "A=1 B=2\tC=3\n"},
	{"leading blanks", "   A=1\n\tB=2\n"},
	{"single quotes", `A='a $HOME "b" \n #c ;|&'` + "\n"},
	{"double quotes", `A="a 'b' #c ;|& \$x \" \\ \` + "`" + ` \n"` + "\n"},
	{"quotes side by side", `A=a'b'"c"d` + "\n"},
	{"several lines", "A='1\n2\n3'\nB=\"1\n2\"\nC=x\n"},
	{"a backslash at the end of a line", "A=1\\\n2\nB=\"1\\\n2\"\nC='1\\\n2'\nD=3\\\n\nE=4\n"},
	{"a backslash before anything", `A=a\ b\#c\$d\"e\'f\\g\;h\|i` + "\n"},
	{"dollar", "X=1\nA=$X\nB=${X}y\nC=\"$X-${X}\"\nD='$X'\nE=a$\nF=\"$\"\nG=$.x\nH=\"a$ b\"\nI=$X$X\n"},
	{"unset is empty", "A=[$NEVER_SET]\nB=\"${NEVER_SET}\"\n"},
	{"from the environment", "A=$OUTER/bin:$PATH\n"},
	{"set again", "A=1\nA=${A}2\nB=$A\n"},
	{"same line", "A=1 B=$A\n"},
	{"values of variables are not read again", `X='$OUTER "q" \\'` + "\nA=$X\nB=\"$X\"\n"},
	{"blanks of variables stay", "X='a  b'\nA=$X\n"},
	{"home", "A=~\nB=~/x\nC=a~\nD=x:~/y:~\nE=\"~\"\nF='~'\nG=\\~\nH=~:z\n"},
	{"equals signs", "A==\nB=a=b=c\nC===\n"},
	{"stars are no files here", "A=*\nB=/etc/*\nC=[ab]?\n"},
	{"URL", "DATABASE_URL=postgres://u:p@h:5432/db?sslmode=require\n"},
	{"braces", "A={a,b}\nB={}\n"},
	{"other characters", "A=ä€\nB=%+,-./:@^_!\n"},
	{"names", "_=x\n_A1=y\na=z\nA_=w\n"},
	{"JSON in single quotes", `A='{"a": [1, 2], "b": "c"}'` + "\n"},
	{"a tab in a value", "A='a\tb'\n"},
}

func TestParseEnvReadsAsTheShellDoes(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	outer := []string{"OUTER=out  er", "HOME=/home/someone", "PATH=/usr/bin:/bin"}
	for _, tt := range asShell {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "app.env")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), sh, "-c", `set -a; . "$0"; exec env -0`, file)
			cmd.Env = outer
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("sh: %v", err)
			}
			want := environ(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
			env, err := supervise.LoadEnv(file, outer)
			if err != nil {
				t.Fatalf("LoadEnv: %v", err)
			}
			got := environ(env)
			if !slices.Equal(got, want) {
				t.Errorf("read %q\n  as %q\nsh as %q", tt.text, got, want)
			}
		})
	}
}

// environ sorts an environment, without what a shell adds of its own.
func environ(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "PWD" || name == "OLDPWD" || name == "SHLVL" || name == "_"
	})
	slices.Sort(env)
	return env
}

func TestParseEnvReadsSystemdFiles(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"bare values with blanks", "OPTIONS=-a --b c\n", []string{"OPTIONS=-a --b c"}},
		{"an option with an equals sign", "JAVA_OPTS=-Xmx1g -Dfoo=bar  -Dx=y \n", []string{"JAVA_OPTS=-Xmx1g -Dfoo=bar  -Dx=y"}},
		{"quotes within", `OPTIONS=-a "b c" 'd'` + "\n", []string{"OPTIONS=-a b c d"}},
		{"over several lines", "OPTIONS=-a \\\n  -b\nB=2\n", []string{"OPTIONS=-a   -b", "B=2"}},
		{"semicolon comment", "; systemd\nA=1\n", []string{"A=1"}},
		{"CR LF", "A=1\r\nB='x y'\r\n", []string{"A=1", "B=x y"}},
		{"byte order mark", "\xEF\xBB\xBFA=1\n", []string{"A=1"}},
		{"blanks after the equals sign", "A= 1 2\n", []string{"A=1 2"}},
		{"an empty variable between blanks", "A=1 $NONE 2 $NONE\n", []string{"A=1 2"}},
		{"trailing blanks", "A=1  \t\n", []string{"A=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := read(t, tt.text, nothing); !slices.Equal(got, tt.want) {
				t.Errorf("read %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseEnvRefusesWhatNeedsAShell(t *testing.T) {
	const secret = "s3cr3t"
	for _, tt := range []struct {
		name, text string
		want       []string // each "LINE: part of the message"
	}{
		{"command substitution", "A=1\nB=$(cat /x" + secret + ")\n", []string{"2: $(...) needs a shell"}},
		{"in double quotes", "A=\"x$(id " + secret + ")\"\n", []string{"1: $(...) needs a shell"}},
		{"backquotes", "A=`id " + secret + "`\n", []string{"1: command substitution needs a shell"}},
		{"backquotes in double quotes", "A=\"`id`\"\n", []string{"1: command substitution needs a shell"}},
		{"arithmetic", "A=$((1+2))\n", []string{"1: $(...) needs a shell"}},
		{"semicolon", "A=1; B=" + secret + "\n", []string{`1: a bare ';' means something to a shell: put the value into single quotes`}},
		{"ampersand in a URL", "URL=http://h/?a=1&b=" + secret + "\n", []string{"1: a bare '&' means"}},
		{"pipe", "A=1|cat\n", []string{"1: a bare '|' means"}},
		{"redirection", "A=1 >x\n", []string{"1: a bare '>' means"}},
		{"array", "A=(1 2)\n", []string{"1: a bare '(' means"}},
		{"default", "A=${B:-" + secret + "}\n", []string{"1: ${...} with more than a name needs a shell: write ${NAME}"}},
		{"indirect", "A=${!B}\n", []string{"1: ${...} with more than a name"}},
		{"never closed brace", "A=${B\n", []string{"1: ${...} with more than a name"}},
		{"positional", "A=pa$1word\n", []string{`1: $1 is a shell's own: write \$1, or put the value into single quotes`}},
		{"process id", "A=$$\n", []string{"1: $$ is a shell's own"}},
		{"C quotes", "A=$'a\\n'\n", []string{"1: $' means different things"}},
		{"another user's home", "A=~root/x\n", []string{"1: ~ before a name needs a shell: write the path in full"}},
		{"blanks before the equals sign", "A = " + secret + "\n", []string{"1: blanks before the equals sign: write NAME=value without any"}},
		{"append", "A+=" + secret + "\n", []string{`1: += needs bash`}},
		{"dash in the name", "MY-VAR=" + secret + "\n", []string{"1: what stands before the equals sign is no variable name"}},
		{"digit first", "1A=" + secret + "\n", []string{"1: what stands before the equals sign is no variable name"}},
		{"no name", "=" + secret + "\n", []string{"1: what stands before the equals sign is no variable name"}},
		{"command", "set -a\nA=1\necho " + secret + "\n", []string{"1: neither NAME=value nor a comment", "3: neither NAME=value nor a comment"}},
		{"source", ". /etc/default/" + secret + "\n", []string{"1: neither NAME=value nor a comment"}},
		{"condition", "if true; then A=1; fi\n", []string{"1: neither NAME=value nor a comment"}},
		{"export with an option", "export -n A\n", []string{"1: export takes NAME or NAME=value"}},
		{"command after assignments", "A=1 B=2 run " + secret + "\n", []string{"1: a command follows the assignments: put each NAME=value on a line of its own"}},
		{"single quote never closed", "A=1\nB='x\nC=" + secret + "\n", []string{"2: the single quote that opens here is never closed"}},
		{"double quote never closed", "A=1\nB=\"x\nC=" + secret + "\n", []string{"2: the double quote that opens here is never closed"}},
		{
			"a key without quotes", "A=-----BEGIN KEY-----\n" + secret + "/+x==\n" + secret + "+=\n-----END KEY-----\n",
			[]string{"2: what stands before the equals sign", "3: += needs bash", "4: neither NAME=value"},
		},
		{"NUL", "A=1\nB=\x00" + secret + "\n", []string{"2: holds a NUL byte: save it as plain text (UTF-8)"}},
		{"each line that is wrong", "A=$(x)\nB=1\nC=`x`\n", []string{"1: $(...)", "3: command substitution"}},
		{"lines count within quotes", "A='\n\n'\nB=$(x)\n", []string{"4: $(...)"}},
		{"lines count over backslashes", "A=1\\\n2\nB=$(x)\n", []string{"3: $(...)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := supervise.ParseEnv("app.env", []byte(tt.text), nothing)
			if err == nil {
				t.Fatalf("%q is read without an error", tt.text)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d faults, want %d:\n%v", len(lines), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], "app.env:"+want) {
					t.Errorf("fault is  %q\nwant begin %q", lines[i], "app.env:"+want)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the message shows a value: %v", err)
			}
		})
	}
}

func TestLoadEnvTellsWhatIsWrongWithTheFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := supervise.LoadEnv(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v, want fs.ErrNotExist", err)
	}
	if _, err := supervise.LoadEnv(dir, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory gives %v", err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := supervise.LoadEnv(big, nil); err == nil || !strings.Contains(err.Error(), "at most 1048576 are read") {
		t.Errorf("a big file gives %v", err)
	}
}

func TestLoadEnvReplacesWhatWasSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.env")
	if err := os.WriteFile(file, []byte("PATH=/venv/bin:$PATH\nNEW=1\nNEW=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := supervise.LoadEnv(file, []string{"PATH=/bin", "KEPT=x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"KEPT=x", "PATH=/venv/bin:/bin", "NEW=2"}
	if !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestRequire(t *testing.T) {
	env := []string{"A=1", "EMPTY=", "TWICE=x", "TWICE="}
	for _, tt := range []struct {
		name, envFile string
		names         []string
		want          string
	}{
		{"all set", "", []string{"A"}, ""},
		{"none asked for", "", nil, ""},
		{"one missing", "/etc/app.env", []string{"A", "SECRET_KEY"}, "required variable SECRET_KEY not set: set it in /etc/app.env, or in the environment of the service"},
		{"each missing one", "/etc/app.env", []string{"X", "A", "Y"}, "required variables X, Y not set: set them in /etc/app.env, or in the environment of the service"},
		{"empty is missing", "f", []string{"EMPTY"}, "required variable EMPTY not set: set it in f, or in the environment of the service"},
		{"the last one counts", "f", []string{"TWICE"}, "required variable TWICE not set: set it in f, or in the environment of the service"},
		{"no file", "", []string{"X"}, "required variable X not set: set it in the environment of the service (systemd: Environment= or EnvironmentFile=; a container: its environment; or name an env_file)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := supervise.Require(tt.names, env, tt.envFile)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("error %q\n want %q", got, tt.want)
			}
		})
	}
}

// FuzzParseEnv holds ParseEnv to what it promises of any text: it ends, names
// the file in each fault, and gives names that an environment can hold. And
// what it gives, quoted for a shell, is read back the same.
func FuzzParseEnv(f *testing.F) {
	for _, tt := range asShell {
		f.Add(tt.text)
	}
	f.Add("A=~x\nB=$(y)\n'\n")
	f.Fuzz(func(t *testing.T, text string) {
		variables, err := supervise.ParseEnv("f", []byte(text), func(name string) string { return "<" + name + ">" })
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") {
					t.Errorf("fault without its place: %q", line)
				}
			}
			return
		}
		var again strings.Builder
		for _, v := range variables {
			if v.Name == "" || strings.ContainsAny(v.Name, "=\x00\n ") || strings.Contains(v.Value, "\x00") {
				t.Errorf("%q=%q cannot be in an environment", v.Name, v.Value)
			}
			if v.Line < 1 || v.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%s is on line %d", v.Name, v.Line)
			}
			again.WriteString(v.Name + "='" + strings.ReplaceAll(v.Value, "'", `'\''`) + "'\n")
		}
		twice, err := supervise.ParseEnv("f", []byte(again.String()), nil)
		if err != nil {
			t.Fatalf("read back: %v", err)
		}
		for i, v := range twice {
			if v.Value != variables[i].Value && !strings.Contains(variables[i].Value, "\r\n") {
				t.Errorf("%q is read back as %q", variables[i].Value, v.Value)
			}
		}
	})
}
