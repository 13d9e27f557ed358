"""The service's configuration file: hooks, what is kept how long, and the web page's limits.

TOML; `docs/queue.md` shows a whole one. Secrets stand in files of their own.
Not for: render options (`farm.settings`) or what is in the queue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from cluster.service.hooks import Hooks, Mail, Webhook
from farm.config import meant
from farm.errors import InputError, SettingsError
from scheduler.queue.retention import Retention

_KEYS: dict[str, tuple[str, ...]] = {
    "webhook": ("url", "secret-file"),
    "command": ("arguments",),
    "mail": ("server", "from", "to", "user", "password-file", "tls"),
    "retention": ("jobs-days", "job-folders-days", "outputs-days", "outputs-gib"),
    "web": ("roots", "hosts", "token-file"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """What the web page and the REST interface may do."""

    roots: tuple[Path, ...] = ()
    """Folders in which targets, sources and outputs must lie that come over HTTP."""
    hosts: tuple[str, ...] = ()
    """Names by which others reach it, beside those of loopback."""
    token: str | None = None
    """What others must show; needed beyond loopback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """All that the file says."""

    hooks: Hooks = field(default_factory=Hooks)
    retention: Retention = field(default_factory=Retention)
    web: WebSettings = field(default_factory=WebSettings)


def read_service_settings(path: Path) -> ServiceSettings:
    """Read the configuration file.

    Raises:
        InputError: It, or a file of a secret, cannot be read.
        SettingsError: It is no TOML, or a key or value is wrong.
    """
    try:
        table = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is no valid TOML: {error}") from error
    for section, values in table.items():
        if section not in _KEYS or not isinstance(values, dict):
            raise SettingsError(f"{path}: no section is called [{section}]{meant(section, _KEYS)}")
        for key in values:
            if key not in _KEYS[section]:
                hint = meant(key, _KEYS[section])
                raise SettingsError(f"{path}: [{section}] has no key {key!r}{hint}")
    try:
        return ServiceSettings(
            hooks=_hooks(table, path.parent),
            retention=_retention(table.get("retention", {})),
            web=_web(table.get("web", {}), path.parent),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"{path}: a value is missing or wrong ({error})") from error


def _hooks(table: Mapping[str, Any], folder: Path) -> Hooks:
    webhook, mail = table.get("webhook"), table.get("mail")
    return Hooks(
        webhook=webhook
        and Webhook(url=_url(webhook["url"]), secret=_secret(folder, webhook["secret-file"])),
        command=tuple(table.get("command", {}).get("arguments", ())),
        mail=mail
        and Mail(
            server=mail["server"],
            sender=mail["from"],
            receivers=tuple([mail["to"]] if isinstance(mail["to"], str) else mail["to"]),
            user=mail.get("user"),
            password=_secret(folder, mail["password-file"]) if "password-file" in mail else None,
            tls=mail.get("tls", True),
        ),
    )


def _url(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError(f"{text!r} is no http address")
    return text


def _retention(table: Mapping[str, Any]) -> Retention:
    gib = table.get("outputs-gib")
    return Retention(
        jobs=_days(table.get("jobs-days")),
        job_folders=_days(table.get("job-folders-days")),
        outputs=_days(table.get("outputs-days")),
        outputs_bytes=None if gib is None else int(gib * (1 << 30)),
    )


def _days(number: float | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)


def _web(table: Mapping[str, Any], folder: Path) -> WebSettings:
    return WebSettings(
        roots=tuple(
            (folder / Path(root).expanduser()).resolve() for root in table.get("roots", ())
        ),
        hosts=tuple(table.get("hosts", ())),
        token=_secret(folder, table["token-file"]) if "token-file" in table else None,
    )


def _secret(folder: Path, name: str) -> str:
    secret = _text(folder / Path(name).expanduser()).strip()
    if len(secret) < 16:
        raise SettingsError(f"{name}: a secret has at least 16 characters")
    return secret


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
