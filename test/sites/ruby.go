package sites

import (
	"path/filepath"
	"testing"

	"hale/test/servers"
)

// Settings of Rails, as people write them. The last two exempt the health
// check.
const (
	railsHosts      = "config.hosts << 'example.com'\n"
	railsSSL        = "config.force_ssl = true\n"
	railsAnyHost    = "config.host_authorization = { exclude: ->(request) { request.path == '/up' } }\n"
	railsAnyScheme  = "config.ssl_options = { redirect: { exclude: ->(request) { request.path == '/up' } } }\n"
	railsMigrations = "config.active_record.migration_error = :page_load\n"
)

// rails is the application in testdata/rails with settings of its own.
func rails(t testing.TB, settings string) (dir string) {
	t.Helper()
	servers.NeedRuby(t, "rails", "ruby-railties")
	dir = filepath.Join(t.TempDir(), "rails")
	unpack(t, "rails", dir)
	write(t, filepath.Join(dir, "settings.rb"), "Shop.configure do\n"+settings+"end\n")
	return dir
}

// puma runs the application in dir on address. It leaves an idle connection
// open for longer than a load balancer does.
func puma(t testing.TB, dir, address string) (log string) {
	t.Helper()
	write(t, filepath.Join(dir, "puma.rb"), "threads 4, 4\npersistent_timeout 75\n")
	return run(t, servers.Spec{
		Name: "puma",
		Args: []string{"--config", "puma.rb", "--bind", "tcp://" + bind(address)},
		Dir:  dir,
		Env:  []string{"RAILS_ENV=production", "RACK_ENV=production"},
	}, address).OutputFile()
}

// onRails is a Rails site, which is asked for /up.
func onRails(settings string) func(testing.TB) Site {
	return askedFor("/up", func(t testing.TB) Site {
		dir, address := rails(t, settings), private(t)
		return site(address, puma(t, dir, address), filepath.Join(dir, "production.log"))
	})
}

// onSinatra is a Sinatra site.
func onSinatra(t testing.TB) Site {
	servers.NeedRuby(t, "sinatra/base", "ruby-sinatra")
	dir, address := filepath.Join(t.TempDir(), "sinatra"), private(t)
	unpack(t, "sinatra", dir)
	return site(address, puma(t, dir, address))
}

// behindMigrations is a Rails site whose database is a version behind.
func behindMigrations(settings string) func(testing.TB) Site {
	return askedFor("/up", func(t testing.TB) Site {
		servers.NeedRuby(t, "active_record", "ruby-activerecord")
		servers.NeedRuby(t, "sqlite3", "ruby-sqlite3")
		dir, address := rails(t, settings+railsMigrations), private(t)
		write(t, filepath.Join(dir, "config", "database.yml"), "production: { adapter: sqlite3, database: db/production.sqlite3 }\n")
		write(t, filepath.Join(dir, "db", "migrate", "20240101000000_create_orders.rb"),
			"class CreateOrders < ActiveRecord::Migration[6.1]\n  def change = create_table(:orders)\nend\n")
		return site(address, puma(t, dir, address), filepath.Join(dir, "production.log"))
	})
}

// rubySites are faulty sites in Ruby.
func rubySites() []Case {
	hosts, ssl := "rails-host-authorization", "rails-force-ssl"
	return []Case{
		{Name: "rails-host-authorization", Row: hosts, Findings: []string{hosts}, Start: onRails(railsHosts)},
		{Name: "rails-host-authorization-page", Row: hosts, Findings: []string{hosts}, Start: onRails(railsHosts + "config.consider_all_requests_local = true\n")},
		{Name: "rails-force-ssl", Row: ssl, Findings: []string{ssl}, Start: onRails(railsSSL)},
		{Name: "rails-hosts-ssl", Row: "rails-hosts-ssl", Findings: []string{hosts, ssl}, Start: onRails(railsHosts + railsSSL)},
		// The exemption of one shows the other.
		{Name: "rails-hosts-ssl-half-exempt", Row: ssl, Findings: []string{ssl}, Start: onRails(railsHosts + railsSSL + railsAnyHost)},
		{Name: "unapplied-migrations-rails", Row: "unapplied-migrations", Findings: []string{"unapplied-migrations"}, Inside: true, Start: behindMigrations("")},
		{
			Name: "unapplied-migrations-rails-page", Row: "unapplied-migrations", Findings: []string{"unapplied-migrations"},
			Start: behindMigrations("config.consider_all_requests_local = true\n"),
		},
		{Name: "handler-exception-rails", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onRails(""))},
		{Name: "wrong-path-404-rails", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/up"}, Start: askedFor("/health", onRails(""))},
		{Name: "wrong-path-404-sinatra", Row: "wrong-path-404", Findings: []string{"wrong-path-404"}, Path: []string{"/health"}, Start: askedFor("/status", onSinatra)},
		{Name: "handler-exception-sinatra", Row: "handler-exception", Findings: []string{"handler-exception"}, Start: askedFor("/broken", onSinatra)},
	}
}
