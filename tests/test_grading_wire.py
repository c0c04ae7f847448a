"""Values between checker and worker: they arrive as they were, as fresh plain objects, and nothing is executed."""

from __future__ import annotations

import base64
import collections
import io
import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest

from finetune_course.grading.wire import Receiver, Sender, WireError, put_back, read_frame, write_frame

Pair = collections.namedtuple("Pair", "a b")


def there(value, **options):
    return Receiver(**options).read(json.loads(json.dumps(Sender().encode(value))))


PLAIN = [
    None,
    True,
    -3,
    10**30,
    0.1,
    -math.inf,
    "é \ud800",
    b"\x00\xff",
    ...,
    1 + 2j,
    range(3, 9, 2),
    [1, (2, {3}), frozenset({4})],
    {(1, 2): [None], "x": {}},
    collections.Counter("aab"),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_arrive_with_their_types(value):
    arrived = there(value)
    assert arrived == value and type(arrived) is type(value)


def test_not_a_number_arrives():
    assert math.isnan(there(float("nan")))


def test_arrays_numbers_and_tables_arrive():
    for array in (np.arange(6, dtype="int16").reshape(2, 3), np.array(["a", "bc"]), np.zeros((0, 2)), np.array(2.5)):
        arrived = there(array)
        assert arrived.dtype == array.dtype and arrived.shape == array.shape and (arrived == array).all()
        arrived[...] = array  # writable
    number = there(np.float32(0.1))
    assert type(number) is np.float32 and number == np.float32(0.1)
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["p", "q"])
    pd.testing.assert_frame_equal(there(table), table)
    pd.testing.assert_series_equal(there(table["a"]), table["a"])


def test_subclasses_arrive_as_what_they_stand_on():
    class Sly(str):
        def __eq__(self, other):
            return True

        __hash__ = str.__hash__

    assert type(there(Sly("x"))) is str and there(Sly("x")) != "y"
    assert there(Pair(1, [2])) == (1, [2]) and type(there(Pair(1, 2))) is tuple
    assert type(there(collections.OrderedDict(a=1))) is dict
    assert list(there(number for number in range(3))) == [0, 1, 2]
    assert there({"a": 1}.keys()) == ["a"]


@pytest.mark.parametrize("value", [object(), Pair, np.array([object()]), {"deep": [object()]}, (1).__add__])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(WireError):
        Sender().encode(value)


@pytest.mark.parametrize(
    "message",
    [
        ["pickle", base64.b64encode(pickle.dumps(print)).decode()],
        ["unknown", 1],
        ["array", "|O8", [1], "AAAAAAAAAAA="],
        ["array", "<f8", [10**9], "AAAA"],
        ["array", "<f8", [-1], ""],
        ["tensor", "quint8", [1], "AA==", False],
        ["range", 0, 1, 0],
        ["dict", [[["list", []], 1]]],
        ["same", 5],
        ["function", 0],
        ["list"],
        [],
        {"a": 1},
        ["bytes", 7],
    ],
    ids=lambda message: str(message)[:20],
)
def test_a_forged_message_is_refused_and_never_executed(message):
    with pytest.raises(WireError):
        Receiver().read(message)


def test_frames_are_whole_short_enough_or_refused():
    buffer = io.BytesIO()
    write_frame(buffer, {"a": [1, "é"]})
    whole = buffer.getvalue()
    assert read_frame(io.BytesIO(whole), 100) == {"a": [1, "é"]}
    with pytest.raises(WireError, match="too long"):
        read_frame(io.BytesIO(whole), 5)
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(whole[:-1]), 100)
    with pytest.raises(WireError, match="cannot be read"):
        read_frame(io.BytesIO(whole[:4] + b"x" * (len(whole) - 4)), 100)


def test_the_same_object_comes_back_as_the_same_and_changes_are_put_back():
    inner, array = [1], np.zeros(2)
    given = [inner, {"x": array}]
    sender = Sender()
    received = Receiver()
    copy = received.read(sender.encode(given))
    copy[0].append(2)
    copy[1]["x"][0] = 7
    numbers = {id(thing): at for at, thing in enumerate(received.objects)}
    back = Receiver(sender.objects).read(Sender(numbers).encode([copy[0], "new"]))
    assert back[0] is inner and back is not given
    for original, changed in zip(sender.objects, received.objects, strict=True):
        put_back(original, changed)
    assert inner == [1, 2] and array.tolist() == [7, 0]


def test_tensors_arrive_with_type_and_gradient_flag():
    torch = pytest.importorskip("torch")
    for tensor in (
        torch.arange(6).reshape(2, 3),
        torch.tensor([1.5, -2], dtype=torch.bfloat16),
        torch.tensor(True),
        torch.zeros(0, 4),
        torch.ones(2, requires_grad=True) * 2,
    ):
        arrived = there(tensor)
        assert arrived.dtype == tensor.dtype and torch.equal(arrived, tensor)
        assert arrived.requires_grad == tensor.requires_grad
    with pytest.raises(WireError):
        Sender().encode(torch.ones(2, device="meta"))
