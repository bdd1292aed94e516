"""Plain data of a pickle, rebuilt by constructors of this program.

A pickle is a small program: it names functions, calls them and sets attributes on what they return. Here it is read
step by step, and a name in it stays a name: what it stands for is built by a constructor of ours or refused. Nothing
is imported, no function of numpy, torch or Python is called because a file says so, and no attribute is set on
anything but our own unfinished objects. Steps, integers and copies are bounded, so a small file stays small.
"""

from __future__ import annotations

import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_STEPS = 500_000
LONGEST_INTEGER_BITS = 128
LARGEST_MEMO_INDEX = 1 << 32
MOVED_MODULES = {"numpy.core": "numpy._core", "pathlib._local": "pathlib", "__builtin__": "builtins"}


class ForbiddenObject(Exception):
    """A pickle names something that is not plain data."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle calls by name; it is only ever compared.

    Parameters
    ----------
    module, name
        As the pickle says, modules that moved by their present name.
    """

    module: str
    name: str


class Unfinished(ABC):
    """An object of ours that takes its content in a second step."""

    __slots__ = ()

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Take what a pickle says of it.

        Parameters
        ----------
        state
            Anything; checked by whoever takes it.
        """


class OrderedPairs(dict[Any, Any], Unfinished):
    """An `OrderedDict` of a pickle; attributes that it had are left out."""

    def set_state(self, state: Any) -> None:
        """Leave its attributes out."""


@dataclass
class Allowance:
    """What is left of the work that a file may ask for; shared by all pickles inside it.

    Parameters
    ----------
    copied_bytes
        Bytes that may be copied beyond what is read.
    steps
        Instructions.
    """

    copied_bytes: int
    steps: int = MOST_STEPS

    def take(self, *, steps: int = 0, copied_bytes: int = 0) -> None:
        """Use some of it up.

        Raises
        ------
        ValueError
            Nothing is left.
        """
        self.steps -= steps
        self.copied_bytes -= copied_bytes
        if self.steps < 0 or self.copied_bytes < 0:
            raise ValueError("it asks for more work than such a file needs")


Constructor = Callable[..., Any]


@dataclass(frozen=True)
class Rules:
    """What a pickle may hold beside plain containers, numbers and text.

    Parameters
    ----------
    constructors
        By module and name; each takes the allowance, then what the pickle passes.
    names
        What may be named, and is never called.
    persistent
        Builds what stands outside the pickle from its key.
    """

    constructors: Mapping[tuple[str, str], Constructor] = field(default_factory=dict)
    names: frozenset[tuple[str, str]] = frozenset()
    persistent: Callable[[Any], Any] | None = None


def rebuild(file: BinaryIO, size: int, rules: Rules, allowance: Allowance) -> Any:
    """The object of one pickle.

    Parameters
    ----------
    file
        Where it starts; afterwards the file stands behind its end.
    size
        Of the file, bytes: nothing longer is ever asked for.
    rules
        What it may hold.
    allowance
        How much work it may ask for.

    Returns
    -------
    Any
        Made of what the rules allow.

    Raises
    ------
    ForbiddenObject
        It names anything else than data.
    Exception
        It is damaged: of any kind, see `storage.reading`.
    """
    machine = _Machine(rules, allowance)
    for opcode, argument, _ in pickletools.genops(_Measured(file, size)):  # type: ignore[arg-type]
        allowance.steps -= 1
        if allowance.steps < 0:
            allowance.take()
        if opcode.name == "STOP":
            return machine.stack[-1]
        machine.step(opcode.name, argument)
    raise EOFError("it ends in the middle")


class _Measured:
    """A file from which nobody reads more than it has."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.tell, self.readline = file.tell, file.readline

    def read(self, count: int) -> bytes:
        if count > self.size:
            raise EOFError("it ends in the middle")
        return self.file.read(count)


