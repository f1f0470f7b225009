# Asks a Django project in the working directory for pages, and prints the
# status of each answer. Arguments, for each page: path, Host, X-Forwarded-Proto
# or "".
import os
import sys

sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"

import django
from django.test import Client

django.setup()
for path, host, proto in zip(*[iter(sys.argv[1:])] * 3):
    headers = {"HTTP_HOST": host}
    if proto:
        headers["HTTP_X_FORWARDED_PROTO"] = proto
    print(Client(raise_request_exception=False).get(path, **headers).status_code)
