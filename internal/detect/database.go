package detect

import (
	"cmp"
	"fmt"
	"strings"
)

// databaseURL is the variable that holds a database's URL by common custom
// (dj-database-url, django-environ, Rails, Heroku).
const databaseURL = "DATABASE_URL"

// engine is a kind of database that the sql check knows, by what frameworks
// call it.
type engine struct {
	scheme, name, port string
}

// engineOf knows the last part of Django's engines, Rails' adapters, Laravel's
// connections, Prisma's providers and JDBC's subprotocols.
func engineOf(word string) (engine, bool) {
	switch word {
	case "postgresql", "postgres", "postgresql_psycopg2", "postgis", "pgsql":
		return engine{"postgres", "PostgreSQL", "5432"}, true
	case "mysql", "mysql2", "trilogy":
		return engine{"mysql", "MySQL or MariaDB", "3306"}, true
	case "mariadb":
		return engine{"mariadb", "MariaDB", "3306"}, true
	case "sqlite", "sqlite3", "spatialite":
		return engine{"sqlite", "SQLite", ""}, true
	}
	return engine{}, false
}

// connection is a database as its parts stand in hale.yaml: each itself, or
// ${VARIABLE}, or ${VARIABLE:-default}; "" where it is not said.
type connection struct {
	engine
	host, port, name, user string
	password               string // a ${VARIABLE}; never the password itself
	file                   string
	line                   int

	secretInFile bool // there is a password, and it is not copied
	incomplete   bool // the files do not tell all
}

// connects takes a database from its parts.
func (a *app) connects(c connection) {
	host := strings.ReplaceAll(c.host, "/", "%2F") // the directory of a socket
	if c.secretInFile || c.incomplete || c.name == "" {
		form := fmt.Sprintf("%s://USER:PASSWORD@%s:%s/%s", c.scheme, cmp.Or(host, "HOST"), cmp.Or(c.port, c.engine.port), cmp.Or(c.name, "NAME"))
		a.database = database{url: "${" + databaseURL + "}"}
		a.need(databaseURL)
		if c.secretInFile {
			a.found(c.file, c.line, "the password of the %s database stands in a file and is not copied: set the variable %s to %s", c.engine.name, databaseURL, form)
		} else {
			a.assumed(c.file, c.line, "the %s database is in the variable %s: the files do not tell all of it; set it to %s", c.engine.name, databaseURL, form)
		}
		return
	}
	authority := c.user
	if c.password != "" {
		authority += ":" + c.password
	}
	if authority != "" {
		authority += "@"
	}
	authority += host
	if c.port != "" {
		authority += ":" + c.port
	}
	a.database = database{url: c.scheme + "://" + authority + "/" + c.name}
	for _, part := range []string{c.host, c.port, c.name, c.user, c.password} {
		a.needVariablesOf(part)
	}
	a.found(c.file, c.line, "the database is %s: %s on %s", c.engine.name, c.name, cmp.Or(c.host, "this machine's socket"))
}

// connectsByURL takes a database whose URL is in a variable.
func (a *app) connectsByURL(variable, file string, line int) {
	a.database = database{url: "${" + variable + "}"}
	a.need(variable)
	a.found(file, line, "the database's URL is in the variable %s", variable)
}

// connectsBySecret takes a database whose URL stands in a file: it is likely to
// hold a password.
func (a *app) connectsBySecret(file string, line int) {
	a.database = database{url: "${" + databaseURL + "}"}
	a.need(databaseURL)
	a.found(file, line, "the database's URL stands in a file and is not copied: set the variable %s to the same", databaseURL)
}

// connectsToFile takes an SQLite database; file is below the app's directory,
// or absolute.
func (a *app) connectsToFile(database, file string, line int) {
	a.sqlite(database)
	a.found(file, line, "the database is SQLite, in the file %s", database)
}

func (a *app) sqlite(file string) {
	a.database = database{url: "sqlite:///" + file, local: true}
}

// needVariablesOf adds those variables of a text that have no default.
func (a *app) needVariablesOf(text string) {
	for _, m := range variableInText.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[0], ":-") {
			a.need(m[1])
		}
	}
}
