"""Values between the checker and the worker, as JSON with tags: nothing that is received is ever executed.

Known are numbers, text, bytes, the built-in containers, ranges, counters, NumPy arrays and numbers, torch tensors on
the CPU, pandas tables, and functions (which stay where they are and are called from afar). A value of another class
that stands on one of these, such as a named tuple or a text with its own ``__eq__``, arrives as the plain kind; any
other raises ``WireError``. A worker may send whatever it likes; what is malformed raises ``WireError`` as well.
"""

from __future__ import annotations

import base64
import collections
import json
import math
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, BinaryIO

DEEPEST = 60
TORCH_TYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
_NUMPY_TYPE = re.compile(r"[<>|=][biufcSUmM]\d+(\[\w+\])?")
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))


class WireError(Exception):
    """A value that cannot be sent, or a message that is none; the message is a phrase such as ``a Foo``."""


def write_frame(file: BinaryIO, message: Any) -> None:
    """Send one message: its length in 4 bytes, then JSON."""
    body = json.dumps(message).encode()
    file.write(struct.pack("!I", len(body)) + body)
    file.flush()


def read_frame(file: BinaryIO, longest: int) -> Any:
    """The next message, or ``EOFError`` at the end. ``WireError`` if longer than ``longest`` bytes or malformed."""
    head = file.read(4)
    if len(head) < 4:
        raise EOFError
    (length,) = struct.unpack("!I", head)
    if length > longest:
        raise WireError("too long")
    body = file.read(length)
    if len(body) < length:
        raise EOFError
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("a message that cannot be read") from error


