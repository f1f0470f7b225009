# A Rails app that a fix is pasted into (PASTE). Arguments, for each page: path,
# Host, X-Forwarded-Proto or "".
require "action_controller/railtie"

class Site < Rails::Application
  config.eager_load = false
  config.logger = Logger.new(nil)
  config.secret_key_base = "0" * 64
  SETTINGS
  PASTE
end

Site.initialize!
page = ->(_env) { [200, { "Content-Type" => "text/plain" }, ["ok\n"]] }
Site.routes.draw do
  get "/health", to: page
  root to: page
end

ARGV.each_slice(3) do |path, host, proto|
  env = Rack::MockRequest.env_for("http://10.0.0.10:8080#{path}", "HTTP_HOST" => host)
  env["HTTP_X_FORWARDED_PROTO"] = proto unless proto.empty?
  puts Site.call(env).first
end
