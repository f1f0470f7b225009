package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hale/internal/machine/webserver"
	"hale/internal/proc"
)

// WebServer is a web server that runs, and what its configuration says. That may
// have been changed since the server read it: see ConfigChangedAfterStart.
type WebServer struct {
	PID int // of its main process
	webserver.Config
}

// ErrNoWebServer means that a process is none of the web servers whose
// configuration can be read.
var ErrNoWebServer = errors.New("it is none of nginx, Apache, HAProxy and Caddy")

// WebServerOf reads the configuration of the web server that a process, or a
// worker, belongs to. Which files that are is taken from its command line, or is
// the usual place. The error is ErrNoWebServer if it is another program, and
// fs.ErrPermission or fs.ErrNotExist if the main file cannot be read.
func WebServerOf(pid int) (WebServer, error) {
	if err := supported(); err != nil {
		return WebServer{}, err
	}
	p, err := proc.FS{}.Process(pid)
	if err != nil {
		return WebServer{}, err
	}
	program, ok := webServers[p.Name]
	if !ok {
		return WebServer{}, fmt.Errorf("read the configuration of process %d: %w", pid, ErrNoWebServer)
	}
	p = oldest(p)
	s := WebServer{PID: p.PID}
	invocation := invocationOf(p, program)
	s.Config, err = webserver.Read(program, invocation.options, invocation.files...)
	return s, err
}

