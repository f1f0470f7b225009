// Package health answers the question that a load balancer asks an instance:
// may you take traffic? It runs checks in the background, judges their results,
// and serves the verdict over HTTP without ever waiting for a check.
//
//	monitor, err := health.NewMonitor(health.Options{Logger: slog.Default()},
//		health.Check{Name: "database", Type: "sql", Run: health.Func(db.PingContext), Scope: health.Shared},
//		health.Check{Name: "disk", Run: diskSpace, Interval: time.Minute, Impact: health.Degraded},
//	)
//	if err != nil {
//		return err
//	}
//	handler, err := health.NewHandler(monitor, health.HandlerOptions{Details: health.DetailsPrivate})
//	if err != nil {
//		return err
//	}
//	go monitor.Run(ctx)
//	mux.Handle("/health", handler)
//	mux.Handle("/health/", handler)
//
// # Words
//
// A [Check] is one question; its answer is a [Result]: pass, warn or fail, with
// an explanation. All results together make the [Verdict]. A check's [Impact]
// says what its failure does to the verdict, its [Scope] whom the failure is
// about.
//
// # Rules of judgement
//
//   - Until each critical check has passed (or warned) once, the verdict is
//     fail: the instance is starting. A Monitor without checks passes.
//   - A check's first result decides its side. Afterwards it changes side only
//     after Rise passes or Fall failures in a row; a warning counts as a pass.
//   - A failing critical check fails the verdict, a failing degraded one only
//     warns. Failures of shared checks only warn under [SharedWarns].
//   - A run that misses its deadline has failed at its deadline; it is given a
//     tenth of a second more to explain why. While it goes on regardless, its
//     check is stuck: no second run is started beside it, and each further
//     interval counts as one more failure. When it returns at last, its answer
//     is too late to count, and the run that is due by then starts at once.
//   - Green expires. A pass or a warning is worth nothing once it is older than
//     the check's interval and time-out and one second together. This is judged
//     when the verdict is read, and so holds even where Run is not running.
//   - A failed cause hides its consequences. While a check fails on which another
//     depends (Check.DependsOn), directly or through others, that other's failure
//     is shown with what it follows from, but neither announced nor named in the
//     verdict; and it counts as having its cause's scope. It is named beside its
//     cause where it is worse for the verdict than that: a critical consequence
//     of a degraded cause fails the verdict all the same. A cause that only warns
//     hides nothing.
//   - Before a check turns to fail by itself, what it depends on is asked again
//     at once, and its failure waits for the answers: at most the longest of
//     their time-outs and two seconds, by which its last pass is believed longer.
//     An answer that was given before is not relied on: it may be from before the
//     outage.
//   - When a cause is well again, its consequences are asked at once, and remain
//     consequences, with the scope of the root, until they have answered; along a
//     chain, one after the other. A failure whose run began before the recovery
//     is one, too.
//   - A check is asked out of turn at most once a second, or once an interval if
//     that is shorter. A failure that needs its answer sooner waits for it.
//   - A group ([Check.Any], [Check.All]) counts in place of its members.
//   - A check counts for its Profiles alone, each of which has a verdict of its
//     own by the same rules. That of the instance is ProfileReady's.
//   - Once drained, the verdict is fail for good; liveness is not concerned.
//
// A program that reads its configuration again makes a new Monitor, which takes
// over what is known of the checks that stay: see [Monitor.Adopt].
//
// # What it does not do
//
// Nothing is asked when a health request comes in, so a thousand probes a second
// cost a database nothing. Nothing is logged but transitions. The package
// imports only the standard library.
package health
