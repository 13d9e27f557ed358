"""What the page's form asks for, as a request of the REST interface.

Not for: drawing the form (`cluster.service.web.pages`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster.service.web.rest import AddRequest
from cluster.service.web.schema import option_schema
from farm.errors import SettingsError


def request_of(fields: Sequence[tuple[str, str]]) -> AddRequest:
    """What a form asks for; a field that was left empty takes its default.

    Raises:
        SettingsError: A number is none.
    """
    many: dict[str, list[str]] = {}
    for name, value in fields:
        if value.strip():
            many.setdefault(name, []).append(value.strip())
    options: dict[str, Any] = {"frame_processor": many.get("processor", [])}
    for option in option_schema()["options"]:
        if texts := many.get(f"option-{option['name']}"):
            options[option["name"]] = _value(option, texts)
    priority = many.get("priority", ["0"])
    return AddRequest(
        targets=_lines(many.get("targets", [])),
        sources=_lines(many.get("sources", [])),
        output=many.get("output", [""])[0],
        priority=_value({"label": "priority", "kind": "integer", "many": False}, priority),
        tags=[tag for text in many.get("tags", []) for tag in text.split()],
        windows=_lines(many.get("windows", [])),
        options=options,
    )


def _lines(texts: list[str]) -> list[str]:
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def _value(option: Mapping[str, Any], texts: list[str]) -> Any:
    """A value of a form as the option takes it."""
    if option["kind"] == "pairs":
        pairs = (line.partition("=") for line in _lines(texts))
        return {name.strip(): path.strip() for name, _, path in pairs}
    if option["many"]:
        return _lines(texts)
    kinds: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "flag": lambda text: text == "on",
    }
    try:
        return kinds.get(option["kind"], str)(texts[0])
    except ValueError as error:
        raise SettingsError(f"{option['label']} {texts[0]}: is no number") from error
