"""The model card of an adapter: README.md in its folder, in the form that the model hub reads.

The head (YAML) and its fields are huggingface_hub's; numbers come from scored messages, never typed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from .evaluate import Interval, percent

SECTIONS = ("Use", "Training", "Scores", "Limits", "Licence")


def write_model_card(
    folder: str | Path,
    *,
    name: str,
    base: str,
    use: str,
    training: Mapping[str, object],
    scores: Mapping[str, Interval],
    limits: str,
    licence: str = "apache-2.0",
) -> ModelCard:
    """Write FOLDER/README.md and return the card as read back from it.

    Args:
        folder: the adapter's folder; it must hold adapter_config.json.
        base: hub id of the base model.
        use: what to send and what comes back, in a sentence or a short list (Markdown).
        training: facts of the run, such as data hash, rows, versions, in the order in which they are to stand.
        scores: what was measured ("test, hand-written: exact") to its share with interval.
        limits: what it was not tested on or should not be used for (Markdown).

    Raises ValueError where the folder holds no adapter or no score is given: a card without scores is advertising.
    """
    folder = Path(folder)
    if not (folder / "adapter_config.json").is_file():
        raise ValueError(f"The folder '{folder.name}' holds no adapter (no adapter_config.json): save it there first.")
    if not scores:
        raise ValueError("A model card needs at least one score with its interval.")
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type="finetune-course",
            dataset_name=what,
            metric_type="accuracy",
            metric_name=what,
            metric_value=round(float(value.mean), 4),
        )
        for what, value in scores.items()
    ]
    data = ModelCardData(
        base_model=base,
        library_name="peft",
        license=licence,
        language="en",
        pipeline_tag="text-generation",
        tags=["lora"],
        model_name=name,
        eval_results=results,
    )
    facts = "\n".join(f"- {key}: {value}" for key, value in training.items())
    table = "\n".join(f"| {what} | {percent(*value)} |" for what, value in scores.items())
    bodies = (
        use,
        facts,
        f"| measured | share with 95% interval |\n|---|---|\n{table}",
        limits,
        f"{licence}, as the base model `{base}`.",
    )
    text = "\n\n".join(f"## {head}\n\n{body.strip()}" for head, body in zip(SECTIONS, bodies, strict=True))
    path = folder / "README.md"
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {name}\n\n{text}\n").save(path)
    return ModelCard.load(path)
