"""Logs in whomever the gateway's header names."""

from django.conf import settings
from django.contrib.auth.middleware import RemoteUserMiddleware


class GatewayUserMiddleware(RemoteUserMiddleware):
    # Under WSGI this is the key in `request.META`; under ASGI Django 5.2 puts `HTTP_` before it, so that the
    # same header has another name there (`serve.py` knows both).
    header = settings.GATEWAY_USER_HEADER
