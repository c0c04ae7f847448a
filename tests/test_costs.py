"""Costs by hand, the price table with its sources, and the calculator."""

import json
import math
import re
from datetime import date

import pytest

from finetune_course import costs
from finetune_course.cost_calculator import CostCalculator, cost_figure, describe_costs
from finetune_course.records import DataError

START = {
    "prompt_tokens": 420,
    "answer_tokens": 35,
    "input_price": 2.0,
    "output_price": 8.0,
    "once": 600,
    "calls_per_second": 1.0,
    "dollars_per_hour": 0.09,
    "busy": 0.5,
    "calls_a_day": 10_000,
}


@pytest.fixture(autouse=True)
def read_again():
    costs._content.cache_clear()
    yield
    costs._content.cache_clear()


def test_costs_by_hand():
    assert costs.run_cost(3_600_000, 500, 4) == (2.0, 8.0)
    assert costs.electricity(10, 65, 0.3) == pytest.approx(0.195)
    assert costs.managed_cost(800_000, 2, 0.5) == pytest.approx(0.8)
    assert costs.hosted_call(400, 40, 2, 8) == pytest.approx(0.00112)
    assert costs.own_call(2, 3.6, 0.5) == pytest.approx(0.001)
    assert costs.break_even(600, 0.0001, 0.0007) == pytest.approx(1e6)
    assert costs.break_even(600, 0.0007, 0.0001) == math.inf == costs.break_even(600, 0.1, 0.1)
    assert costs.break_even(0, 0.1, 0.2) == 0 == costs.break_even(0, 0.1, 0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: costs.run_cost(1, 0, 1), "tokens_per_second is 0"),
        (lambda: costs.own_call(-1, 1), "calls_per_second is -1"),
        (lambda: costs.own_call(1, 1, 0), "busy is 0"),
        (lambda: costs.own_call(1, 1, 20), "busy is 20"),
        (lambda: costs.service_prices("free"), "no prices of the kind 'free'"),
    ],
)
def test_impossible_values_are_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_every_price_has_a_source_and_a_day():
    table = costs.service_prices()
    assert table.index.is_unique and len(table) >= 10
    assert (table["url"].str.startswith("https://")).all()
    assert all(date(2026, 1, 1) <= date.fromisoformat(day) <= date.today() for day in table["seen"])
    per_token = table["unit"] == "dollars per million tokens"
    assert table.loc[per_token, "price"].between(0.01, 100).all()
    assert (table.loc[~per_token, "kind"] == "machine hour").all()
    second_hand = table["source"].str.contains("second-hand")
    assert table.loc[second_hand, "as_of"].notna().all(), "a second-hand price must at least be dated"


def test_each_hosted_model_has_both_prices():
    table = costs.service_prices()
    inputs = {name.removesuffix("-input") for name in table.index[table["kind"] == "hosted input"]}
    outputs = {name.removesuffix("-output") for name in table.index[table["kind"] == "hosted output"]}
    assert inputs == outputs and len(inputs) >= 3
    assert len(costs.service_prices("managed training")) >= 3


def test_assumptions_and_limits_are_named():
    table = costs.assumptions()
    assert {"labels an hour", "labelling wage", "electricity", "calls a day"} <= set(table.index)
    assert (table["value"] > 0).all() and table["why"].str.len().min() > 10
    limits = costs.upload_limits()
    assert limits.loc["OpenAI", "min_examples"] == 10 and limits.loc["Fireworks", "max_examples"] == 3_000_000


def test_a_damaged_table_is_told(tmp_path, monkeypatch):
    good = costs.data_path("prices", "services.json").read_text()
    schema = costs.data_path("prices", "services.schema.json").read_text()
    monkeypatch.setattr(costs, "data_path", lambda *parts: tmp_path / parts[-1])
    (tmp_path / "services.schema.json").write_text(schema)
    content = json.loads(good)
    content["prices"][0]["price"] = "free"
    del content["prices"][1]["source"]
    (tmp_path / "services.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        costs.service_prices()
    assert len(caught.value.problems) == 2 and "prices/0/price" in str(caught.value)
    (tmp_path / "services.json").write_text(good[:100])
    with pytest.raises(DataError, match="expected JSON"):
        costs.service_prices()


def test_the_calculator_follows_its_sliders():
    calculator = CostCalculator(**START)
    hosted, own = costs.hosted_call(420, 35, 2, 8), costs.own_call(1, 0.09, 0.5)
    days = costs.break_even(600, own, hosted) / 10_000
    assert f"${1000 * hosted:.3g}" in calculator.result.value and f"{days:,.1f} days" in calculator.result.value
    calculator.sliders["calls_per_second"].value = 0.05
    calculator.sliders["input_price"].value = 0.01
    calculator.sliders["output_price"].value = 0.01
    assert "never" in calculator.result.value


def test_the_calculator_wants_every_value():
    with pytest.raises(ValueError, match="look at 'busy'"):
        CostCalculator(**{name: value for name, value in START.items() if name != "busy"})


def test_the_figure_crosses_where_the_costs_are_equal():
    figure = cost_figure(600, 0.0001, {"larger": 0.0007, "cheap": 0.00005}, mark=300_000)
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 1 and crosses[0].get_xdata()[0] == pytest.approx(1e6)
    far = cost_figure(600, 0.0001, {"a little dearer": 0.000101}, tuned="LoRA").axes[0]
    assert far.get_xlim()[1] > 6e8 and far.get_legend().get_texts()[0].get_text() == "LoRA"
    words = describe_costs(600, 0.0001, {"larger": 0.0007, "cheap": 0.00005})
    assert "larger 1,000,000" in words and re.search(r"cheap never", words)
