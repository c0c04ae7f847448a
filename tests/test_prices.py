"""The price tables: their columns, dates and sources; a damaged table says so; 6·N·D against published GPU-hours."""

import re

import pytest

from finetune_course import prices


def test_every_price_has_a_month_a_provider_and_a_source():
    table = prices.gpu_prices()
    assert list(table) == list(prices.GPU_COLUMNS)
    assert all(re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", month) for month in table["as_of"])
    assert table[["gpu", "provider", "offer", "source"]].map(lambda cell: bool(str(cell).strip())).all(axis=None)
    assert table["dollars_per_gpu_hour"].between(0.1, 30).all()
    assert not table.duplicated(["gpu", "provider", "offer"]).any()
    assert (table.groupby("gpu")["dense_bf16_tflops"].nunique() == 1).all()


def test_every_published_model_has_a_paper():
    table = prices.published_models()
    assert list(table) == list(prices.MODEL_COLUMNS)
    assert table["model"].is_unique and len(table) >= 8
    assert table["source"].str.contains(r"\(20\d\d\)").all()
    assert (table["active_parameters"] <= table["parameters"]).all()
    reported = table.dropna(subset="reported_gpu_hours")
    assert set(reported["reported_gpu"]) <= set(prices.gpu_prices()["gpu"])
    assert table.loc[table["reported_gpu_hours"].isna(), "reported_gpu"].isna().all()


def test_the_rule_agrees_with_published_hours():
    """6·N·D over the reported hours is a plausible share of the cards' peak, above 0.3 and below 0.6, each time."""
    table = prices.published_models().dropna(subset="reported_gpu_hours")
    peak = prices.gpu_prices().drop_duplicates("gpu").set_index("gpu")["dense_bf16_tflops"]
    for row in table.itertuples():
        possible = row.reported_gpu_hours * 3600 * peak[row.reported_gpu] * 1e12
        assert 0.3 < prices.training_flops(row.active_parameters, row.tokens) / possible < 0.6, row.model


def test_cost_by_hand():
    hours, dollars = prices.training_cost(1e9, 2e10, 200, 0.5, 3)
    assert hours == pytest.approx(1000 / 3) and dollars == pytest.approx(1000)
    with pytest.raises(ValueError, match="utilisation is 40"):
        prices.training_cost(1e9, 2e10, 200, 40, 3)


def test_a_damaged_table_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(prices, "data_path", lambda *parts: tmp_path / parts[-1])
    head = ",".join(prices.GPU_COLUMNS)
    (tmp_path / "gpu_hours.csv").write_text(f"{head}\nA,1,2,3,p,o,2026-01,s\nB,1,2,free,p,o,2026-01,s\n")
    with pytest.raises(ValueError, match="line 3: 'dollars_per_gpu_hour' is not a number above 0"):
        prices.gpu_prices()
    (tmp_path / "gpu_hours.csv").write_text("gpu,provider\nA,p\n")
    with pytest.raises(ValueError, match="no column 'memory_gb'"):
        prices.gpu_prices()
