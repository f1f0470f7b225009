package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"hale/internal/machine"
	"hale/internal/targetgroup"
)

// lookBeside looks at what no failure mode is named after, and that bears on a health
// check all the same: clocks, the metadata service, services that do not start.
// Nothing is said of what is well.
func (x *examination) lookBeside(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	if !x.Inside {
		x.notes = append(x.notes, clocksApart(x.sent)...)
		return
	}
	x.seen = append(x.seen, clockNotes(machine.ReadClock())...)
	if x.started == nil { // it was waited for
		x.seen = append(x.seen, ageNotes(x.surroundings.app(), x.began)...)
	}
	if x.hostMatters() {
		x.say("asking the metadata service")
		use, _ := findMetadataUse(x.surroundings.app().Dir)
		x.seen = append(x.seen, metadataNotes(x.askMetadata(ctx), use)...)
	}
	if !x.first.answer.Healthy {
		units, err := machine.Troubled(ctx)
		var own []string
		for _, pid := range x.surroundings.everybody() {
			own = append(own, machine.UnitOf(pid))
		}
		x.seen = append(x.seen, unitNotes(units, err, own, x.first.sign.class.in(mayBeDown...))...)
	}
}

// mayBeDown are the answers behind which a service may be that does not run.
var mayBeDown = []class{
	classUnreachable, classRefused, classEmpty, classKilled, classSilent, classServerError, classBadGateway, classUnavailable, classGatewayTimeout,
}

// hostMatters tells whether an app refused the probe's Host: then it matters
// whether it can learn its own address.
func (x *examination) hostMatters() bool {
	return slices.ContainsFunc(x.findings, func(f Finding) bool { return layerOf(f.ID) == LayerAppHost })
}

// newborn is how long ago a process was started that may be one of many in turn.
const newborn = 10 * time.Second

// ageNotes tells of an app that was started just before it was looked at: what
// passes now may have ended a moment later.
func ageNotes(app machine.Process, began time.Time) []targetgroup.Note {
	age := began.Sub(app.Start)
	if app.PID == 0 || app.Start.IsZero() || age > newborn {
		return nil
	}
	return []targetgroup.Note{{
		What: fmt.Sprintf("%s (process %d) is new: it was deployed just now, or it ends and is started over and over", app.Name(), app.PID),
		Seen: fmt.Sprintf("it was started %s before this examination began", max(age, 0).Round(100*time.Millisecond)),
		Way:  fmt.Sprintf("run ps -o pid,lstart -p %d again in a minute: is it another process? Then its log tells why it ends", app.PID),
	}}
}

// Limits of clocks that are right.
const (
	// clockOff is what signatures, sessions and new certificates bear.
	clockOff = 2 * time.Second
	// clocksOff is more than an answer's way, and a Date in whole seconds, make.
	clocksOff = 30 * time.Second
)

// clockNotes tells of this machine's clock.
func clockNotes(c machine.Clock, err error) []targetgroup.Note {
	const way = "timedatectl, or chronyc tracking, tells why; a container has its host's clock"
	off := max(c.Offset, -c.Offset)
	switch {
	case err != nil:
		return nil
	case !c.Synchronised:
		return []targetgroup.Note{{
			What: "no time service keeps this machine's clock right: what is signed, certificates and sessions may fail by it, and times in logs mislead",
			Seen: "the kernel holds it for unsynchronised", Way: way,
		}}
	case off > clockOff:
		return []targetgroup.Note{{
			What: "this machine's clock is wrong", Seen: "by " + off.Round(time.Millisecond).String() + ", says its time service", Way: way,
		}}
	}
	return nil
}

// clocksApart compares the Date of answers with this machine's clock. Answers
// from a cache have an old one, and pages that are always the same a fixed one:
// all answers must be as far away.
func clocksApart(sent []exchange) []targetgroup.Note {
	var least, most time.Duration
	var seen string
	for _, e := range sent {
		date, err := http.ParseTime(e.answer.Get("Date"))
		if err != nil || e.answer.Get("Age") != "" || len(e.answer.Followed) > 0 {
			continue
		}
		apart := date.Sub(e.at)
		if seen == "" || apart < least {
			least = apart
		}
		if seen == "" || apart > most {
			most = apart
		}
		seen = fmt.Sprintf("Date: %s, and here it was %s", printable(e.answer.Get("Date"), 40), e.at.UTC().Format(http.TimeFormat))
	}
	spread := 2*time.Second + longest(sent)
	if seen == "" || most-least > spread || least < clocksOff && most > -clocksOff {
		return nil
	}
	return []targetgroup.Note{{
		What: fmt.Sprintf("the target's clock and this machine's are %v apart: what is signed, certificates and sessions may fail by it", max(least, -most).Round(time.Second)),
		Seen: seen, Way: "timedatectl on both tells which is wrong",
	}}
}

// longest is how long the slowest answer took: a Date may be of its beginning.
func longest(sent []exchange) time.Duration {
	var longest time.Duration
	for _, e := range sent {
		longest = max(longest, e.answer.Times.Total)
	}
	return longest
}

// metadataNotes tells how the metadata service answers, from which an app may
// have its own address; use is where its code asks there, if it does.
func metadataNotes(m machine.Metadata, use metadataUse) []targetgroup.Note {
	asks := use.place != ""
	n := targetgroup.Note{Seen: m.Endpoint}
	if asks {
		n.Seen = "the app asks " + m.Endpoint + ": " + use.place
	}
	switch {
	case !asks && (!m.Reachable || m.Other):
		return nil // not EC2, and nobody thinks that it is
	case m.Disabled:
		n.What = "the instance metadata is not to be asked: AWS_EC2_METADATA_DISABLED is true"
	case !m.Reachable:
		n.What = "the instance metadata cannot be reached: this is no EC2 instance, the service is off, or a firewall is before it"
		n.Way = "aws ec2 describe-instances --query Reservations[].Instances[].MetadataOptions"
	case m.TokenLost:
		n.What = "the instance metadata does not answer the request for a token: its answer goes one hop far, and a container is one further"
		n.Way = "aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2"
	case m.TokenRequired:
		n.What = "the instance metadata answers, and demands a token (IMDSv2)"
	case m.Err != nil:
		n.What = "the instance metadata does not tell this machine's address: " + printable(m.Err.Error(), 200)
	default:
		n.What = "the instance metadata answers, with a token and without"
	}
	return []targetgroup.Note{n}
}

// mostUnits is how many services are told.
const mostUnits = 5

// unitNotes tells which of systemd's services do not run: the site's own, and
// where something may be down, all.
func unitNotes(units []machine.Unit, err error, own []string, down bool) []targetgroup.Note {
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) { // no systemd here
			return nil
		}
		return []targetgroup.Note{{What: "which services do not run could not be asked", Seen: err.Error()}}
	}
	var notes []targetgroup.Note
	for _, u := range units {
		if !down && !slices.Contains(own, u.Name) || len(notes) == mostUnits {
			continue
		}
		notes = append(notes, targetgroup.Note{
			What: fmt.Sprintf("the service %s is not up", strings.TrimSuffix(u.Name, ".service")),
			Seen: fmt.Sprintf("systemd holds it for %s (%s)", u.Active, u.Sub),
			Way:  "systemctl status " + u.Name + " and journalctl -u " + u.Name + " -n 50 tell why",
		})
	}
	return notes
}
