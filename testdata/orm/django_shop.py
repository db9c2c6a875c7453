"""A Django shop: each request reads an order, thinks, and saves it, in one transaction.

usage: django_shop.py FILE REQUESTS MILLISECONDS

It prints how many requests were answered with an error, and the last of those errors. Django
begins its transactions deferred (ATOMIC_REQUESTS), as it does by default.
"""
import logging
import sys
import time

import django
from django.conf import settings

path, requests, thinking = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) / 1000

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "ATOMIC_REQUESTS": True}},
    ROOT_URLCONF=__name__,
    SECRET_KEY="for a test",
)
django.setup()
logging.disable(logging.CRITICAL)

from django.db import models  # noqa: E402: after the settings
from django.http import HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path as route  # noqa: E402


class Order(models.Model):
    total = models.IntegerField()

    class Meta:
        app_label = "shop"
        db_table = "shop_order"


def sell(request, number):
    order = Order.objects.get(pk=number)
    time.sleep(thinking)
    order.total += 1
    order.save()
    return HttpResponse(order.total)


urlpatterns = [route("sell/<int:number>", sell)]

client = Client(raise_request_exception=False)
failed, why = 0, ""
for i in range(requests):
    answer = client.get("/sell/%d" % (i % 10 + 1))
    if answer.status_code != 200:
        failed, why = failed + 1, str(answer.exc_info[1] if hasattr(answer, "exc_info") else answer.status_code)
    time.sleep(0.005)
print(failed, why)
