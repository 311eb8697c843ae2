"""Registries of methods, one file each: strict about names and options, filled by the files of a package."""

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_origin

from skipln.seam.options import check_options
from skipln.seam.renamed import now

Kind = TypeVar("Kind", bound=type)


class NameTaken(ValueError):
    """Two classes want one name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Entry:
    """A registered class, and the arguments of its constructor that its name settles."""

    kind: Any
    fixed: dict[str, Any]


@dataclass
class Registry:
    """The methods in the files of `package`, by name. `what` they are, for messages: "connection".

    structural: the arguments of a constructor that are no options: a net gives them, not a user.
    A file that cannot be imported is left out and stops only who asks for what is not there.
    """

    what: str
    package: str
    structural: tuple[str, ...]
    entries: dict[str, Entry] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # a line for each file that cannot be imported
    contested: dict[str, str] = field(default_factory=dict)  # a name that two files register -> the line that says so
    loaded: bool = False

    def register(self, name: str, **fixed: Any) -> Callable[[Kind], Kind]:
        """Class decorator: enter a class under `name`, with the constructor arguments `fixed` settled.

        Raises ValueError when the name is taken.
        """

        def enter(kind: Kind) -> Kind:
            if name in self.entries:
                first = self.entries[name].kind
                raise NameTaken(name, f"the {self.what} '{name}' is registered twice, by {_of(first)} and {_of(kind)}")
            self.entries[name] = Entry(kind, fixed)
            return kind

        return enter

    def names(self) -> list[str]:
        """Every registered name, in alphabetical order."""
        if not self.loaded:
            self.loaded = True
            package = importlib.import_module(self.package)
            for module in sorted(found.name for found in pkgutil.iter_modules(package.__path__)):
                self._load(f"{self.package}.{module}")
        return sorted(self.entries.keys() - self.contested.keys())

    def options(self, name: str) -> dict[str, Any]:
        """The options that `name` takes, each with its default. Raises ValueError for an unknown name."""
        return {p.name: p.default for p in self._parameters(name)}

    def choices(self, name: str) -> dict[str, tuple[Any, ...]]:
        """The values of those options whose annotation is a `Literal`."""
        return {p.name: get_args(p.annotation) for p in self._parameters(name) if get_origin(p.annotation) is Literal}

    def check(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """All options of `name`, those not `given` at their defaults. Raises ValueError, one line with the choices."""
        checked = check_options(name, given, self.options(name))
        for option, values in self.choices(name).items():
            if checked[option] not in values:
                said = ", ".join(map(str, values))
                raise ValueError(f"{name}: {option} is one of {said}, not {checked[option]!r}")
        return checked

    def find(self, name: str) -> Entry:
        """Raises ValueError for an unknown name, with the choices and the files that could not be imported."""
        choices = self.names()
        if name in self.contested:
            raise ValueError(self.contested[name])
        if name not in self.entries:
            unknown = f"unknown {self.what} '{name}'{now(self.what, name)}: choose one of {', '.join(choices)}"
            raise ValueError("; ".join([unknown, *self.broken]))
        return self.entries[name]

    def takes(self, name: str, argument: str) -> bool:
        """Whether the constructor of `name` leaves `argument` open."""
        entry = self.find(name)
        return argument in inspect.signature(entry.kind).parameters and argument not in entry.fixed

    def _parameters(self, name: str) -> list[inspect.Parameter]:
        entry = self.find(name)
        found = inspect.signature(entry.kind).parameters.values()
        return [p for p in found if p.name not in (*self.structural, *entry.fixed)]

    def _load(self, module: str) -> None:
        try:
            importlib.import_module(module)
        except Exception as error:
            if isinstance(error, NameTaken):
                self.contested[error.name] = str(error)
            for name in [name for name, entry in self.entries.items() if entry.kind.__module__ == module]:
                del self.entries[name]  # what it had registered before it broke
            self.broken.append(_broken(f"{module.replace('.', '/')}.py", error))


def _of(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _broken(file: str, error: Exception) -> str:
    """One line: which file, which line of it, what."""
    if isinstance(error, SyntaxError):
        line, said = error.lineno, error.msg
    else:
        frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
        line, said = frames[-1] if frames else None, " ".join(str(error).split())
    return f"{file}{f', line {line}' if line else ''} cannot be imported: {type(error).__name__}: {said}"
