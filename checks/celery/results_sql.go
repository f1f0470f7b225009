package celery

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"hale/checks/internal/database"
	"hale/internal/explain"
)

// sqlResults is a database as a result backend: Celery's own table, or that of
// django-celery-results.
type sqlResults struct {
	session *database.Session
	table   int // of tables
}

// tables are those of celery.backends.database.models.TaskExtended, and of
// django_celery_results.models.TaskResult.
var tables = []struct{ table, task string }{
	{"celery_taskmeta", "name"},
	{"django_celery_results_taskresult", "task_name"},
}

func (b *sqlResults) where() string { return b.session.Where() }
func (b *sqlResults) close() error  { return b.session.Close() }

// look asks for the last success and the last failure among the newest results:
// their order is that of the primary key, and the name has no index in Celery's
// table.
func (b *sqlResults) look(ctx context.Context, task string, _ time.Duration) (finding, error) {
	start := time.Now()
	for range tables {
		t := tables[b.table]
		rows, err := b.session.Query(ctx, fmt.Sprintf(
			"select status, max(date_done) from (select %[2]s, status, date_done from %[1]s order by id desc limit %[3]d) newest"+
				" where %[2]s = '%[4]s' and status in ('SUCCESS', 'FAILURE') group by status",
			t.table, t.task, most, task), 2) // Validate has looked at the name
		if err == nil {
			return read(rows), nil
		}
		if !b.session.NoTable(err) {
			return finding{}, b.explain(ctx, start, err)
		}
		b.table = (b.table + 1) % len(tables)
	}
	return finding{}, fmt.Errorf("no table %s, and no %s: no result was ever stored here: %s", tables[0].table, tables[1].table, b.where())
}

// explain adds a hint to the complaint about Celery's table without names.
func (b *sqlResults) explain(ctx context.Context, start time.Time, err error) error {
	err = b.session.Explain(ctx, start, err)
	if text := err.Error(); strings.Contains(strings.ToLower(text), "column") && strings.Contains(text, tables[b.table].task) {
		return &explain.Error{Text: "the results have no task names: set result_extended of the app to True, and let it make the table anew: " + b.where(), Err: err}
	}
	return err
}

func read(rows [][]driver.Value) finding {
	var f finding
	for _, row := range rows {
		if len(row) != 2 {
			continue
		}
		done, ok := row[1].(time.Time)
		if !ok {
			done, ok = parseTime(database.Text(row[1]))
		}
		if ok {
			f.note(database.Text(row[0]), done)
		}
	}
	return f
}
