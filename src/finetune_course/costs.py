"""Dollars: of a run, of a thousand calls, and the number of calls from which a fine-tune is the cheaper way.

Prices are in data/prices/services.json, each with its source and the day it was read there; what is no public price
(the shop's wages, its electricity) stands there as an assumption of the course, to be replaced by your own.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator

from .paths import data_path
from .records import DataError, Problem

FILE = "services.json"


def service_prices(kind: str | None = None) -> pd.DataFrame:
    """The price table, one row a price: what, kind, price, unit, provider, source, url, as_of, seen, note; by id.

    ``as_of`` is the month or day that the source gives for itself (None where it gives none), ``seen`` the day on which
    it was read. Kinds: hosted input, hosted output, managed training, machine hour. Raises ValueError for an unknown
    kind, DataError for a damaged file.
    """
    rows = pd.DataFrame(_content()["prices"]).set_index("id")
    rows = rows.join(pd.DataFrame(list(rows.pop("source")), index=rows.index))
    if kind is None:
        return rows
    if kind not in set(rows["kind"]):
        raise ValueError(
            f"There are no prices of the kind '{kind}'; the table has {', '.join(sorted(set(rows.kind)))}."
        )
    return rows[rows["kind"] == kind]


def assumptions() -> pd.DataFrame:
    """What the course assumes and you should replace: value, unit and why, by id."""
    return pd.DataFrame(_content()["assumptions"]).set_index("id")


def upload_limits() -> pd.DataFrame:
    """Documented limits of managed services for a training file, by service; a missing number is not documented."""
    rows = pd.DataFrame(_content()["limits"]).set_index("service")
    return rows.join(pd.DataFrame(list(rows.pop("source")), index=rows.index))


def run_cost(tokens: float, tokens_per_second: float, dollars_per_hour: float) -> tuple[float, float]:
    """(hours, dollars) of a run over ``tokens`` at a measured throughput on a machine rented by the hour."""
    hours = tokens / _above_0(tokens_per_second, "tokens_per_second") / 3600
    return hours, hours * dollars_per_hour


def electricity(hours: float, watts: float, dollars_per_kwh: float) -> float:
    """Dollars for the current that a machine of ``watts`` draws in ``hours``."""
    return hours * watts / 1000 * dollars_per_kwh


def managed_cost(tokens: float, epochs: float, dollars_per_million: float) -> float:
    """Dollars that a managed service takes for training on a file of ``tokens``, read ``epochs`` times."""
    return tokens * epochs * dollars_per_million / 1e6


def hosted_call(prompt_tokens: float, answer_tokens: float, input_price: float, output_price: float) -> float:
    """Dollars of one call to a hosted model; both prices in dollars per million tokens."""
    return (prompt_tokens * input_price + answer_tokens * output_price) / 1e6


def own_call(calls_per_second: float, dollars_per_hour: float, busy: float = 1.0) -> float:
    """Dollars of one call on a machine of one's own that works for the share ``busy`` of the hours it is paid for.

    Raises ValueError for a share outside 0 to 1 or a throughput that is not above 0.
    """
    if not 0 < busy <= 1:
        raise ValueError(f"busy is {busy}: give the share of the paid hours that are worked, above 0 and at most 1.")
    return dollars_per_hour / 3600 / _above_0(calls_per_second, "calls_per_second") / busy


def break_even(once: float, tuned_call: float, prompted_call: float) -> float:
    """The number of calls from which tuning is cheaper: ``once`` dollars before the first call, then less a call.

    0 where nothing is paid beforehand and a call is no dearer; infinity where the tuned call saves nothing.
    """
    saved = prompted_call - tuned_call
    if saved <= 0:
        return 0.0 if once <= 0 and saved == 0 else math.inf
    return max(0.0, once / saved)


def _above_0(value: float, name: str) -> float:
    if not value > 0:
        raise ValueError(f"{name} is {value}: give a number above 0.")
    return value


@lru_cache(maxsize=1)
def _content() -> dict[str, Any]:
    schema = json.loads(data_path("prices", "services.schema.json").read_text(encoding="utf-8"))
    try:
        content = json.loads(data_path("prices", FILE).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError([Problem(FILE, error.lineno, "", f"expected JSON; {error.msg}")]) from None
    faults = Draft202012Validator(schema).iter_errors(content)
    problems = [Problem(FILE, 0, "/".join(map(str, fault.path)), fault.message[:200]) for fault in faults]
    if problems:
        raise DataError(problems)
    return content
