"""The report of a render as one HTML page that needs nothing beside it."""
