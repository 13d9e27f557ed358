"""What can be refused before anything starts: names, sources, and the place of the output.

Nothing is left behind by these checks. Not for: reading media (`farm.media`) or models
(`farm.models`), which say themselves what is wrong with a file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from farm.analyze_settings import AnalyzeSettings, FacesSettings
from farm.errors import InputError, SettingsError
from farm.face_settings import SelectionSettings
from farm.image_names import images_of, is_image, is_image_set, is_sequence, outputs_of
from farm.names import require_known
from farm.settings import RenderSettings

_LEAST_FREE_BYTES = 16 << 20


def check_asked(settings: RenderSettings) -> None:
    """What can be refused of a render that begins later: names, inputs and contradictions.

    The output's place is not looked at: it may not be there yet.

    Raises:
        SettingsError: A name is unknown, or options contradict each other.
        InputError: An input cannot be read, or the output's ending does not fit.
    """
    from farm.processors.registry import frame_maker, load_processor, processor_names

    names = settings.processors.names
    check_processors(names, processor_names())
    check_names(settings)
    images = is_image_set(settings.target)
    if not images:
        check_input(settings.target, "-t/--target")
    check_sources(settings.sources, [n for n in names if load_processor(n).needs_source])
    _check_selection(settings.selection)
    if images or is_image(settings.target):
        _refuse_for_images(settings)
        if frame_maker(names) is not None:
            raise SettingsError("--frame-processor: an image has no frames to make others between")
        if settings.time.asked:
            raise SettingsError("--start, --end and --fps: an image has no time; leave them out")
    if not images:
        _check_file_name(settings.output)
        _check_format(settings)


def check_render(settings: RenderSettings) -> None:
    """Everything that can be refused before a render starts.

    Raises:
        SettingsError: A name is unknown, or a processor needs a source.
        InputError: A file cannot be read, or the output cannot be written.
        SetupError: What signs the output is not installed.
    """
    from farm.marks.signing import check_signing

    check_asked(settings)
    if is_image_set(settings.target):
        check_image_outputs(settings)
    else:
        inputs = (settings.target, *settings.sources)
        check_output(settings.output, inputs, overwrite=settings.overwrite)
    check_signing(settings.c2pa_certificate, settings.c2pa_key, settings.output)


def _refuse_for_images(settings: RenderSettings) -> None:
    """Refuse what only a clip has."""
    selection = settings.selection
    for name, asked in (
        ("--map-faces", selection.map_faces is not None),
        ("--faces", selection.faces is not None),
        ("--reference-at", selection.reference_at is not None),
        ("--detect-every, --fill-gaps and --smooth-landmarks", settings.analysis.is_asked),
    ):
        if asked:
            raise SettingsError(f"{name}: for videos, not for images")


def _check_selection(selection: SelectionSettings) -> None:
    """See that reference images can be read and that the face table is one."""
    for path in selection.reference_faces:
        check_input(path, "--reference-face")
    if selection.faces is not None:
        from farm.faces.table_file import read_table

        read_table(selection.faces)


def check_analysis(settings: AnalyzeSettings) -> None:
    """Everything that can be refused before an analysis starts.

    Raises:
        SettingsError: A name is unknown.
        InputError: A file cannot be read, or the output cannot be written.
    """
    check_names(settings.as_render())
    check_input(settings.target, "the video to look at")
    check_output(settings.output, (settings.target,), overwrite=settings.overwrite)


def check_faces(settings: FacesSettings) -> None:
    """Everything that can be refused before people are looked for; makes the folder.

    Raises:
        SettingsError: A name is unknown.
        InputError: A file cannot be read, or the outputs cannot be written.
    """
    check_names(settings.as_render())
    check_input(settings.target, "the video to look at")
    try:
        settings.folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{settings.folder}: cannot be made ({error.strerror})") from error
    for path in (settings.table, settings.map, settings.sheet):
        check_output(path, (settings.target,), overwrite=settings.overwrite)


def check_names(settings: RenderSettings) -> None:
    """Refuse unknown execution providers and encoders."""
    from farm.media.encoder_names import CODEC_OF
    from farm.models.session import PROVIDERS

    require_known("--video-encoder", settings.video_encoder, CODEC_OF)
    if settings.execution_provider is not None:
        require_known("--execution-provider", settings.execution_provider.casefold(), PROVIDERS)


def _check_format(settings: RenderSettings) -> None:
    """See that the output's ending fits the target and holds what the encoder makes."""
    from farm.media.containers import check_codec
    from farm.media.encoder_names import CODEC_OF

    if is_sequence(settings.output) and not is_image(settings.target):
        return
    if is_image(settings.target) != is_image(settings.output):
        raise InputError(
            f"{settings.output}: an image becomes an image and a video a video;"
            f" give it an ending like that of {settings.target.name}"
        )
    if not is_image(settings.output):
        codec = CODEC_OF[settings.video_encoder]
        check_codec(settings.output, codec)


