"""Settings that come from the environment.

A missing or unreadable one stops the site from starting, with a message that
names it: better no site than one that runs half-configured.
"""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ENGINES = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
    "sqlite": "django.db.backends.sqlite3",
}


def require(name):
    """The value of the environment variable NAME, which must not be empty."""
    value = os.environ.get(name)
    if not value:
        raise ImproperlyConfigured(
            f"the environment variable {name} is not set: "
            "add it to the env file (env.example shows every variable)"
        )
    return value


def database(name, base_dir):
    """The entry of DATABASES that the URL in the variable NAME describes.

    postgres://user:password@host:port/database?sslmode=require
    mysql://user:password@host:port/database
    sqlite:///db.sqlite3 (relative to base_dir) or sqlite:////var/lib/db.sqlite3

    What follows the question mark goes to the database driver.
    """
    try:
        url = urlsplit(require(name))
        engine, port, path = ENGINES[url.scheme], url.port or "", unquote(url.path)
    except (KeyError, ValueError):
        # The URL itself stays out of the message: it holds a password.
        raise ImproperlyConfigured(
            f"{name} is not a database URL: write "
            "postgres://user:password@host/database, mysql://... or sqlite:///file"
        ) from None
    if url.scheme == "sqlite":
        return {"ENGINE": engine, "NAME": base_dir / path.removeprefix("/")}
    return {
        "ENGINE": engine,
        "NAME": path[1:],
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": port,
        # A database that is gone must fail a request, not hang it.
        "OPTIONS": {"connect_timeout": 5, **dict(parse_qsl(url.query))},
    }
