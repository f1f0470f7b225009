package exec

import (
	"fmt"
	"os/user"
	"strconv"
	"syscall"
)

// credentialOf returns what a process needs to run as a user, with all groups
// of theirs, and the user's home directory.
func credentialOf(name string) (*syscall.Credential, string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, "", fmt.Errorf("no such user: %s", name)
	}
	uid, err := id(u.Uid)
	if err != nil {
		return nil, "", err
	}
	gid, err := id(u.Gid)
	if err != nil {
		return nil, "", err
	}
	credential := &syscall.Credential{Uid: uid, Gid: gid}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, "", fmt.Errorf("groups of user %s: %w", name, err)
	}
	for _, group := range groups {
		gid, err := id(group)
		if err != nil {
			return nil, "", err
		}
		credential.Groups = append(credential.Groups, gid)
	}
	return credential, u.HomeDir, nil
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
