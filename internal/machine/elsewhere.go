package machine

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"hale/internal/proc"
)

// ListenersElsewhere returns the processes that listen on a TCP port in another
// network than ours, as in a container: the first of each network. Other users'
// processes take root's rights.
func ListenersElsewhere(port uint16) ([]Process, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	all, err := proc.FS{}.Processes()
	if err != nil {
		return nil, err
	}
	inodes := map[string][]string{} // of the sockets that listen there, by network
	var found []Process
	var done []string
	for _, p := range all {
		network, err := os.Readlink(procFile(p.PID, "ns/net"))
		if err != nil || network == ours || slices.Contains(done, network) {
			continue
		}
		if _, asked := inodes[network]; !asked {
			inodes[network] = socketsOn(p.PID, port)
		}
		if len(inodes[network]) == 0 || !holds(p.PID, inodes[network]) {
			continue
		}
		if one, err := Inspect(p.PID); err == nil {
			found = append(found, one)
			done = append(done, network)
		}
	}
	return found, nil
}

// socketsOn are the inodes of the sockets that listen on a port in the network of
// a process.
func socketsOn(pid int, port uint16) []string {
	var inodes []string
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		content, _, err := tail(procFile(pid, table), mostSocketTable)
		if err != nil {
			continue
		}
		for _, bound := range listening(string(content), port) {
			inodes = append(inodes, bound.inode)
		}
	}
	return inodes
}

// holds tells whether a process has one of some sockets open.
func holds(pid int, inodes []string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok && slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
			return true
		}
	}
	return false
}