class Sender:
    """Turns values into JSON. ``objects`` lists the changeable ones in the order met.

    ``same`` maps the id of an object that the other side has to its number there: it is sent as that number.
    ``function`` turns a function into a number under which it can be called. With ``trusted`` (from the checker to the
    worker) what is not known goes as a pickle.
    """

    def __init__(
        self, same: Mapping[int, int] | None = None, function: Callable | None = None, trusted: bool = False
    ) -> None:
        self.same, self.function, self.trusted = same or {}, function, trusted
        self.objects: list[Any] = []

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The JSON form of ``value``. Raises ``WireError``."""
        if depth > DEEPEST:
            raise WireError("something nested too deeply")
        numpy, torch, pandas = (sys.modules.get(name) for name in ("numpy", "torch", "pandas"))
        if value is None or value is Ellipsis:
            return None if value is None else ["..."]
        if id(value) in self.same:
            return ["same", self.same[id(value)]]
        if numpy and isinstance(value, numpy.generic):
            return ["number", *self._bytes(numpy.asarray(value))]
        for plain in (bool, int, float, str):
            if isinstance(value, plain):
                return plain(value)
        if isinstance(value, bytes | bytearray):
            return ["bytes", base64.b64encode(bytes(value)).decode()]
        if isinstance(value, complex):
            return ["complex", value.real, value.imag]
        if isinstance(value, range):
            return ["range", value.start, value.stop, value.step]
        if isinstance(value, tuple | frozenset):
            tag = "tuple" if isinstance(value, tuple) else "frozenset"
            return [tag, [self.encode(part, depth + 1) for part in value]]
        if isinstance(value, FunctionType | MethodType | BuiltinFunctionType) and self.function:
            return ["function", self.function(value)]
        return self._changeable(value, depth + 1, numpy, torch, pandas)

    def _changeable(self, value: Any, depth: int, numpy: Any, torch: Any, pandas: Any) -> Any:
        self.objects.append(value)
        if isinstance(value, list | collections.deque):
            return ["list", [self.encode(part, depth) for part in value]]
        if isinstance(value, set):
            return ["set", [self.encode(part, depth) for part in value]]
        if isinstance(value, dict):
            tag = "counter" if isinstance(value, collections.Counter) else "dict"
            return [tag, [[self.encode(key, depth), self.encode(part, depth)] for key, part in value.items()]]
        if numpy and isinstance(value, numpy.ndarray):
            return ["array", *self._bytes(value)]
        if torch and isinstance(value, torch.Tensor):
            return self._tensor(value, torch)
        self.objects.pop()
        if pandas and isinstance(value, pandas.DataFrame | pandas.Series):
            table = value if isinstance(value, pandas.DataFrame) else value.to_frame()
            columns = [self._column(table.iloc[:, at], depth) for at in range(table.shape[1])]
            labels = [self.encode(list(axis), depth) for axis in (table.columns, table.index)]
            return ["table", isinstance(value, pandas.Series), *labels, columns]
        if isinstance(value, _VIEWS):
            return self.encode(list(value), depth)
        if isinstance(value, Iterator):
            return ["iterator", [self.encode(part, depth) for part in value]]
        if self.trusted:
            try:
                return ["pickle", base64.b64encode(pickle.dumps(value)).decode()]
            except Exception as error:  # every class has its own way of refusing
                raise WireError(f"a {type(value).__name__}") from error
        raise WireError(f"a {type(value).__name__}")

    def _column(self, column: Any, depth: int) -> Any:
        values = column.to_numpy()
        return self.encode(values if values.dtype.kind in "biuf" else column.tolist(), depth)

    @staticmethod
    def _bytes(array: Any) -> list:
        if not _NUMPY_TYPE.fullmatch(array.dtype.str):
            raise WireError(f"an array of {array.dtype}")
        return [array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]

    @staticmethod
    def _tensor(value: Any, torch: Any) -> list:
        kind = str(value.dtype).removeprefix("torch.")
        if kind not in TORCH_TYPES or value.layout is not torch.strided or value.device.type != "cpu":
            raise WireError(f"a tensor of {kind} on {value.device.type}")
        raw = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        body = raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b""
        return ["tensor", kind, list(value.shape), base64.b64encode(body).decode(), bool(value.requires_grad)]


class Receiver:
    """Turns JSON back into values. ``objects`` lists the changeable ones in the sender's order.

    ``known`` are the objects that ``same`` numbers mean; ``function`` makes a callable from a number.
    """

    def __init__(
        self, known: Sequence[Any] = (), function: Callable[[int], Callable] | None = None, trusting: bool = False
    ) -> None:
        self.known, self.function, self.trusting = known, function, trusting
        self.objects: list[Any] = []

    def read(self, item: Any) -> Any:
        """The value of a received ``item``. Raises ``WireError`` for everything that is not as ``Sender`` writes it."""
        try:
            return self._decode(item)
        except WireError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
            raise WireError("a message that cannot be read") from error

    def _decode(self, item: Any) -> Any:
        if item is None or type(item) in (bool, int, float, str):
            return item
        tag, *rest = item
        if tag in ("list", "set", "dict", "counter", "array", "tensor"):
            place = len(self.objects)
            self.objects.append(None)
            self.objects[place] = self._changeable(tag, rest)
            return self.objects[place]
        if tag == "...":
            return Ellipsis
        if tag == "same":
            return self.known[rest[0]]
        if tag == "bytes":
            return base64.b64decode(rest[0])
        if tag == "complex":
            return complex(*rest)
        if tag == "range":
            return range(*rest)
        if tag == "number":
            return _array(*rest)[()]
        if tag == "function" and self.function:
            return self.function(int(rest[0]))
        if tag == "table":
            return self._table(*rest)
        if tag == "pickle" and self.trusting:
            return pickle.loads(base64.b64decode(rest[0]))
        parts = [self._decode(part) for part in rest[0]]
        return {"tuple": tuple, "frozenset": frozenset, "iterator": iter}[tag](parts)

    def _changeable(self, tag: str, rest: list) -> Any:
        if tag == "array":
            return _array(*rest).copy()
        if tag == "tensor":
            return _tensor(*rest)
        if tag in ("dict", "counter"):
            pairs = {self._decode(key): self._decode(part) for key, part in rest[0]}
            return pairs if tag == "dict" else collections.Counter(pairs)
        return {"list": list, "set": set}[tag]([self._decode(part) for part in rest[0]])

    def _table(self, single: bool, columns: Any, index: Any, parts: list) -> Any:
        import pandas

        table = pandas.DataFrame({at: self._decode(part) for at, part in enumerate(parts)})
        labels = self._decode(columns)
        table.index, table.columns = self._decode(index), labels
        return table.iloc[:, 0] if single else table


def _array(kind: str, shape: list[int], body: str) -> Any:
    import numpy

    if not _NUMPY_TYPE.fullmatch(kind):
        raise WireError("an array of an unknown kind")
    return numpy.frombuffer(base64.b64decode(body), numpy.dtype(kind)).reshape(_shape(shape))


def _tensor(kind: str, shape: list[int], body: str, requires_grad: bool) -> Any:
    if kind not in TORCH_TYPES:
        raise WireError("a tensor of an unknown kind")
    import torch

    raw = bytearray(base64.b64decode(body))
    dtype = getattr(torch, kind)
    flat = torch.frombuffer(raw, dtype=torch.uint8).view(dtype) if raw else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(_shape(shape)).clone()
    return tensor.requires_grad_(bool(requires_grad)) if requires_grad else tensor


def _shape(shape: list[int]) -> tuple[int, ...]:
    if any(type(size) is not int or size < 0 for size in shape) or math.prod(shape) > 2**40:
        raise WireError("an array of an impossible shape")
    return tuple(shape)


def put_back(original: Any, changed: Any) -> None:
    """Give ``original`` the contents of ``changed``: what an answer did to its input, done to the checker's own."""
    if isinstance(original, list):
        original[:] = changed
    elif isinstance(original, dict | set):
        original.clear()
        original.update(changed)
    elif hasattr(original, "requires_grad"):
        original.data = changed.detach().to(original.dtype)
    else:
        original.resize(changed.shape, refcheck=False)
        original[...] = changed
