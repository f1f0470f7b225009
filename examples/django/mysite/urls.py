from django.conf import settings
from django.urls import include, path

urlpatterns = [
    path("", include("guestbook.urls")),
]

if settings.TRYOUT:
    urlpatterns.append(path("", include("tryout.urls")))