// WebServers returns the web servers that run on this machine. One whose
// configuration cannot be read says so in Unread.
func WebServers() ([]WebServer, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	all, err := proc.FS{}.Processes()
	if err != nil {
		return nil, err
	}
	var servers []WebServer
	for _, p := range all {
		program, ok := webServers[p.Name]
		if !ok || p.Ended() || oldest(p).PID != p.PID {
			continue
		}
		s, err := WebServerOf(p.PID)
		if err != nil {
			s = WebServer{p.PID, webserver.Config{Program: program, Unread: []error{err}}}
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// webServers are their programs, as the kernel has them.
var webServers = map[string]webserver.Program{
	"nginx": webserver.Nginx, "openresty": webserver.Nginx,
	"apache2": webserver.Apache, "httpd": webserver.Apache,
	"haproxy": webserver.HAProxy, "caddy": webserver.Caddy,
}

// oldest is the process of the same program from which a worker descends.
func oldest(p proc.Process) proc.Process {
	for range 20 {
		parent, err := proc.FS{}.Process(p.Parent)
		if err != nil || parent.Name != p.Name {
			break
		}
		p = parent
	}
	return p
}

// invocation is how a web server was told where its configuration is.
type invocation struct {
	files   []string
	options webserver.Options
}

// usualFile is where a configuration is if the command line does not say, and
// what relative names in it are relative to.
type usualFile struct{ file, dir string }

var usualFiles = map[webserver.Program][]usualFile{
	webserver.Nginx: {
		{"/etc/nginx/nginx.conf", "/usr/share/nginx"},
		{"/usr/local/openresty/nginx/conf/nginx.conf", "/usr/local/openresty/nginx"},
		{"/usr/local/nginx/conf/nginx.conf", "/usr/local/nginx"},
		{"/opt/nginx/conf/nginx.conf", "/opt/nginx"},
		{"/usr/local/etc/nginx/nginx.conf", "/usr/local"},
	},
	webserver.Apache: {
		{"/etc/apache2/apache2.conf", "/etc/apache2"},
		{"/etc/httpd/conf/httpd.conf", "/etc/httpd"},
		{"/usr/local/apache2/conf/httpd.conf", "/usr/local/apache2"},
		{"/usr/local/etc/httpd/httpd.conf", "/usr/local"},
	},
	webserver.HAProxy: {{"/etc/haproxy/haproxy.cfg", ""}, {"/usr/local/etc/haproxy/haproxy.cfg", ""}},
	webserver.Caddy:   {{"/etc/caddy/Caddyfile", ""}},
}

func invocationOf(p proc.Process, program webserver.Program) invocation {
	dir, _ := os.Readlink(procFile(p.PID, "cwd"))
	root := rootOf(p.PID)
	in := invocationBy(program, commandOf(p.PID), dir, func(name string) bool {
		_, err := os.Stat(filepath.Join("/", root, name))
		return err == nil
	})
	in.options.Root = root
	in.options.Env = func(name string) string { return variable(p.PID, program, name) }
	return in
}

// commandOf is the command line of a process. nginx writes another into its
// place, in one piece: "nginx: master process /usr/sbin/nginx -c file".
func commandOf(pid int) []string {
	args := proc.FS{}.Command(pid)
	if len(args) > 0 {
		if _, command, ok := strings.Cut(args[0], "nginx: master process "); ok {
			return strings.Fields(command)
		}
	}
	return args
}

// invocationBy reads a command line, given the directory in which the program
// runs: nginx(8), httpd(8), haproxy(1), and caddy run --help.
func invocationBy(program webserver.Program, args []string, dir string, exists func(string) bool) (in invocation) {
	configs, prefixes, defines := "-c", "-p", "" // which options say what
	switch program {
	case webserver.Apache:
		configs, prefixes, defines = "-f", "-d", "-D"
	case webserver.HAProxy:
		configs, prefixes = "-f", "-C"
	case webserver.Caddy:
		configs, prefixes = "-config", ""
	case webserver.Nginx:
	}
	var files []string
	prefix := ""
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; {
		case takes(args, &i, configs, &arg):
			files = append(files, arg)
		case prefixes != "" && takes(args, &i, prefixes, &arg):
			prefix = arg
		case defines != "" && takes(args, &i, defines, &arg):
			in.options.Defines = append(in.options.Defines, arg)
		case arg == "--" && program == webserver.HAProxy:
			files = append(files, args[i+1:]...)
			i = len(args)
		}
	}
	if prefix != "" {
		dir = inDir(prefix, dir)
		in.options.Dir = dir
	}
	for _, file := range files {
		in.files = append(in.files, inDir(file, dir))
	}
	if len(files) > 0 {
		if program == webserver.Apache && prefix == "" {
			in.options.Dir = filepath.Dir(in.files[0])
		}
		return in
	}
	usual := usualFiles[program]
	switch {
	case program == webserver.Nginx && prefix != "":
		usual = append([]usualFile{{dir + "/conf/nginx.conf", dir}, {dir + "/nginx.conf", dir}}, usual...)
	case program == webserver.Apache && prefix != "":
		usual = append([]usualFile{{dir + "/conf/httpd.conf", dir}, {dir + "/apache2.conf", dir}}, usual...)
	case program == webserver.Caddy:
		usual = append([]usualFile{{dir + "/Caddyfile", ""}}, usual...)
	}
	for _, u := range usual {
		if exists(u.file) {
			in.files = []string{u.file}
			if in.options.Dir == "" {
				in.options.Dir = u.dir
			}
			return in
		}
	}
	if len(usual) > 0 {
		in.files = []string{usual[0].file}
	}
	return in
}

// takes reads an option with its value: "-c file", "-cfile", "--config=file" and
// "--config file".
func takes(args []string, i *int, option string, value *string) bool {
	arg := args[*i]
	if long := strings.TrimPrefix(arg, "-"); len(option) > 2 { // with one dash or with two
		if v, ok := strings.CutPrefix(long, option+"="); ok {
			*value = v
			return true
		}
		if v, ok := strings.CutPrefix(arg, option+"="); ok {
			*value = v
			return true
		}
		if long != option && arg != option {
			return false
		}
	} else if v, ok := strings.CutPrefix(arg, option); !ok {
		return false
	} else if v != "" {
		*value = v
		return true
	}
	if *i+1 >= len(args) {
		return false
	}
	*i++
	*value = args[*i]
	return true
}

func inDir(name, dir string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join("/", dir, name)
}

// variable is the value of a variable in the environment of a web server, which
// its configuration refers to. What an unprivileged process may not see is, of
// Apache's, taken to be as Debian's /etc/apache2/envvars has it.
func variable(pid int, program webserver.Program, name string) string {
	content, err := proc.FS{}.Read("proc/" + strconv.Itoa(pid) + "/environ")
	if err == nil {
		for entry := range strings.SplitSeq(content, "\x00") {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
	if program == webserver.Apache {
		return map[string]string{"APACHE_LOG_DIR": "/var/log/apache2", "APACHE_RUN_DIR": "/var/run/apache2"}[name]
	}
	return ""
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// rootOf is the directory that is the root of a process's file system, "" where
// that is this process's: that of a container, of a unit with PrivateTmp=, or a
// chroot (proc(5), mount_namespaces(7)).
func rootOf(pid int) string {
	root, err := os.Readlink(procFile(pid, "root"))
	if err != nil {
		return ""
	}
	theirs, err := os.Readlink(procFile(pid, "ns/mnt"))
	ours, ourErr := os.Readlink("/proc/self/ns/mnt")
	if root == "/" && (err != nil || ourErr != nil || theirs == ours) {
		return ""
	}
	return procFile(pid, "root")
}

// visible is the name by which this process reads a file that another calls
// name, given the other's root.
func visible(root, name string) string {
	if root == "" {
		return name
	}
	inside := filepath.Join(root, name)
	theirs, err := os.Stat(inside)
	if err != nil {
		return inside
	}
	if ours, err := os.Stat(name); err == nil && os.SameFile(ours, theirs) {
		return name
	}
	return inside
}
