"""Sets of terms in files: read, and taken up again when the files change."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from detectors.terms import TermsDetector, TermSet, TermSetError
from streams.policy.settled import Settled
from streams.policy.yaml_subset import MAX_BYTES, YamlError, read

SUFFIXES: Final = (".txt", ".yaml", ".yml")
MOST_BYTES: Final = 8 * 1_048_576
"""Of a list of lines; what is YAML has `MAX_BYTES` at most."""
_KEYS: Final = ("words", "phrases", "patterns")


class Terms(Settled[TermsDetector, TermSetError]):
    """The detector of the terms in files, folders or both."""

    refusal = TermSetError

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(map(Path, paths))
        super().__init__()

    def refuse(self, last: TermsDetector, error: TermSetError) -> None:
        """Go back to the version before."""
        self.current, self.error = last, error

    def _signature(self) -> tuple[tuple[str, int, int, int, int], ...] | None:
        try:
            found = [(str(path), path.stat()) for path in _files(self._paths)]
        except (OSError, ValueError, TermSetError):
            return None
        return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found)

    def _load(self) -> TermsDetector:
        return TermsDetector(load(self._paths))

    def _meaning(self, value: TermsDetector) -> str:
        return value.version


def load(paths: Sequence[str] | Sequence[Path]) -> dict[str, TermSet]:
    """Return the sets of files and folders, by name; raises TermSetError."""
    sets: dict[str, TermSet] = {}
    for path in _files(list(map(Path, paths))):
        if path.stem in sets:
            raise TermSetError(f"{path}: there is a set {path.stem!r} already: rename the file")
        sets[path.stem] = _read(path)
    return sets


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from _inside(path)
        elif path.suffix in SUFFIXES:
            yield path
        else:
            raise TermSetError(
                f"{path}: no such folder, and no file that ends in {', '.join(SUFFIXES)}: write a list of "
                "words, one a line, or YAML"
            )


def _inside(folder: Path) -> Iterator[Path]:
    """Yield the files of sets in a folder; those that begin with a dot are an editor's."""
    for path in sorted(folder.iterdir()):
        if path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file():
            yield path


def _read(path: Path) -> TermSet:
    most = MOST_BYTES if path.suffix == ".txt" else MAX_BYTES
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise TermSetError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise TermSetError(f"{path}: larger than {most // 1024:,} KiB: make it several files")
    found = _lines(path, data) if path.suffix == ".txt" else _document(path, data)
    if not found.words and not found.patterns:
        raise TermSetError(f"{path}: no terms in it; write one a line, or delete the file")
    return found


def _lines(path: Path, data: bytes) -> TermSet:
    """Return the set of a list: a term a line, `/pattern/`, and comments that begin with #."""
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TermSetError(f"{path}:{line}: not UTF-8: save the file as UTF-8") from None
    terms = [line for line in lines if line and not line.startswith("#")]
    patterns = {term: term[1:-1] for term in terms if len(term) > 2 and term[0] == term[-1] == "/"}
    return TermSet(
        tuple(dict.fromkeys(term for term in terms if term not in patterns)),
        tuple(patterns.values()),
    )


def _document(path: Path, data: bytes) -> TermSet:
    """Return the set of a YAML file: a list of words and phrases, or lists under `_KEYS`."""
    if not data.strip():
        return TermSet()
    try:
        document = read(data)
    except YamlError as error:
        raise TermSetError(f"{path}:{error.problem.line}: {error}") from None
    if document.problems:
        problem = document.problems[0]
        raise TermSetError(f"{path}:{problem.line}: {problem.message}")
    value: Any = document.value
    lists = {"words": value} if isinstance(value, list) else value
    if not isinstance(lists, dict):
        raise TermSetError(f"{path}: write a list of words, or lists under {', '.join(_KEYS)}")
    for key in lists:
        if key not in _KEYS:
            line = document.line_of((key,))
            raise TermSetError(f"{path}:{line}: unknown key {key!r}; allowed: {', '.join(_KEYS)}")
    found = {key: _texts(path, document.line_of((key,)), key, lists.get(key) or []) for key in _KEYS}
    return TermSet((*found["words"], *found["phrases"]), found["patterns"])


def _texts(path: Path, line: int, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise TermSetError(f"{path}:{line}: {key!r} is a list of texts; put true, null and ': ' in quotes")
    return tuple(dict.fromkeys(each.strip() for each in value))
