"""The hub's folder (INTERLOCK_HUB_DIR) to Django's settings.

Without that variable (type checkers) a fresh private folder is used, never the package's own.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from interlock.clock import Clock, SystemClock
from interlock.hub.directory import HubConfig, HubDirectory

PACKAGE = Path(__file__).resolve().parent

# ------------------------------------------------------------------------------- the hub's folder


def _folder() -> Path:
    named = os.environ.get("INTERLOCK_HUB_DIR")
    if named:
        return Path(named).resolve()
    private = Path(tempfile.mkdtemp(prefix="interlock-hub-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    return private


HUB = HubDirectory(_folder())
_CONFIG = HUB.config() if HUB.config_file.exists() else HubConfig(name="Interlock", language="en")
SECRET_KEY = HUB.secret_key() if HUB.keys.exists() else secrets.token_hex()
HUB_CLOCK: Clock = SystemClock()
# What codes of enrolment name; `interlock hub run --node-port 0` puts the port it found in its place.
NODE_PORT = _CONFIG.node_port

# ------------------------------------------------------------------------------------------ django

DEBUG = False
ALLOWED_HOSTS = _CONFIG.called()
ROOT_URLCONF = "interlock.hub.urls"
ASGI_APPLICATION = "interlock.hub.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "interlock.hub",
]
MIDDLEWARE = [
    "interlock.hub.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "interlock.hub.middleware.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "interlock.hub.api.middleware.ApiAnswers",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "interlock.hub.middleware.SessionLimits",
    "interlock.hub.middleware.CurrentLab",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.template.context_processors.tz",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "interlock.hub.pages.context.page",
            ],
        },
    }
]

# --------------------------------------------------------------------------------------- database

STATEMENTS_KEPT = 16
"""Prepared, of each connection. A list of rows asked for by their numbers is a statement of its own for each
length, and the longest take hundreds of kilobytes: with Python's 128 a hub grew by 90 MB in an hour of one member."""

# One writer at a time, readers never wait: interlock/hub/sqlite/base.py says why. FULL: what was
# acknowledged to a node survives a power cut.
DATABASES: dict[str, Any] = {
    "default": {
        "ENGINE": "interlock.hub.sqlite",
        "NAME": HUB.database,
        # Of each of a few threads (threads.py): opening one costs more than most of what it is asked.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "cached_statements": STATEMENTS_KEPT,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
            "transaction_mode": "IMMEDIATE",
        },
        # A file, never memory: the tests run what the hub runs.
        "TEST": {"NAME": HUB.path / "test.db"},
    }
}

# ----------------------------------------------------------------------------------------- people

AUTH_USER_MODEL = "hub.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "board"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = ["interlock.hub.passwords.GuardedArgon2"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# A fab manager's working day; walking away from the desk ends it sooner (middleware.SessionLimits).
SESSION_COOKIE_AGE = 12 * 3_600
SESSION_IDLE_S_MAX = 3_600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = "interlock_session"
CSRF_COOKIE_NAME = "interlock_csrf"
CSRF_COOKIE_HTTPONLY = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# Told over HTTPS only (a hub of one laptop has none). 30 days: a certificate that lapses, or a lab that
# goes back to plain HTTP in its own network, is not locked out for a year.
SECURE_HSTS_SECONDS = 30 * 86_400

# ------------------------------------------------------------------------------- words and numbers

LANGUAGE_CODE = _CONFIG.language
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
LOCALE_PATHS = [PACKAGE.parent / "locale"]
LANGUAGE_COOKIE_NAME = "interlock_language"
LANGUAGE_COOKIE_SAMESITE = "Lax"
USE_I18N = True
USE_TZ = True
# Times are stored in UTC; each page shows those of its lab (middleware.CurrentLab).
TIME_ZONE = "UTC"

# ------------------------------------------------------------------------------------ static files

STATIC_URL = "/static/"
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_ALLOW_ALL_ORIGINS = False

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # A 4xx is the client's affair, and a scanner's flood would fill the log.
    "loggers": {"django.request": {"level": "ERROR"}},
}
