package checks_test

import (
	"context"
	"fmt"

	"hale/checks/disk"
	"hale/checks/sql"
	"hale/health"
)

// A Go program asks the same questions as hale.yaml does: a Check's Run is that
// of a health.Check.
func Example() {
	database := &sql.Check{URL: "sqlite:////nowhere/app.db"}
	defer database.Close()
	space := &disk.Check{Paths: []string{"/"}, WarnUsed: 100, MaxUsed: 100, WarnInodes: 100, MaxInodes: 100}

	for _, result := range health.RunOnce(context.Background(), nil,
		health.Check{Name: "database", Type: "sql", Run: database.Run},
		health.Check{Name: "disk", Type: "disk", Run: space.Run},
	) {
		if result.Status == health.Fail {
			fmt.Printf("%s: %v: %s\n", result.Name, result.Status, result.Output)
		} else {
			fmt.Printf("%s: %v\n", result.Name, result.Status)
		}
	}
	// Output:
	// database: fail: no such file: /nowhere/app.db
	// disk: pass
}