def check_image_outputs(settings: RenderSettings) -> None:
    """See that a folder or pattern of images may be rendered into the output.

    Raises:
        InputError: There are no images, or an output is there already or would destroy one.
    """
    images = images_of(settings.target)
    output = settings.output
    if output.suffix and not output.is_dir() and not is_sequence(output):
        raise InputError(
            f"{output}: several images need a folder, or a name with a number like out_%05d.png"
        )
    check_folder(output if output.is_dir() else output.absolute().parent)
    for path in outputs_of(images, output):
        check_output(path, (*images, *settings.sources), overwrite=settings.overwrite, place=False)


def check_output(
    output: Path, inputs: Sequence[Path], *, overwrite: bool, place: bool = True
) -> None:
    """See that the output may be written and destroys nothing.

    Args:
        output: The file to make.
        inputs: Files that are read and must stay as they are.
        overwrite: Whether an output that is there already may be replaced.
        place: Whether its folder is looked at too.

    Raises:
        InputError: It may not.
    """
    for path in inputs:
        if _is_same_file(output, path):
            raise InputError(f"{output}: is the input {path}; give the output another name")
    _check_file_name(output)
    if output.exists() and not overwrite:
        raise InputError(f"{output}: is there already; give another name or --overwrite")
    if place:
        check_folder(output.absolute().parent)


def _check_file_name(output: Path) -> None:
    """Refuse a folder, and a name that says no format."""
    if output.is_dir():
        raise InputError(f"{output}: is a folder; name a file in it")
    if not output.suffix:
        raise InputError(f"{output}: has no ending that names a format; add one, like .mp4 or .mkv")


def check_folder(folder: Path) -> None:
    """See that files can be made in `folder`, by making a nameless one.

    Raises:
        InputError: The folder is missing, not writable or full.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; make it first (mkdir -p)")
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write there ({error.strerror}); choose another output folder"
        ) from error
    if shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
        raise InputError(f"{folder}: its disk is full; free some space or choose another folder")


def check_input(path: Path, option: str) -> None:
    """See that an input is a file that holds something and can be read.

    Raises:
        InputError: It is not.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file ({option})")
    if not path.is_file():
        raise InputError(f"{path}: is no file ({option})")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}; {option})") from error
    if not first:
        raise InputError(f"{path}: is empty ({option})")


def check_processors(names: Sequence[str], known: Iterable[str]) -> None:
    """Refuse unknown processors, and none at all.

    Raises:
        SettingsError: A name is unknown.
    """
    if not names:
        raise SettingsError(
            "--frame-processor: name at least one, or none to leave the faces alone"
        )
    known = list(known)
    for name in names:
        require_known("--frame-processor", name, known)


def check_sources(
    sources: Sequence[Path], needing: Sequence[str], *, option: str = "-s/--source"
) -> None:
    """Refuse a missing source where a processor needs one, and sources that cannot be read.

    Args:
        sources: Images of the person to put in.
        needing: Names of the processors in use that need a source.
        option: How the sources are named on the command line.

    Raises:
        SettingsError: A source is needed and none is given.
        InputError: A source cannot be read.
    """
    if needing and not sources:
        raise SettingsError(
            f"{needing[0]} needs a face to put in: give an image of it with {option}"
        )
    for source in sources:
        check_input(source, option)


def _is_same_file(first: Path, second: Path) -> bool:
    """Whether both names lead to one file, by links too."""
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()
