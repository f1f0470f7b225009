import os

from django.conf import settings
from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from .forms import EntryForm
from .models import Entry

SHOWN = 20  # entries on the home page


@require_http_methods(["GET", "HEAD", "POST"])
def home(request):
    """The newest entries, and the form that adds one."""
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Thank you, your entry is in the book.")
        return redirect("guestbook:home")

    entries = Entry.objects.filter(visible=True)
    context = {"form": form, "entries": entries[:SHOWN], "total": entries.count()}
    status = 422 if form.errors else 200
    return render(request, home_template(), context, status=status)


def home_template():
    if settings.BREAK_HOME and os.path.exists(settings.BREAK_HOME):
        return "guestbook/broken.html"
    return "guestbook/home.html"
