"""A file that is no whole GGUF file is refused in one sentence that names it."""

import struct
from pathlib import Path

import pytest

from config.embedded import gguf, model
from config.embedded.errors import BrokenModel


def _text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def header(*, version: int = 3, tensors: int = 1, alignment: int = 64) -> bytes:
    """Return a GGUF header with metadata of each form and one Q4_0 tensor of 64 values, which take 36 bytes."""
    words = struct.pack("<IIQ", 9, 8, 2) + _text(b"a") + _text(b"bc")
    numbers = struct.pack("<IIQ", 9, 4, 3) + bytes(12)
    nested = struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 1, 5) + bytes(5)
    pairs = [
        _text(b"general.alignment") + struct.pack("<II", 4, alignment),
        _text(b"general.architecture") + struct.pack("<I", 8) + _text(b"none"),
        _text(b"words") + words,
        _text(b"numbers") + numbers,
        _text(b"nested") + nested,
        _text(b"truth") + struct.pack("<IB", 7, 1),
    ]
    tensor = _text(b"weights") + struct.pack("<IQQIQ", 2, 32, 2, 2, 128)
    content = b"GGUF" + struct.pack("<IQQ", version, tensors, len(pairs)) + b"".join(pairs) + tensor * tensors
    return content + bytes(-len(content) % alignment)


WHOLE = header() + bytes(128 + 36)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a whole file."""
    path = tmp_path / "some.gguf"
    path.write_bytes(WHOLE)
    return path


def test_whole_file_is_taken(file: Path) -> None:
    gguf.check(file)


def test_installed_model_is_taken() -> None:
    gguf.check(model.installed_model())


@pytest.mark.parametrize("missing", [1, 36, 100])
def test_file_without_its_last_bytes_is_truncated(file: Path, missing: int) -> None:
    file.write_bytes(WHOLE[:-missing])
    with pytest.raises(BrokenModel, match=rf"{file} is truncated: {missing} bytes of its tensors are missing\."):
        gguf.check(file)


def test_file_that_ends_within_its_header_is_truncated(file: Path) -> None:
    for length in range(4, len(header().rstrip(b"\0"))):
        file.write_bytes(WHOLE[:length])
        with pytest.raises(BrokenModel, match="is truncated: it ends within its header"):
            gguf.check(file)


def test_real_model_without_its_last_byte_is_truncated(tmp_path: Path) -> None:
    content = model.installed_model().read_bytes()
    (tmp_path / "small.gguf").write_bytes(content[:-1])
    with pytest.raises(BrokenModel, match="truncated: 1 bytes"):
        gguf.check(tmp_path / "small.gguf")


@pytest.mark.parametrize("content", [b"", b"GGU", b"not a model", bytes(100)])
def test_other_file_is_no_gguf_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BrokenModel, match=rf"^{file} is no GGUF file\.$"):
        gguf.check(file)


@pytest.mark.parametrize(
    "content",
    [
        header(version=99) + bytes(200),
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0) + bytes(200),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + _text(b"key") + struct.pack("<I", 77) + bytes(200),
    ],
    ids=["version", "count", "type"],
)
def test_header_that_cannot_be_is_damaged(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BrokenModel, match=rf"^{file} is damaged \(.+\)\.$"):
        gguf.check(file)


def test_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(BrokenModel, match=r"cannot be read \(Is a directory\)"):
        gguf.check(tmp_path)
