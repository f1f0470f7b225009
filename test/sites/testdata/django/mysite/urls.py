import time

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse
from django.urls import path
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


def slow(request):
    time.sleep(float(request.GET["seconds"]))
    return ok(request)


urlpatterns = [
    path("", ok),
    path("health", ok),
    path("healthz/", ok),
    path("database", database),
    path("orders", orders),
    path("order", order),
    path("broken", broken),
    path("slow", slow),
    path("post", require_POST(ok)),
    path("private", login_required(ok)),
]
