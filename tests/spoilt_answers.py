"""Wrong answers made from a right one by machine: the kinds that every exercise's tests must see through.

Each maker takes a ``Recording`` of the visible check's questions and gives pairs (kind, answer). The banks hold the
misconceptions of one exercise; here are the mistakes (and tricks) that are possible in all of them.
"""

import copy
import functools
import inspect
import numbers

MISTAKE = "a mistake\nof its own"


class Recording:
    """A right answer, and the questions that its visible check asks: ``calls`` are (values by parameter, result)."""

    def __init__(self, check, answer, signature):
        self.answer, self.signature = answer, signature
        self.calls, self.keywords, self.without_default = [], False, False
        check(self._asked)
        self.parameters = list(signature.parameters)

    def _asked(self, *inputs, **named):
        result = self.answer(*copy.deepcopy(inputs), **copy.deepcopy(named))
        bound = self.signature.bind(*inputs, **named)
        self.keywords |= bool(named)
        self.without_default |= len(bound.arguments) < len(self.signature.parameters)
        bound.apply_defaults()
        self.calls.append((bound.arguments, copy.deepcopy(result)))
        return result

    def changed(self, change):
        """An answer with the signature of the exercise that does ``change(its arguments by name)``."""

        def answer(*inputs, **named):
            bound = self.signature.bind(*inputs, **named)
            bound.apply_defaults()
            return change(bound.arguments)

        return answer

    def with_result(self, make):
        return self.changed(lambda given: make(self.answer(**self.by_name(given))))

    def by_name(self, given):
        """The same values under the names that the right answer itself uses, which may be others."""
        return dict(zip(inspect.signature(self.answer).parameters, given.values(), strict=False))


def unfinished(recording):
    """Nothing is returned: the learner prints, or has not come to the end."""
    yield "prints instead of returning", recording.with_result(lambda result: None)


def refused(recording):
    """What the visible check must refuse, always."""
    with_result, first = recording.with_result, recording.calls[0][1]
    yield "always gives the first example's result", recording.changed(lambda given: copy.deepcopy(first))
    yield "is a generator", with_result(lambda result: (part for part in [result]))
    yield "puts the result into a list", with_result(lambda result: [result])
    yield "gives back its first argument", recording.changed(lambda given: next(iter(given.values())))
    yield "stops with an exception", recording.changed(_stops)
    yield "leaves the program", recording.changed(lambda given: exit())
    if not isinstance(first, str):
        yield "returns text", with_result(str)
    for place in range(len(first) if isinstance(first, tuple) else 1):
        yield f"is one per cent off, number {place + 1}", with_result(functools.partial(_off, place=place))
    for name in recording.parameters:
        yield f"ignores {name}", _frozen(recording, name)
        if any(_changeable(given[name]) for given, _ in recording.calls):
            yield f"changes {name} in place", _changing(recording, name)
    if recording.keywords:
        yield "knows its arguments by other names", lambda *inputs: recording.answer(*inputs)


def swapped(recording):
    """The first two arguments the wrong way round."""
    one, other, *rest = recording.parameters
    order = [other, one, *rest]
    return recording.changed(lambda given: recording.answer(**recording.by_name({name: given[name] for name in order})))


def memoriser(recording):
    """Knows the visible check's questions by heart and nothing else: only hidden tests can refuse it."""
    known = {repr(_plain(given)): result for given, result in recording.calls}
    last = recording.calls[-1][1]
    return recording.changed(lambda given: copy.deepcopy(known.get(repr(_plain(given)), last)))


def _stops(given):
    raise ValueError(MISTAKE)


def _frozen(recording, name):
    fixed = recording.calls[0][0][name]
    return recording.changed(lambda given: recording.answer(**recording.by_name({**given, name: copy.deepcopy(fixed)})))


def _changing(recording, name):
    def change(given):
        result = copy.deepcopy(recording.answer(**recording.by_name(copy.deepcopy(given))))
        value = given[name]
        if isinstance(value, dict):
            value.clear()
        elif isinstance(value, list):
            value.reverse()
            value.extend(value[:1])
        elif hasattr(value, "shape"):
            value += 1
        return result

    return recording.changed(change)


def _changeable(value):
    return isinstance(value, (list, dict)) or hasattr(value, "shape")


def _off(result, place=0):
    """The result with one number a little wrong, a truth turned round or a word too many."""
    if isinstance(result, tuple):
        return tuple(_off(part) if at == place else part for at, part in enumerate(result))
    if isinstance(result, list):
        return [_off(part) for part in result]
    if isinstance(result, dict):
        return {key: _off(value) for key, value in result.items()}
    if isinstance(result, bool):
        return not result
    if isinstance(result, numbers.Integral):
        return result + 1
    if isinstance(result, str):
        return result + "."
    return None if result is None else result * 1.01


def _plain(value):
    """Lists in place of arrays, whose repr leaves numbers out; a function's name, for each check makes its own."""
    if isinstance(value, dict):
        return [(key, _plain(part)) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if inspect.isroutine(value):
        return value.__qualname__
    return value.tolist() if hasattr(value, "tolist") else value
