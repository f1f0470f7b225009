# A Sinatra application in one file.
require "sinatra/base"

class Shop < Sinatra::Base
  set :environment, :production
  set :show_exceptions, false
  enable :logging
  get("/") { "<h1>Shop</h1>" }
  get("/health") { "ok" }
  get("/broken") { (100 / 0).to_s }
end

run Shop
