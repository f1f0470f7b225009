// Package account looks up the users that commands run as.
package account

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Account is a user of this machine.
type Account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

// Lookup finds a user by name or by uid, with all its groups. The error does not
// repeat the name, save in the way out.
func Lookup(name string) (Account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, numeric := strconv.ParseUint(name, 10, 32); numeric == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		return Account{}, fmt.Errorf("there is no such user on this machine: make it (useradd --system %s), or name another", name)
	}
	a := Account{name: u.Username, home: u.HomeDir}
	if a.uid, err = parseID(u.Uid); err != nil {
		return Account{}, err
	}
	if a.gid, err = parseID(u.Gid); err != nil {
		return Account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return Account{}, fmt.Errorf("its groups: %w", err)
	}
	for _, id := range ids {
		gid, err := parseID(id)
		if err != nil {
			return Account{}, err
		}
		a.groups = append(a.groups, gid)
	}
	return a, nil
}

func parseID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("id %q is no number", s)
	}
	return uint32(id), nil
}

// Credential is what a process needs to run as the user. It is nil where the
// user is already this process's: changing to oneself needs root as well.
func (a Account) Credential() *syscall.Credential {
	if int(a.uid) == os.Geteuid() && int(a.gid) == os.Getegid() {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

// Environment is what a login, and systemd's User=, sets: a program that looks
// for its files in another user's home fails in curious ways.
func (a Account) Environment() []string {
	return []string{"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name}
}
