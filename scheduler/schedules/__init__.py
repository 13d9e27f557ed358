"""Schedules: renders that are added to the queue at given times."""
