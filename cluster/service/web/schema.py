"""Render options and processors as data for forms, from the same annotations as the command line.

Not for: checking values, which the settings do when they are made.
"""

from __future__ import annotations

from typing import Any

from cluster.service.web.roots import CLOSED
from farm.manifest import to_jsonable
from farm.options import OptionSpec, options_of
from farm.processors.registry import processor_names
from farm.settings import ProcessorSettings, RenderSettings

_OWN_FIELDS = ("target", "output", "source", "frame_processor")
"""These have fields of their own in the form."""


def option_schema() -> dict[str, Any]:
    """Processors, and the options of processors and of renders."""
    of_processors = {spec.name for spec in options_of(ProcessorSettings)}
    shown = [
        _option(spec, in_group=spec.name in of_processors)
        for spec in options_of(RenderSettings)
        if spec.name not in (*_OWN_FIELDS, *CLOSED)
    ]
    return {"processors": list(processor_names()), "options": shown}


def _option(spec: OptionSpec, *, in_group: bool) -> dict[str, Any]:
    return {
        "name": spec.name,
        "label": spec.flag_name,
        "kind": spec.kind.name.lower(),
        "help": spec.option.help,
        "choices": list(spec.choices),
        "default": to_jsonable(spec.default),
        "unset": spec.option.unset,
        "low": spec.option.low,
        "high": spec.option.high,
        "many": spec.many,
        "of_processors": in_group,
    }
