package migrations

import (
	"database/sql/driver"
	"slices"
	"strings"
	"testing"

	"hale/checks/internal/database"
)

func TestExpression(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		words string
		want  bool
	}{
		{"", "", true},
		{"test", "test", true},
		{"TEST", "Test", true},
		{"test", "prod", false},
		{"test, prod", "prod", true},
		{"test or prod", "prod", true},
		{"test and prod", "prod", false},
		{"test and prod", "prod test", true},
		{"!test", "prod", true},
		{"not test", "test", false},
		{"a or b and c", "a", true},
		{"(a or b) and c", "a", false},
		{"!(a or b) and c", "c", true},
		{"! ! a", "a", true},
		{"@test", "test", true},
	} {
		e, err := parseExpression(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := e.match(strings.Fields(test.words)); got != test.want {
			t.Errorf("%q with %q is %v", test.text, test.words, got)
		}
	}
	for _, bad := range []string{"(", "a b", "a and", "or", "a)", "()", ",", "!", strings.Repeat("!", 200) + "a", strings.Repeat("(", 200)} {
		if _, err := parseExpression(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseExpression(f *testing.F) {
	for _, seed := range []string{"a and (b or !c), d", "((", "! ,", "@a"} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if e, err := parseExpression(text); err == nil {
			e.match([]string{"a", "b"})
		}
	})
}

func TestFlywayVersions(t *testing.T) {
	t.Parallel()
	ordered := []string{"0", "0.1", "1", "1.0.1", "1.2", "1.10", "2", "20260102030405", "99999999999999999999999999"}
	shuffled := slices.Clone(ordered)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, compareVersions)
	if !slices.Equal(shuffled, ordered) {
		t.Errorf("the order is %v", shuffled)
	}
	for in, want := range map[string]string{"1": "1", "01": "1", "1.0": "1", "1_2": "1.2", "1.20.0.0": "1.20", "0.0": "0", "2026.01.02": "2026.1.2"} {
		if got := canonical(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

// The sums are those of java.util.zip.CRC32 over the lines, which is the CRC-32
// of IEEE 802.3: that of "123456789" is the check value of its catalogue entry.
func TestFlywayChecksum(t *testing.T) {
	t.Parallel()
	const sum = "-873187034" // 0xCBF43926
	for _, content := range []string{"123456789", "123\n456\n789\n", "123\r\n456\r\n789", "\uFEFF123456789", "12345\r6789"} {
		if got := flywayChecksum([]byte(content)); got != sum {
			t.Errorf("%q has %s, want %s", content, got, sum)
		}
	}
	if got := flywayChecksum([]byte("caf\xe9")); got != "" {
		t.Errorf("another encoding than UTF-8 has %s", got)
	}
}

func TestIsFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dbms string
		kind database.Kind
		want bool
	}{
		{"", database.PostgreSQL, true},
		{"postgresql", database.PostgreSQL, true},
		{"h2, PostgreSQL", database.PostgreSQL, true},
		{"h2", database.PostgreSQL, false},
		{"!h2", database.PostgreSQL, true},
		{"!postgresql", database.PostgreSQL, false},
		{"mariadb", database.MySQL, true},
		{"mysql", database.MySQL, true},
		{"all", database.SQLite, true},
		{"none", database.SQLite, false},
	} {
		if got := isFor(test.dbms, test.kind); got != test.want {
			t.Errorf("%q for %d is %v", test.dbms, test.kind, got)
		}
	}
}

func TestInOrder(t *testing.T) {
	t.Parallel()
	parents := map[string][]string{"a": {"c"}, "b": nil, "c": {"b"}, "d": {"a", "b", "elsewhere"}, "x": {"y"}, "y": {"x"}, "z": {"y"}}
	nodes := []string{"a", "b", "c", "d", "x", "y", "z"}
	order, cycle := inOrder(nodes, strings.Compare, func(n string) []string { return parents[n] })
	if got := strings.Join(order, " "); got != "b c a d" {
		t.Errorf("the order is %s", got)
	}
	if got := strings.Join(cycle, " "); got != "x y z" {
		t.Errorf("the circle is %s", got)
	}
}

// What the project's interpreter writes is read whatever it is, and what is
// taken can be compared.
func FuzzParsePlan(f *testing.F) {
	f.Add([]byte(`{"databases":["default"],"vendor":"sqlite","apps":{"a":true,"b":false},"migrations":[
		{"app":"a","name":"0001","dependencies":[["a","__first__"],["b","__latest__"]],"run_before":[["a","0002"]],"replaces":[["a","0001"]]},
		{"app":"a","name":"0002","dependencies":[["a","0001"]],"run_before":[],"replaces":[["a","0001"],["c","0009"]]}]}`))
	f.Add([]byte(`{"apps":{"a":true},"migrations":[{"app":"a","name":"1","replaces":[["a","2"]]},{"app":"a","name":"2","replaces":[["a","1"]]}]}`))
	f.Add([]byte(`{"apps":{"a":true},"migrations":[{"app":"a","name":"1","run_before":[["a","1"]]},{"app":"a","name":"2","replaces":[["a","1"]]}]}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"migrations":[{}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		project, _, err := parsePlan(document)
		if err != nil {
			return
		}
		for _, applied := range []string{"0001", "0002"} {
			if _, err := project.compare(rowsOf([]string{"a", applied}, []string{"b", "0001"})); err != nil {
				t.Error(err)
			}
		}
	})
}

// The parsers of changelogs take any input.
func FuzzChangelog(f *testing.F) {
	f.Add("<databaseChangeLog><changeSet id='1' author='a'/></databaseChangeLog>")
	f.Add("<?xml version='1.1'?><!DOCTYPE x [<!ENTITY y 'z'>]><databaseChangeLog>&y;")
	f.Add("databaseChangeLog:\n- changeSet: {id: 1, author: a}\n- include: &x {file: *x}\n")
	f.Add(`{"databaseChangeLog": [{"changeSet": {"id": 1}}, [], null, 3]}`)
	f.Add("--liquibase formatted sql logicalFilePath:x\n--changeset a:1 context:\"b and c\"\nselect 1;\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = parseXMLChangelog([]byte(text))
		_, _ = parseYAMLChangelog([]byte(text))
		parseSQLChangelog(text)
	})
}

// rowsOf makes rows as a database would.
func rowsOf(rows ...[]string) [][]driver.Value {
	var all [][]driver.Value
	for _, row := range rows {
		var values []driver.Value
		for _, cell := range row {
			values = append(values, cell)
		}
		all = append(all, values)
	}
	return all
}
