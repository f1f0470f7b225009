package machine

import (
	"strconv"
	"strings"

	"hale/internal/proc"
)

// Lookup returns a variable of the environment that the process was started
// with. It is for those that are no secrets: names of hosts, addresses of
// services without passwords.
func (p Process) Lookup(name string) (value string, ok bool, err error) {
	content, err := proc.FS{}.Read("proc/" + strconv.Itoa(p.PID) + "/environ")
	if err != nil {
		return "", false, err
	}
	for variable := range strings.SplitSeq(content, "\x00") {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value, true, nil
		}
	}
	return "", false, nil
}
