from django.urls import path

from . import views

urlpatterns = [
    path("echo", views.echo),
    path("echo/<path:rest>", views.echo),
    path("slow", views.slow),
    path("stream", views.stream),
]
