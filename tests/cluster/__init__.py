"""Tests of whole renders, many of them on real Ray."""
