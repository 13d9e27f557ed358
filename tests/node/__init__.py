"""Tests of `farm.node`."""
