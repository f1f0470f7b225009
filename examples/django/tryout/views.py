"""Views for looking at what a gateway does to a request and an answer.

They are only there with TRYOUT=1: one shows a request's headers to whoever
sent it, the others keep a worker busy for as long as they are asked to.
"""

import hashlib
import time

from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

LONGEST = 120  # seconds
CHUNK = 64 * 1024


@csrf_exempt
def echo(request, rest=""):
    """The request as it arrived here, as JSON."""
    length, digest = 0, hashlib.sha256()
    for chunk in body_of(request):
        length += len(chunk)
        digest.update(chunk)
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.META.get("QUERY_STRING", ""),
            "scheme": request.scheme,
            "host": request.get_host(),
            "remote_addr": request.META.get("REMOTE_ADDR", ""),
            "server_protocol": request.META.get("SERVER_PROTOCOL", ""),
            "headers": dict(request.headers),
            "body_length": length,
            "body_sha256": digest.hexdigest(),
        }
    )


def body_of(request):
    """The body in pieces, also one that came without a Content-Length.

    Django reads no further than CONTENT_LENGTH, and takes a missing one for an
    empty body; a server that says "wsgi.input_terminated" ends the body itself.
    """
    stream = request
    if not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated"):
        stream = request.META["wsgi.input"]
    while chunk := stream.read(CHUNK):
        yield chunk


def slow(request):
    """Answers after ?seconds=N."""
    try:
        seconds = number(request, "seconds", 1)
    except ValueError as error:
        return HttpResponseBadRequest(f"{error}\n", content_type="text/plain")
    time.sleep(seconds)
    return HttpResponse(f"slept {seconds:g} s\n", content_type="text/plain")


def stream(request):
    """Server-sent events: ?count=N of them, one every ?interval=SECONDS."""
    try:
        count = int(number(request, "count", 5, largest=10_000))
        interval = number(request, "interval", 1)
    except ValueError as error:
        return HttpResponseBadRequest(f"{error}\n", content_type="text/plain")
    answer = StreamingHttpResponse(events(count, interval), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    return answer


def events(count, interval):
    for i in range(1, count + 1):
        if i > 1:
            time.sleep(interval)
        yield f"id: {i}\ndata: {time.time():.3f}\n\n"


def number(request, name, default, largest=LONGEST):
    value = request.GET.get(name, default)
    try:
        value = float(value)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if not 0 <= value <= largest:
        raise ValueError(f"{name} must be between 0 and {largest}")
    return value
