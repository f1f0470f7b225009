from django.db import models


class Order(models.Model):
    discount = 0
    note = models.TextField(default="")
