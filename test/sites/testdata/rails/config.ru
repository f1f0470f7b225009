# A Rails application in one file; each site of the corpus has its own
# settings.rb.
require "action_controller/railtie"
require "active_record/railtie" if File.exist?(File.join(__dir__, "config/database.yml"))

class Shop < Rails::Application
  config.root = __dir__
  config.load_defaults 6.1
  config.eager_load = true
  config.consider_all_requests_local = false
  config.secret_key_base = "only for tests"
  config.logger = Logger.new(File.join(__dir__, "production.log"))

  routes.append do
    get "/", to: ->(_) { [200, {"Content-Type" => "text/html"}, ["<h1>Shop</h1>"]] }
    get "/up", to: ->(_) { [200, {"Content-Type" => "text/html"}, ['<body style="background-color: green"></body>']] }
    get "/broken", to: ->(_) { [200, {}, [100 / 0]] }
  end
end

require_relative "settings"
Shop.initialize!
run Shop
