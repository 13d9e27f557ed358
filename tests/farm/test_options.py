from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest

from farm.errors import SettingsError
from farm.options import (
    Option,
    OptionKind,
    check_ranges,
    collect,
    options_of,
    parse_memory,
    parse_model,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    names: Annotated[tuple[str, ...], Option(name="frame-name", help="Names.")] = ("a",)
    share: Annotated[float, Option(help="A share.", low=0, high=1)] = 0.5
    kind: Annotated[str, Option(help="A kind.", choices=("round", "square"))] = "round"

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    target: Annotated[Path, Option(short="t", help="A file.")]
    inner: Inner = field(default_factory=Inner)
    colour: Annotated[Colour, Option(help="A colour.")] = Colour.RED
    length_s: Annotated[float | None, Option(help="A length.", above=0)] = None
    memory: Annotated[int | None, Option(help="Memory.", kind=OptionKind.SIZE)] = None
    models: Annotated[
        tuple[tuple[str, Path], ...], Option(name="model", help="M.", kind=OptionKind.PAIRS)
    ] = ()
    not_an_option: int = 3

    def __post_init__(self) -> None:
        check_ranges(self)


def work(
    *, file: Annotated[Path, Option(positional=True, help="F.")], outer: Outer, say: int
) -> None:
    """A command."""


def test_options_come_in_order_with_what_they_take() -> None:
    specs = {spec.name: spec for spec in options_of(Outer)}
    assert list(specs) == [
        "target", "frame_name", "share", "kind", "colour", "length_s", "memory", "model",
    ]  # fmt: skip
    assert [spec.kind for spec in specs.values()] == [
        OptionKind.PATH,
        OptionKind.TEXTS,
        OptionKind.NUMBER,
        OptionKind.TEXT,
        OptionKind.TEXT,
        OptionKind.NUMBER,
        OptionKind.SIZE,
        OptionKind.PAIRS,
    ]
    assert [name for name, spec in specs.items() if spec.required] == ["target"]
    assert specs["colour"].choices == ("red", "blue")
    assert specs["frame_name"].place == ("inner", "names")
    assert (specs["target"].said_name, specs["frame_name"].said_name) == (
        "-t/--target",
        "--frame-name",
    )


def test_values_by_name_make_the_record_and_what_is_missing_takes_its_default() -> None:
    values = {
        "target": "a.mp4",
        "frame_name": ["x", "y"],
        "colour": "blue",
        "memory": "2G",
        "model": ["swapper=s.onnx"],
    }
    assert collect(Outer, values) == Outer(
        target=Path("a.mp4"),
        inner=Inner(names=("x", "y")),
        colour=Colour.BLUE,
        memory=2 << 30,
        models=(("swapper", Path("s.onnx")),),
    )


def test_a_command_is_given_its_own_options_and_the_records_it_takes() -> None:
    assert [spec.name for spec in options_of(work)][:3] == ["file", "target", "frame_name"]
    given = collect(work, {"file": "f", "target": "t"})
    assert given == {"file": Path("f"), "outer": Outer(target=Path("t"))}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"share": 1.5}, "--share 1.5: must be between 0 and 1"),
        ({"length_s": 0}, "--length-s 0.0: must be more than 0"),
        ({"kind": "sqare"}, "did you mean 'square'"),
        ({"model": ["x"]}, "write KIND=PATH"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_its_name(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        collect(Outer, {"target": "t", **values})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4", 4 << 30),
        ("0.5", 1 << 29),
        ("500M", 500 << 20),
        ("2g", 2 << 30),
        ("2 GiB", 2 << 30),
        ("1T", 1 << 40),
    ],
)
def test_memory_is_gib_unless_it_has_a_unit(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "-1", "4X", "0", "10M", "G", "nan", "1e3"])
def test_a_wrong_memory_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--max-memory"):
        parse_memory(text)


def test_a_model_is_a_kind_and_a_path() -> None:
    assert parse_model("swapper=/m/a=b.onnx") == ("swapper", Path("/m/a=b.onnx"))
    for text in ("swapper", "=a", "swapper="):
        with pytest.raises(SettingsError, match="write KIND=PATH"):
            parse_model(text)
