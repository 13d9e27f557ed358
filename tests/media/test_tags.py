from __future__ import annotations

from farm.media.tags import is_private_tag, private_tags

PRIVATE = (
    "location",
    "location-eng",
    "com.apple.quicktime.location.ISO6709",
    "com.apple.quicktime.make",
    "com.android.version",
    "Make",
    "model",
    "firmware",
    "camera_serial_number",
    "GPSLatitude",
)
PUBLIC = ("title", "comment", "language", "creation_time", "artist", "encoder", "duration")


def test_place_and_device_are_private() -> None:
    assert [name for name in PRIVATE if not is_private_tag(name)] == []


def test_what_people_wrote_is_not() -> None:
    assert private_tags(PUBLIC) == []


def test_the_order_is_that_of_the_file() -> None:
    assert private_tags(("make", "title", "location")) == ["make", "location"]
