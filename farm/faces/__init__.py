"""Faces: detection, recognition, selection, alignment and pasting."""
