"""The house style: alt text in the output's metadata, a white background, colours apart, axes named with units."""

import base64

import matplotlib
import pandas as pd
import pytest

from finetune_course import plots

TABLE = pd.DataFrame(
    [
        ("zero-shot", "hand-written", "exact", 200, 0.0, 0.0, 0.02),
        ("zero-shot", "template-made", "exact", 150, 0.01, 0.0, 0.03),
        ("tuned", "hand-written", "exact", 200, 0.9, 0.85, 0.94),
        ("tuned", "template-made", "exact", 150, 0.95, 0.91, 0.98),
        ("tuned", "hand-written", "valid", 200, 1.0, 0.98, 1.0),
    ],
    columns=["method", "set", "measure", "messages", "mean", "low", "high"],
)


@pytest.fixture
def displayed(monkeypatch):
    """What ``plots.show`` hands to IPython: (data, keyword arguments) of each call."""
    import IPython.display

    calls = []
    monkeypatch.setattr(IPython.display, "display", lambda data, **named: calls.append((data, named)))
    return calls


def test_show_puts_the_alt_text_where_jupyter_reads_it(displayed):
    figure = plots.interval_plot(TABLE)
    plots.show(figure, alt=" Dots with intervals. ")
    ((data, named),) = displayed
    assert named["metadata"]["image/png"]["alt"] == "Dots with intervals."
    assert named["raw"] is True
    png = data["image/png"] if isinstance(data["image/png"], bytes) else base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) < 100_000


@pytest.mark.parametrize("alt", ["", "  "])
def test_a_figure_without_alt_text_is_refused(displayed, alt):
    with pytest.raises(ValueError, match="no alt text"):
        plots.show(plots.interval_plot(TABLE), alt=alt)
    assert not displayed


def test_the_background_is_white_on_every_theme():
    figure, ax = plots.figure()
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == "#ffffff"
    assert matplotlib.colors.to_hex(ax.get_facecolor()) == "#ffffff"
    assert matplotlib.rcParams["savefig.facecolor"] == "white"


def test_neighbouring_colours_differ_in_lightness_or_hue():
    assert len(set(plots.COLOURS)) == 8 and len(plots.MARKERS) == 8
    first, second = (matplotlib.colors.to_rgb(colour) for colour in plots.COLOURS[:2])
    assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 0.8


def test_interval_plot_has_every_method_its_interval_and_axes_with_units():
    ax = plots.interval_plot(TABLE, title="Exact").axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["zero-shot", "tuned"]
    assert "%" in ax.get_xlabel() and ax.get_title(loc="left") == "Exact"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["hand-written", "template-made"]
    points = [container[0].get_xdata().tolist() for container in ax.containers]
    assert points == [[0.0, 90.0], [1.0, 95.0]]
    ends = ax.containers[0][2][0].get_segments()[1][:, 0]
    assert ends.tolist() == pytest.approx([85, 94])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first method stands on top


def test_interval_plot_of_one_set_needs_no_legend():
    ax = plots.interval_plot(TABLE, measure="valid", label="valid records (%)").axes[0]
    assert ax.get_legend() is None and ax.get_xlabel() == "valid records (%)"


def test_interval_plot_names_a_measure_that_is_not_there():
    with pytest.raises(ValueError, match="no measure 'speed'; it has exact, valid"):
        plots.interval_plot(TABLE, measure="speed")


def test_intervals_in_words():
    words = plots.describe_intervals(TABLE)
    assert words.startswith("zero-shot, hand-written: 0% [0, 2]; ") and words.endswith("95% [91, 98]")


def test_value_bars_are_labelled_and_begin_at_zero():
    ax = plots.value_bars({"float32": 290.0, "bfloat16": 150.0}, "rate (GFLOP/s)").axes[0]
    assert ax.get_xlabel() == "rate (GFLOP/s)" and ax.get_xlim()[0] == 0
    assert [text.get_text() for text in ax.texts] == ["290", "150"]
