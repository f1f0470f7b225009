"""A Flask application; each site of the corpus adds its own lines."""
from flask import Flask, request

app = Flask(__name__)


@app.route("/")
def home():
    return "<h1>Shop</h1>"


@app.route("/health")
def health():
    return "ok"


@app.route("/hs/")
def with_slash():
    return "ok"


@app.route("/here")
def here():
    return request.url_root


@app.route("/broken")
def broken():
    return str(100 / 0)
