"""The release gate and the model card: what passes, what is refused, what is written."""

import json

import numpy as np
import pytest
from huggingface_hub import ModelCard

from finetune_course.evaluate import Interval
from finetune_course.model_card import SECTIONS, write_model_card
from finetune_course.release_gate import NotShipped, decide, require_shippable

SHIPPED = np.array([True] * 91 + [False] * 9)


def test_an_adapter_equal_to_the_shipped_one_passes():
    decision = decide(SHIPPED, SHIPPED)
    assert decision.ship and decision.difference.mean == 0 and -0.05 < decision.difference.low < 0
    require_shippable(decision)


def test_a_worse_one_is_refused_and_says_why():
    worse = SHIPPED.copy()
    worse[:30] = False
    decision = decide(worse, SHIPPED)
    assert not decision.ship and decision.difference.high < 0 and "it is worse" in decision.reason
    with pytest.raises(NotShipped, match="-30 .* points against the shipped adapter on 100 messages; it is worse"):
        require_shippable(decision)


def test_too_few_messages_are_no_reason_to_ship():
    few = decide(SHIPPED[:12], SHIPPED[:12])
    assert not few.ship and "cannot be ruled out. More messages would tell" in few.reason


def test_the_comparison_is_paired_and_one_sided():
    better = np.ones(100, dtype=bool)
    assert decide(better, SHIPPED).ship
    assert not decide(SHIPPED, better).ship
    assert decide(SHIPPED, better, margin=0.2).ship


@pytest.mark.parametrize("margin", [0, 1, -0.05, 5])
def test_a_margin_is_a_share(margin):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        decide(SHIPPED, SHIPPED, margin)


def test_other_messages_are_not_compared():
    with pytest.raises(ValueError, match="needs the same messages"):
        decide(SHIPPED[:50], SHIPPED)


def card(folder, **changes):
    given = {
        "name": "Triage of support messages",
        "base": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "use": "Send a message, get a record.",
        "training": {"rows": 8743, "data (SHA-256)": "054f"},
        "scores": {"test, hand-written: exact": Interval(0.87, 0.8163, 0.9097)},
        "limits": "English alone.",
    }
    return write_model_card(folder, **given | changes)


def test_the_card_is_read_back_with_its_scores(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    written = card(tmp_path)
    read = ModelCard.load(tmp_path / "README.md")
    assert read.content == written.content
    assert read.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct" and read.data.library_name == "peft"
    assert [result.metric_value for result in read.data.eval_results] == [0.87]
    assert [line[3:] for line in read.text.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert "| test, hand-written: exact | 87% [82, 91] |" in read.text and "- rows: 8743" in read.text


def test_no_card_without_adapter_or_score(tmp_path):
    with pytest.raises(ValueError, match="holds no adapter"):
        card(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="at least one score"):
        card(tmp_path, scores={})
    assert not (tmp_path / "README.md").exists()
