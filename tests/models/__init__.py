"""Tests of `farm.models`."""
