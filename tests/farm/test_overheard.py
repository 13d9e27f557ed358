from __future__ import annotations

import logging

from farm.overheard import Overheard


def test_warnings_of_the_farm_are_kept_and_taken_once() -> None:
    overheard = Overheard()
    overheard.start()
    try:
        logging.getLogger("farm.models.device_session").warning("only %d at once", 4)
        logging.getLogger("farm.media").info("nothing")
        logging.getLogger("another").warning("not the farm's")
        assert overheard.take() == ["only 4 at once"]
        assert overheard.take() == []
    finally:
        overheard.stop()
    logging.getLogger("farm").warning("too late")
    assert overheard.take() == []
