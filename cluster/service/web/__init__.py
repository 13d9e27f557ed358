"""The service over HTTP: REST, pages, health and metrics."""
