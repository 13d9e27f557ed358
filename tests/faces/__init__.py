"""Tests of `farm.faces`."""
