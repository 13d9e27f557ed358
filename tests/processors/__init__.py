"""Tests of `farm.processors`."""
