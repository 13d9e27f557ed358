"""Names that a user mistyped: which known one was meant.

Not for: the lists of names themselves, which belong to the modules that define them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from farm.errors import SettingsError


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, None when nothing is near; case does not count."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None


def unknown_name(where: str, name: str, known: Iterable[str]) -> SettingsError:
    """The error for a name that `where` does not know: the nearest one, and all there are."""
    names = list(known)
    close = nearest(name, names)
    hint = f"did you mean {close!r}? " if close else ""
    return SettingsError(f"{where} {name!r} is unknown; {hint}there is: {', '.join(names)}")


def require_known(where: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among `known`.

    Raises:
        SettingsError: `name` is not known; the message says the nearest.
    """
    names = list(known)
    if name not in names:
        raise unknown_name(where, name, names)
