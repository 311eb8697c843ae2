"""Registries of methods, each a file of a package; they are strict about names and options."""

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
    """Two classes register the same name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Entry:
    """A registered class, and the arguments of its constructor that its name fixes."""

    kind: Any
    fixed: dict[str, Any]


@dataclass
class Registry:
    """The methods in the files of `package`, by name. what: what messages call a method, such as "connection".

    structural: the arguments of a constructor that are not options, because a net gives them and not a user.
    A file that cannot be imported is left out. Only someone who asks for an unknown name sees its error.
    """

    what: str
    package: str
    structural: tuple[str, ...]
    entries: dict[str, Entry] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # a line for each file that cannot be imported
    contested: dict[str, str] = field(default_factory=dict)  # a name that two files register -> its error line
    loaded: bool = False

    def register(self, name: str, **fixed: Any) -> Callable[[Kind], Kind]:
        """Class decorator: register a class under `name`, with the constructor arguments `fixed`.

        Raises ValueError if the name is taken.
        """

        def enter(kind: Kind) -> Kind:
            if name in self.entries:
                first = self.entries[name].kind
                raise NameTaken(name, f"the {self.what} '{name}' is registered twice, by {_of(first)} and {_of(kind)}")
            self.entries[name] = Entry(kind, fixed)
            return kind

        return enter

    def names(self) -> list[str]:
        """Return every registered name, in alphabetical order."""
        if not self.loaded:
            self.loaded = True
            package = importlib.import_module(self.package)
            for module in sorted(found.name for found in pkgutil.iter_modules(package.__path__)):
                self._load(f"{self.package}.{module}")
        return sorted(self.entries.keys() - self.contested.keys())

    def options(self, name: str) -> dict[str, Any]:
        """Return the options that `name` takes, each with its default. Raises ValueError for an unknown name."""
        return {p.name: p.default for p in self._parameters(name)}

    def choices(self, name: str) -> dict[str, tuple[Any, ...]]:
        """Return the values that an option may have, for the options whose annotation is a `Literal`."""
        return {p.name: get_args(p.annotation) for p in self._parameters(name) if get_origin(p.annotation) is Literal}

    def check(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return all options of `name`, those not `given` at their defaults. Raises ValueError, listing the choices."""
        checked = check_options(name, given, self.options(name))
        for option, values in self.choices(name).items():
            if checked[option] not in values:
                allowed = ", ".join(map(str, values))
                raise ValueError(f"{name}: {option} is one of {allowed}, not {checked[option]!r}")
        return checked

    def find(self, name: str) -> Entry:
        """Return the entry of `name`.

        Raises ValueError for an unknown name, listing the choices and the files that could not be imported.
        """
        choices = self.names()
        if name in self.contested:
            raise ValueError(self.contested[name])
        if name not in self.entries:
            unknown = f"unknown {self.what} '{name}'{now(self.what, name)}: choose one of {', '.join(choices)}"
            raise ValueError("; ".join([unknown, *self.broken]))
        return self.entries[name]

    def takes(self, name: str, argument: str) -> bool:
        """Return whether the constructor of `name` has `argument` and leaves it open."""
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
                del self.entries[name]  # registered before the file broke
            self.broken.append(_broken(f"{module.replace('.', '/')}.py", error))


def _of(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _broken(file: str, error: Exception) -> str:
    """Return one line that names the file, the line in it and the error."""
    if isinstance(error, SyntaxError):
        line, message = error.lineno, error.msg
    else:
        frames = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
        line, message = frames[-1] if frames else None, " ".join(str(error).split())
    return f"{file}{f', line {line}' if line else ''} cannot be imported: {type(error).__name__}: {message}"