class _Machine:
    """A stack, and what was put aside to be used again."""

    def __init__(self, rules: Rules, allowance: Allowance) -> None:
        self.rules, self.allowance = rules, allowance
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        step = STEPS.get(name)
        if step is not None:
            step(self, argument)
        elif name in PUSHED:
            if isinstance(argument, int) and argument.bit_length() > LONGEST_INTEGER_BITS:
                raise ValueError("a number that is too long")
            self.stack.append(argument)
        elif name in FRESH:
            self.stack.append(FRESH[name]())
        elif name not in WITHOUT_EFFECT:
            raise ForbiddenObject(f"an instruction {name}")

    def since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.below.pop()
        return found

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def drop_since_mark(self, _: Any) -> None:
        self.since_mark()

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def keep(self, index: int) -> None:
        if not 0 <= index < LARGEST_MEMO_INDEX:
            raise ValueError("a place in its memory that cannot be")
        self.memo[index] = self.stack[-1]

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError("its stack is empty")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def extend(self, values: list[Any]) -> None:
        into = self.stack[-1]
        if type(into) is not list:
            raise TypeError("it adds to what is no list")
        into.extend(values)

    def set_items(self, pairs: list[Any]) -> None:
        into = self.stack[-1]
        if type(into) not in (dict, OrderedPairs):
            raise TypeError("it sets an item of what is no dictionary")
        into.update(_dictionary(pairs))

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        for before, now in MOVED_MODULES.items():
            if module == before or module.startswith(before + "."):
                module = now + module.removeprefix(before)
        if (module, name) not in self.rules.constructors and (module, name) not in self.rules.names:
            raise ForbiddenObject(f"{module}.{name}")
        self.stack.append(Name(module, name))

    def construct(self, arguments: Any) -> None:
        named = self.stack.pop()
        if type(named) is not Name or type(arguments) is not tuple:
            raise TypeError("it calls what is no constructor")
        constructor = self.rules.constructors.get((named.module, named.name))
        if constructor is None:
            raise ForbiddenObject(f"a call of {named.module}.{named.name}")
        self.stack.append(constructor(self.allowance, *arguments))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        unfinished = self.stack[-1]
        if not isinstance(unfinished, Unfinished):
            raise ForbiddenObject("attributes of what has none")
        unfinished.set_state(state)

    def load_persistent(self, _: Any) -> None:
        if self.rules.persistent is None:
            raise ForbiddenObject("a reference to something outside")
        self.stack.append(self.rules.persistent(self.stack.pop()))


def _dictionary(flat: list[Any]) -> dict[Any, Any]:
    if len(flat) % 2:
        raise ValueError("a key without a value")
    keys = flat[::2]
    # Tuples as keys could nest without end, which Python's hash does not survive; long integers could all collide.
    if any(type(key) not in (str, int, bool, type(None)) for key in keys):
        raise TypeError("a key that is no text and no number")
    if any(isinstance(key, int) and key.bit_length() > 60 for key in keys):
        raise ValueError("a key that is too large a number")
    return dict(zip(keys, flat[1::2], strict=True))


PUSHED = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
FRESH: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
WITHOUT_EFFECT = ("PROTO", "FRAME")
STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.drop_since_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": _Machine.keep,
    "BINPUT": _Machine.keep,
    "LONG_BINPUT": _Machine.keep,
    "MEMOIZE": lambda machine, _: machine.keep(len(machine.memo)),
    "GET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.since_mark())),
    "LIST": lambda machine, _: _push(machine, machine.since_mark()),
    "DICT": lambda machine, _: _push(machine, _dictionary(machine.since_mark())),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: _set_item(machine),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, argument: machine.name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: _stack_name(machine),
    "REDUCE": lambda machine, _: machine.construct(machine.stack.pop()),
    "NEWOBJ": lambda machine, _: machine.construct(machine.stack.pop()),
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.load_persistent,
}


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _stack_name(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(module, name)


def ordered_pairs(allowance: Allowance, pairs: Any = ()) -> OrderedPairs:
    """Stands for `collections.OrderedDict`."""
    allowance.take(steps=len(pairs))
    return OrderedPairs(_dictionary([each for key, value in pairs for each in (key, value)]))


def path_text(allowance: Allowance, *parts: str) -> str:
    """Stands for the paths of `pathlib`: their text."""
    allowance.take(copied_bytes=sum(map(len, parts)))
    return "/".join(parts)


def encoded(allowance: Allowance, text: str, coding: str = "latin1") -> bytes:
    """Stands for `_codecs.encode`, by which old pickles write bytes.

    Parameters
    ----------
    allowance
        What the file may still take.
    text
        Bytes as characters.
    coding
        Name of the coding.

    Returns
    -------
    bytes
        One a character.
    """
    if coding not in ("latin1", "latin-1"):
        raise ValueError("text in an unknown coding")
    allowance.take(copied_bytes=len(text))
    return text.encode("latin1")


def empty_bytes(_: Allowance) -> bytes:
    """Stands for `bytes()`, by which old pickles write no bytes at all."""
    return b""


PLAIN = {
    ("builtins", "bytes"): empty_bytes,
    ("collections", "OrderedDict"): ordered_pairs,
    ("_codecs", "encode"): encoded,
    **{
        ("pathlib", name): path_text
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
    },
}
"""Constructors of plain data that Python itself pickles by name."""
