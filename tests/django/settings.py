"""A legacy project that believes its proxy: who is logged in stands in a request header.

Read from the environment, both set by `serve.py`:
    LEGACY_DATA         folder of the database
    LEGACY_USER_HEADER  what the middleware's `header` attribute says
"""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent

# For tests on the loopback interface only: nothing here is a secret, and any host is served.
SECRET_KEY = "test-only-0123456789-0123456789-0123456789-0123456789"
ALLOWED_HOSTS = ["*"]
DEBUG = False

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "middleware.GatewayUserMiddleware",
]
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
GATEWAY_USER_HEADER = os.environ["LEGACY_USER_HEADER"]

ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["LEGACY_DATA"]) / "legacy.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
