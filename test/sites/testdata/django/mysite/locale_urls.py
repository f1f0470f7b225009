"""All pages under their language, as in a site for several countries."""
from django.conf.urls.i18n import i18n_patterns
from django.urls import path

from mysite.urls import ok

urlpatterns = i18n_patterns(path("", ok))
