import logging
import time

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse
from django.urls import path, re_path
from django.views.decorators.http import require_POST

from shop.models import Order


def ok(request):
    return HttpResponse("ok", content_type="text/plain")


def database(request):
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return ok(request)


def orders(request):
    return HttpResponse("%d orders" % Order.objects.count(), content_type="text/plain")


def order(request):
    Order.objects.create(note="x" * 1000)
    return ok(request)


def broken(request):
    return HttpResponse("%d %%" % (100 / Order.discount), content_type="text/plain")


def deep(request):
    """Asks for the home page, and for migrations that are not applied."""
    from django.db.migrations.executor import MigrationExecutor
    from django.test import Client

    migrations = MigrationExecutor(connection)
    missing = migrations.migration_plan(migrations.loader.graph.leaf_nodes())
    home = Client().get("/", HTTP_HOST="example.com", secure=True)
    if missing or home.status_code != 200:
        logging.error("health: home page %d, %d unapplied migrations: %s", home.status_code, len(missing), missing)
        return HttpResponse("fail", status=503, content_type="text/plain")
    return ok(request)


def slow(request):
    time.sleep(float(request.GET["seconds"]))
    return ok(request)


urlpatterns = [
    path("", ok),
    path("health", ok),
    path("healthz/", ok),
    path("database", database),
    re_path("^health_check/?$", database),
    path("deep", deep),
    path("orders", orders),
    path("order", order),
    path("broken", broken),
    path("slow", slow),
    path("post", require_POST(ok)),
    path("private", login_required(ok)),
]
