"""What answers the health check before anything looks at Host or scheme."""
from django.http import HttpResponse


class HealthMiddleware:
    """Goes first in MIDDLEWARE."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path in ("/health", "/health/"):
            # CommonMiddleware, which adds the length, comes later.
            return HttpResponse("ok", content_type="text/plain", headers={"Content-Length": "2"})
        return self.get_response(request)
