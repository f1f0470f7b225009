# A Flask app that a fix is pasted into (PASTE). Arguments, for each page: path,
# Host, X-Forwarded-Proto or "".
import sys

from flask import Flask

app = Flask(__name__)
SETTINGS


@app.get("/health")
def health():
    return "ok\n"


PASTE

for path, host, proto in zip(*[iter(sys.argv[1:])] * 3):
    headers = {"Host": host}
    if proto:
        headers["X-Forwarded-Proto"] = proto
    print(app.test_client().get(path, headers=headers).status_code)
