from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from farm.errors import SettingsError
from farm.processors import registry
from farm.processors.none import PassThrough
from farm.processors.registry import GROUP, load_processor, processor_names
from tests.faces.pictures import gray_picture
from tests.processors.contexts import context, face_frame

HERE = __name__


class Other(PassThrough):
    """A whole processor from elsewhere."""

    name = "other"


class FarSighted(PassThrough):
    """A processor that asks for half a frame, and for one that was before the video."""

    name = "far_sighted"
    lead_in = 0.5
    lead_out = -1


class Lacking:
    """A processor that forgot most of the contract."""

    name = "lacking"
    needs_source = False

    def check(self, context: object) -> None:
        """Do nothing."""


class Broken:
    """A processor that cannot be made."""

    def __init__(self) -> None:
        raise OSError("no such library")


Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Puts entry points into the group as an installed package would."""

    def put(**values: type[object] | str) -> None:
        entries = []
        for name, value in values.items():
            text = value if isinstance(value, str) else f"{HERE}:{value.__name__}"
            entries.append(EntryPoint(name, text, GROUP))
        monkeypatch.setattr(registry, "entry_points", lambda *, group: entries)
        monkeypatch.setattr(EntryPoint, "load", _load)

    def _load(self: EntryPoint) -> object:
        # The tests are not importable by name, so their classes are taken from here.
        module, _, attribute = self.value.partition(":")
        if module == HERE:
            return globals()[attribute]
        return getattr(__import__(module, fromlist=[attribute]), attribute)

    return put


def test_the_farms_own_processors_are_always_found(offer: Offer) -> None:
    offer()
    own = ["none", "face_anonymizer", "face_swapper", "face_enhancer"]
    assert list(processor_names()) == [*own, "frame_interpolator", "debug_overlay"]
    for name in processor_names():
        assert load_processor(name).name == name


def test_every_load_gives_a_new_processor() -> None:
    assert load_processor("none") is not load_processor("none")


def test_others_are_found_through_their_entry_point(offer: Offer) -> None:
    offer(other=Other)
    assert processor_names()[-1] == "other"
    assert load_processor("other").name == "other"


def test_nobody_replaces_one_of_the_farms_own(offer: Offer) -> None:
    offer(face_anonymizer=Other)
    assert load_processor("face_anonymizer").fails_closed


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'face_swapper'"):
        load_processor("faceswapper")


def test_what_a_class_lacks_is_said(offer: Offer) -> None:
    offer(lacking=Lacking)
    expected = r"lacks needs_landmarks, fails_closed, start\(\), process\(\)"
    with pytest.raises(SettingsError, match=expected):
        load_processor("lacking")
    offer(renamed=Other)
    with pytest.raises(SettingsError, match="lacks name = 'renamed'"):
        load_processor("renamed")


def test_a_class_that_cannot_be_loaded_is_said(offer: Offer) -> None:
    offer(broken=Broken, gone="no_such_package:Thing")
    with pytest.raises(SettingsError, match="OSError: no such library"):
        load_processor("broken")
    with pytest.raises(SettingsError, match="no_such_package"):
        load_processor("gone")


def test_none_touches_nothing(tmp_path: Path) -> None:
    processor = load_processor("none")
    item = face_frame(gray_picture(), (10, 10, 50, 50))
    processor.check(context(tmp_path))
    processor.start(context(tmp_path))
    processor.process([item])
    assert not item.frame.touched
    assert np.array_equal(item.frame.to_bgr(), gray_picture())


def test_a_lead_that_is_no_number_of_frames_is_refused(offer: Offer) -> None:
    offer(far_sighted=FarSighted)
    with pytest.raises(SettingsError, match="it lacks lead_in = a whole number, lead_out = a wh"):
        load_processor("far_sighted")
