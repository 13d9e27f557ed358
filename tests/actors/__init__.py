"""Tests of the Ray actors and the pool."""
