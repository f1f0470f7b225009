from django.db import models


class Entry(models.Model):
    """What one visitor wrote."""

    author = models.CharField(max_length=80)
    text = models.CharField(max_length=500)
    written = models.DateTimeField(auto_now_add=True)
    visible = models.BooleanField(default=True)

    class Meta:
        ordering = ["-written", "-id"]
        verbose_name_plural = "entries"
        indexes = [models.Index(fields=["-written"], name="guestbook_newest")]

    def __str__(self):
        return f"{self.author}: {self.text}"
