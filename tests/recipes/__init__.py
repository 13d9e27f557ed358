"""Recipes of the test media, by what they are made to show."""
