"""Marks that say that pictures were altered: in the file, beside it, and signed."""
