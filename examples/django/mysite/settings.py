"""Settings of a site behind a load balancer that ends TLS.

Everything that differs between machines comes from the environment; see
env.example.
"""

import os
from pathlib import Path

from .environment import database, require

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = require("SECRET_KEY")
DEBUG = os.environ.get("DEBUG") == "1"

# The load balancer's health request carries the instance's private address as
# its Host, which is not listed here and changes with each instance. Hale
# answers it before it reaches Django, so that this list can stay this short.
ALLOWED_HOSTS = ["mysite.com", ".mysite.com"]

# Users reach the site by https alone. TLS ends at the load balancer, which says
# so in X-Forwarded-Proto. Whoever could reach Django directly could claim the
# same, so only the gateway in front may be able to: uWSGI and gunicorn listen on
# a unix socket or on loopback.
SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 60
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_BROWSER_XSS_FILTER = True  # read by Django before 4.0 only
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "guestbook",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database("DATABASE_URL", BASE_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# Errors go to stderr, where uWSGI and gunicorn pick them up: without this, a
# site that is not in debug mode would only mail them.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}

# For trying things out, off by default. While the file named by BREAK_HOME
# exists, the home page is a template with a mistake in it and answers 500.
# TRYOUT=1 adds /echo, /slow and /stream (see tryout/views.py).
BREAK_HOME = os.environ.get("BREAK_HOME", "")
TRYOUT = os.environ.get("TRYOUT") == "1"
