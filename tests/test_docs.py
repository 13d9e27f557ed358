"""The documents say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from farm import errors
from farm.errors import FarmError

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def _exit_codes() -> dict[str, int]:
    return {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, FarmError)
    }


def _rows(document: str) -> list[list[str]]:
    """Cells of every table row of a document in docs/, heads and rules left out."""
    lines = (ROOT / "docs" / document).read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows[1:] if not set(row[0]) <= set("-: ")]


def test_every_error_stands_beside_its_exit_code() -> None:
    documented = {
        name: int(row[0])
        for row in _rows("exit-codes.md")
        for name in re.findall(r"`(\w+)`", row[2])
    }
    assert documented == _exit_codes()


def test_the_tree_of_errors_shows_the_exit_codes() -> None:
    tree = dict(re.findall(r"[├└]── (\w+) +\((\d+)\)", errors.__doc__ or ""))
    codes = {name: str(code) for name, code in _exit_codes().items() if name != "FarmError"}
    assert tree == codes


def test_the_glossary_defines_each_word_once_and_in_one_sentence() -> None:
    rows = _rows("glossary.md")
    words = [row[0] for row in rows]
    assert len(words) == len(set(words))
    for word, meaning in rows:
        assert meaning.endswith("."), word
        assert not re.search(r"[a-z)`]\. ", meaning), word


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_and_sources_that_a_document_names_exist(document: Path) -> None:
    named = re.findall(r"\b(?:scripts/[\w-]+|(?:farm|actors)/[\w/]+\.py)", document.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_help_of_every_command_is_in_the_docs() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "command-line"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_changelog_has_an_entry_for_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()
