"""gunicorn mysite.wsgi reads this file by itself.

GUNICORN_BIND moves it elsewhere: host:port, or unix:/path/to.sock.
"""

import os

bind = os.environ.get("GUNICORN_BIND", "127.0.0.1:8000")
workers = 2
threads = 4

# Longer than the gateway keeps an idle connection, so that it is never the one
# to close it just as a request is on its way.
keepalive = 120

timeout = 60
graceful_timeout = 30
worker_tmp_dir = "/dev/shm"  # the heartbeat file must not wait for a disk
