"""Writing a rendered image with its marks, so that it never lies there without them.

Not for: videos, which the final task marks (`farm.media.final`).
"""

from __future__ import annotations

from farm.errors import InputError
from farm.marks.embed import embed_mark, mark_of_source
from farm.marks.mark import Mark
from farm.marks.signing import SigningFiles, sign_file
from farm.media.still import Still, write_still
from farm.processors.registry import load_processor
from farm.scratch import IMAGE_SCRATCH, scratch_folder
from farm.settings import RenderSettings


def write_marked_still(still: Still, settings: RenderSettings) -> tuple[str, ...]:
    """Encode an image, mark it, sign it where that was asked for, and put it in place.

    Returns:
        What is to be said of it.

    Raises:
        JobError: It cannot be encoded, marked or signed.
        InputError: It cannot be written.
    """
    output = settings.output
    names = tuple(name for name in settings.processors.names if name != "none")
    mark = Mark(altered_by=names).after(mark_of_source(settings.target))
    private = any(load_processor(name).fails_closed for name in names)
    try:
        with scratch_folder(IMAGE_SCRATCH, output.parent) as folder:
            path = folder / output.name
            write_still(still, path, strip_metadata=settings.strip_metadata)
            unmarked = embed_mark(path, mark)
            files = signing_files(settings)
            if files is not None:
                parent = None if private else settings.target
                sign_file(path, folder / f"signed{output.suffix}", files, mark, parent)
            path.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
    return (unmarked,) if unmarked else ()


def signing_files(settings: RenderSettings) -> SigningFiles | None:
    """Certificate and key, where both were given."""
    if settings.c2pa_certificate is None or settings.c2pa_key is None:
        return None
    return SigningFiles(certificate=settings.c2pa_certificate, key=settings.c2pa_key)
