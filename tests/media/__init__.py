"""Tests of farm.media."""
