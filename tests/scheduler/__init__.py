"""Tests of the scheduler: pure, without Ray."""
