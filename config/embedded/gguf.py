"""Whether a file is a whole GGUF file: its header, and that every tensor it lists lies within the file.

Layout as in the GGUF specification of the ggml project: magic, version, counts, metadata, one entry for each tensor,
then the tensors' data. It says nothing about whether the model is any good, nor about damage within the data.
"""

import mmap
import struct
from pathlib import Path

from config.embedded.errors import BrokenModel

_VERSIONS = (2, 3)
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_DEFAULT_ALIGNMENT = 32
_ALIGNMENT_KEY = b"general.alignment"
# More of anything than a real model has; so that a damaged count does not keep us busy.
_MOST = 10_000_000
# ggml's tensor types: how many values a block has, and how many bytes.
_BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 30: (1, 2)},
    **{2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 20: (32, 18), 39: (32, 17)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 21: (256, 110), 22: (256, 82), 23: (256, 136)},
    **{29: (256, 56), 34: (256, 54), 35: (256, 66)},
}


def check(file: Path) -> None:
    """Raise BrokenModel, with a sentence that names the file, unless this is a GGUF file with all of its tensors."""
    try:
        with file.open("rb") as opened:
            if opened.read(4) != b"GGUF":
                raise BrokenModel(f"{file} is no GGUF file.")
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
                missing = _Reader(content).end_of_tensors() - len(content)
    except OSError as error:
        raise BrokenModel(f"{file} cannot be read ({error.strerror or error}).") from None
    except (struct.error, IndexError):
        raise BrokenModel(f"{file} is truncated: it ends within its header.") from None
    except ValueError as error:
        raise BrokenModel(f"{file} is damaged ({error}).") from None
    if missing > 0:
        raise BrokenModel(f"{file} is truncated: {missing:,} bytes of its tensors are missing.")


class _Reader:
    """Reads the header. Raises ValueError for what cannot be, struct.error or IndexError at the end of the file."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = 4
        self._alignment = _DEFAULT_ALIGNMENT

    def end_of_tensors(self) -> int:
        version = self._number("<I")
        if version not in _VERSIONS:
            raise ValueError(f"GGUF version {version} is not known")
        tensors, pairs = self._count(), self._count()
        for _ in range(pairs):
            self._pair()
        ends = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // self._alignment) * self._alignment
        return start + max(ends, default=0)

    def _pair(self) -> None:
        key, kind = self._string(), self._number("<I")
        if key == _ALIGNMENT_KEY and kind == _UINT32:
            self._alignment = self._number("<I") or _DEFAULT_ALIGNMENT
        else:
            self._skip(kind)

    def _skip(self, kind: int) -> None:
        if kind == _STRING:
            self._forward(self._number("<Q"))
        elif kind == _ARRAY:
            of, count = self._number("<I"), self._count()
            if of in _SCALAR_BYTES:
                self._forward(count * _SCALAR_BYTES[of])
            else:
                for _ in range(count):
                    self._skip(of)
        elif kind in _SCALAR_BYTES:
            self._forward(_SCALAR_BYTES[kind])
        else:
            raise ValueError(f"there is no value type {kind}")

    def _tensor(self) -> int:
        self._forward(self._number("<Q"))
        values = 1
        for _ in range(self._number("<I")):
            values *= self._number("<Q")
        kind, offset = self._number("<I"), self._number("<Q")
        # Of a type that is newer than this table only the beginning is known.
        per_block, size = _BLOCKS.get(kind, (values or 1, 1))
        return offset + -(-values // per_block) * size

    def _string(self) -> bytes:
        length = self._number("<Q")
        begin = self._at
        self._forward(length)
        return self._content[begin : self._at]

    def _count(self) -> int:
        count = self._number("<Q")
        if count > _MOST:
            raise ValueError(f"it claims to have {count:,} entries")
        return count

    def _number(self, form: str) -> int:
        number: int = struct.unpack_from(form, self._content, self._at)[0]
        self._at += struct.calcsize(form)
        return number

    def _forward(self, length: int) -> None:
        self._at += length
        if self._at > len(self._content):
            raise IndexError
