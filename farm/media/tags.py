"""Tags that tell where a file was recorded, and with what: left out with `--strip-metadata`.

Not for: tags that are no longer true after a render (`farm.media.final_task`).
"""

from __future__ import annotations

from collections.abc import Iterable

_PARTS = (
    "location", "gps", "geo", "xyz", "latitude", "longitude", "altitude", "place", "city",
    "country", "sublocation", "make", "model", "camera", "lens", "device", "manufacturer",
    "serial", "firmware", "software", "hardware", "android", "author_url", "product", "uuid",
    "software_version", "handler_name", "vendor_id", "originator", "reel_name", "com.apple",
)  # fmt: skip
"""Words of which one in a tag's name makes it private."""
_KEPT = frozenset({"comment", "title", "language"})


def is_private_tag(name: str) -> bool:
    """Whether a tag may tell the place, the device or its owner."""
    low = name.lower()
    return low not in _KEPT and any(part in low for part in _PARTS)


def private_tags(names: Iterable[str]) -> list[str]:
    """Those of the names that are private, in order."""
    return [name for name in names if is_private_tag(name)]
