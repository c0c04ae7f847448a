"""The exercise checks of notebook 06: labels with a mask, the loss, LoRA's parameters, steps, the memory of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy, log_softmax

from .checking import WrongAnswer, ask, check, passed, refuse, require, require_close
from .checks_05_sizes import memory_parts

MODEL = 134_515_008
"""Parameters of SmolLM2-135M."""

LAYERS = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)] * 30
"""(out, in) of SmolLM2-135M's linear layers: query, key, value, output, gate, up and down of its 30 blocks."""

_SHIFTED = (
    "You shifted the labels by hand. The loss shifts them itself; shifted twice, the model would learn the token "
    "after next. Label t stands under input token t."
)
_END = (
    "You masked the end token. It is also the padding token, but this one is the answer's last word: a model that "
    "never learns it never stops writing. Padding is added, and masked, later."
)
_NO_SHIFT = (
    "Is the shift missing? The logits at position t say what comes at t + 1; unshifted, each token is asked to predict "
    "itself, which it can read."
)
_WRONG_WAY = "The shift goes the wrong way: the logits at t belong to the label at t + 1, so drop the last logits."
_FIRST_LOST = "The completion's first token is missing: the mask moves with the labels, so take it from labels[1:]."
_FLOOR = (
    "Did you round down? An epoch's last batch is small (2 of 4 messages here), but it is trained on, and a half-full "
    "accumulation at the end of an epoch still makes its step."
)
_AT_ONCE = (
    "Did you round up once, for all epochs together? Each epoch ends with a step of its own, so round up for one "
    "epoch and then multiply."
)
_FROZEN_GRADIENT = "You gave frozen weights a gradient. Only the 30 trainable ones get one: that is what LoRA saves."
_FROZEN_MOMENTS = "You gave frozen weights Adam's moments: Adam keeps them only for what it changes, 30 weights."
_IN_GB = "That is in MB or GB: return bytes, and divide only when you print."


@check("6.1")
def build_labels(answer: Callable[[list, list], Any]) -> None:
    """Check of exercise 6.1: ``answer(prompt_ids, completion_ids)`` gives two lists, (input_ids, labels).

    Token 2 ends a turn (and is SmolLM2's padding too), so it stands at the end of prompt and completion alike.
    """
    prompt, completion, off = [1, 9, 2], [7, 9, 2], [-100] * 3
    inputs, labels = _two_lists(ask(answer, prompt, completion))
    whole = prompt + completion
    require((inputs, labels) != (off + completion, whole), "Return input_ids first and labels second, not the reverse.")
    one_list = (
        "-100 stands in input_ids: the model still has to read the prompt. Are both names the same list? Copy it."
    )
    require(inputs != off + completion, one_list)
    require(inputs != [*whole, 2], "You added an end token, and the completion already has its own.")
    require(inputs == whole, f"input_ids should be the prompt and then the completion, {whole}; yours is {inputs}.")
    no_places = (
        "Your labels leave the prompt's positions out. Inputs and labels lie side by side: -100 for each of them."
    )
    require(labels != completion, no_places)
    require(len(labels) == 6, f"Every input token needs one label: 6 of them here, and yours are {len(labels)}.")
    by_value = "You masked by value: tokens that the prompt holds too are gone from the completion. Mask by position."
    for wrong, sentence in (
        (whole, "Nothing is masked: the model would also learn to write the customer's message."),
        (prompt + off, "You masked the completion, the only part to be learned, and left the prompt."),
        ([*off, 7, 9, -100], _END),
        ([*off, 7, -100, -100], by_value),
        ([-100, -100, 7, 9, 2, -100], _SHIFTED),
        ([*off, -100, 7, 9], _SHIFTED),
        ([0, 0, 0, *completion], "0 is a token like any other. The loss ignores the label -100 and nothing else."),
        ([2, 2, 2, *completion], "2 is the padding token, and a label like any other: the loss ignores only -100."),
    ):
        require(labels != wrong, sentence)
    require(labels == off + completion, f"Expected the labels {off + completion}; yours are {labels}.")
    alone = _two_lists(ask(answer, [], [4, 2]))
    require(alone == ([4, 2], [4, 2]), "Without a prompt there is nothing to mask: both are the completion.")
    longer = _two_lists(ask(answer, [1, 2], [5, 6, 7, 2]))[1]
    require(longer == [-100, -100, 5, 6, 7, 2], "Mask as many positions as the prompt has tokens, 2 in [1, 2].")
    passed("3 of 6 positions teach: the answer and its end token, which is how the model will know when to stop.")


def _two_lists(value: Any) -> tuple[list[int], list[int]]:
    shape = "Return two lists of token ids: input_ids and labels."
    require(isinstance(value, (tuple, list)) and len(value) == 2, shape)
    require(all(hasattr(part, "__len__") for part in value), f"{shape} A generator is none: it can be read only once.")
    try:
        inputs, labels = ([int(token) for token in part] for part in value)
    except (TypeError, ValueError):
        raise WrongAnswer(f"{shape} One of yours holds something that is no token id.") from None
    return inputs, labels


@check("6.2")
def completion_loss(answer: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    """Check of exercise 6.2: ``answer(logits, labels)``, shapes (tokens, vocabulary) and (tokens,), gives one loss."""
    logits = 2 * torch.randn(6, 128, generator=torch.Generator().manual_seed(6))
    labels = torch.tensor([-100, -100, -100, 17, 5, 2])
    right = float(cross_entropy(logits[:-1], labels[1:]))
    by_token, late = log_softmax(logits, dim=-1), labels[:-1] != -100
    averaged = "Did you average over all positions? Divide by the number of labels that are not -100, 3 here."
    as_token = "The label -100 went into the mean as if it were a token: leave those positions out."
    twice = "cross_entropy wants the logits. It applies softmax itself, and yours was a second one."
    found = _loss(answer, logits, labels)
    refuse(
        found,
        (cross_entropy(logits, labels), _NO_SHIFT),
        (cross_entropy(logits[1:], labels[:-1]), _WRONG_WAY),
        (cross_entropy(logits[:-2], labels[2:]), "You shifted twice: the logits at t predict t + 1, not t + 2."),
        (cross_entropy(logits[:-1][late], labels[1:][late]), _FIRST_LOST),
        (right * 3 / 5, averaged),
        (right * 3 / 6, averaged),
        (-by_token[range(5), labels[1:]].mean(), as_token),
        (cross_entropy(logits[:-1], labels[1:].clamp(min=0)), as_token),
        (cross_entropy(logits[:-1].softmax(-1), labels[1:]), twice),
        (-logits[:-1].softmax(-1)[range(2, 5), labels[3:]].mean(), "Take the logarithm of the probabilities."),
        (-logits[range(2, 5), labels[3:]].mean(), "The logits are no log-probabilities yet: apply log_softmax."),
        (cross_entropy(logits[2:4], labels[3:5]), f"The third of the three tokens is missing. {_END}"),
        (right * 3, "That is the sum over the three tokens: divide it by their number."),
        (-right, "The sign: a log-probability is below 0, and the loss is its negative."),
        (math.exp(right), "That is e to the loss, the perplexity: leave the last step out."),
    )
    require_close(found, right, "Take the mean of -log p over the three labels that are not -100.", 1e-4)
    _unmasked(answer, logits[:3])
    overflow = "With a logit of 200 your loss is infinite: e to the -200 is 0 in float32. Take log_softmax, not log."
    sure = _loss(answer, torch.tensor([[200.0, 0.0], [0.0, 0.0]]), torch.tensor([-100, 1]))
    require(math.isfinite(sure), overflow)
    require_close(sure, 200.0, "A confident mistake, logit 200 against 0, costs 200.", 1e-3)
    two_answers = torch.tensor([-100, 7, -100, -100, 0, 2])
    right_of_two = float(cross_entropy(logits[:-1], two_answers[1:]))
    found = _loss(answer, logits, two_answers)
    refuse(
        found,
        (cross_entropy(logits[:-1], two_answers[1:].clamp(min=0), ignore_index=0), "0 is a token like any other."),
        (cross_entropy(logits[3:-1], two_answers[4:]), "A conversation may have two answers: mask by -100 alone."),
    )
    require_close(found, right_of_two, "With the labels -100, 7, -100, -100, 0, 2 three count: 7, 0 and 2.", 1e-4)
    passed(f"only 3 of the 6 tokens count, each predicted from one position earlier; their mean is {right:.2f}.")


def _loss(answer: Callable[..., Any], logits: torch.Tensor, labels: torch.Tensor) -> Any:
    """The answer's loss, a tensor of one number unwrapped; -100 used as an index is told as what it is."""
    try:
        value = ask(answer, logits, labels)
    except WrongAnswer as problem:
        if isinstance(problem.__cause__, (IndexError, RuntimeError)) and "out of" in str(problem.__cause__):
            raise WrongAnswer(
                "Your code looked the label -100 up in the vocabulary: leave the positions with -100 out first."
            ) from problem.__cause__
        raise
    if not isinstance(value, torch.Tensor):
        return value
    require(value.numel() == 1, "That is a loss for each position: the loss of a run is one number, their mean.")
    return value.item()


def _unmasked(answer: Callable[..., Any], logits: torch.Tensor) -> None:
    """No label is masked: the first token still has nobody to predict it, and a rolled label comes round to the end."""
    labels = torch.tensor([5, 17, 2])
    right = float(cross_entropy(logits[:-1], labels[1:]))
    rolled = "roll brings the first label round to the end, where it is no next token: cut off with [1:] and [:-1]."
    first = "Of 3 tokens only 2 are predicted, as nothing stands before the first: count the labels after the shift."
    found = _loss(answer, logits, labels)
    refuse(found, (cross_entropy(logits, labels.roll(-1)), rolled), (right * 2 / 3, first))
    require_close(found, right, "With 3 labels and no mask, 2 tokens have a prediction: average over those.", 1e-4)


@check("6.3")
def lora_parameters(answer: Callable[[list, int, int], Any]) -> None:
    """Check of exercise 6.3: ``answer(shapes, r, base)`` gives (parameters that LoRA adds, their share of the base).

    ``shapes`` are (out_features, in_features) of the adapted layers, ``base`` the parameters of the whole model.
    """
    shapes, r, base = [(4, 6), (10, 7)], 3, 1000
    added, share = _two_numbers(ask(answer, shapes, r, base))
    refuse(
        added,
        (r * 94, "r · in · out is more than the layer itself. A is r × in and B is out × r: add the two."),
        (r * (6 + 7), "That is A alone, r × in. LoRA also needs B, out × r, to come back to the layer's width."),
        (r * (4 + 10), "That is B alone, out × r. LoRA also needs A, r × in."),
        (81 + 94, "You counted the layers' own weights too: they are frozen, and only A and B are added."),
        (81 + 14, "You counted a bias: LoRA's A and B have none, and the layer's own stays frozen."),
        (94, "Those are the frozen weights of the layers: count A (r × in) and B (out × r) instead."),
        (r * (4 + 6), "That is the first layer alone: add up all of them. Does your loop return too early?"),
        (r * (10 + 7), "That is the last layer alone: start from 0 and add."),
        (27, "The rank is missing: A has r rows and B has r columns."),
    )
    require_close(added, 81, "A has r · in parameters and B out · r: 3 · (4 + 6) + 3 · (10 + 7).")
    refuse(
        share,
        (8.1, "That is per cent: return the share, from 0 to 1."),
        (81 / 94, "That is the share of the adapted layers. Embeddings and the rest are in `base`: divide by that."),
        (81 / 1081, "That divides by base + added, as PEFT's own line does. Here it is the share of the base alone."),
        (0, "A share of 0: did // cut the fraction off? Divide with /."),
    )
    require_close(share, 0.081, "The share is the added parameters divided by `base`.")
    added, share = _two_numbers(ask(answer, LAYERS, 8, MODEL))
    require_close(added, 2_442_240, "For SmolLM2-135M's 210 layers at r = 8 that should be 2,442,240.")
    require_close(share, 2_442_240 / MODEL, "Divide by the `base` that was given.")
    halved, _ = _two_numbers(ask(answer, LAYERS[:105], 16, MODEL))
    require_close(halved, 2_442_240, "r = 16 in 15 of the 30 blocks should add as many as r = 8 in all of them.")
    passed(f"{int(added):,} parameters, {share:.1%} of this model, whether r = 8 in all blocks or 16 in half of them.")


def _two_numbers(value: Any) -> tuple[Any, Any]:
    two = isinstance(value, (tuple, list)) and len(value) == 2
    require(two, "Return two numbers: the parameters that LoRA adds, and their share of the base.")
    return value[0], value[1]


@check("6.4")
def optimiser_steps(answer: Callable[[int, int, int, int], Any]) -> None:
    """Check of exercise 6.4: ``answer(examples, batch, accumulation, epochs)`` gives the Trainer's number of steps."""
    found = ask(answer, 10, 4, 2, 3)
    refuse(
        found,
        (3, _FLOOR),
        (9, "That is the number of batches. With accumulation 2 there is one step for two of them: 2 an epoch here."),
        (4, _AT_ONCE),
        (5, "Your accumulation runs on into the next epoch. The Trainer makes a step of what is left and starts anew."),
        (3.75, "A step is done or not: round up at the end of each epoch."),
        (18, "You multiplied by the accumulation. More accumulation means fewer steps: divide by it."),
        (15, "The batch size is missing: 4 messages make a batch, and two batches a step."),
        (2, "That is one epoch: multiply by the epochs."),
        (30, "Those are the messages that pass: a batch takes several at once."),
    )
    require_close(found, 6, "10 messages in batches of 4 are 3 batches; two to a step makes 2 steps an epoch.")
    for given, steps, sentence in (
        ((8, 4, 2, 3), 3, "8 messages fit exactly: 2 batches, one step an epoch. Adding 1 is not rounding up."),
        ((3, 8, 4, 2), 2, "Fewer messages than a batch still make one step an epoch."),
        ((9, 4, 1, 1), 3, "Without accumulation (1) every batch is a step, the last and smallest one as well."),
        ((17, 2, 4, 5), 15, "17 messages are 9 batches, and those 3 steps an epoch: 15 in 5 epochs."),
    ):
        require_close(ask(answer, *given), steps, sentence)
    passed("10 messages make 6 steps in 3 epochs, not 4: every epoch ends with a step, however little is left.")


@check("6.5")
def training_memory(answer: Callable[..., Any]) -> None:
    """Check of exercise 6.5: ``answer(parameters, trainable, weight_bytes=4)`` gives the bytes of a run with Adam.

    A dictionary with the keys weights, gradients, optimiser and total. Gradients and moments are float32.
    """
    parts = memory_parts(ask(answer, 1000, 30, weight_bytes=2))
    refuse(
        parts["weights"],
        (2060, "Are the trainable weights counted twice? `parameters` already holds them: 1000 · 2 bytes."),
        (4000, "Is 4 bytes a weight fixed in your code? These weights have weight_bytes=2."),
        (1000, "That is the number of weights: each takes weight_bytes bytes."),
        (60, "Those are the trainable weights alone. Every forward pass needs the frozen ones too."),
        (1940, "Those are the frozen weights alone. The trainable ones are in memory as well."),
        *((2000 / unit, _IN_GB) for unit in (1e6, 2**20, 1e9, 2**30)),
    )
    require_close(parts["weights"], 2000, "All weights, frozen or not, take weight_bytes each.")
    refuse(
        parts["gradients"],
        (4000, _FROZEN_GRADIENT),
        (2000, _FROZEN_GRADIENT),
        (60, "weight_bytes is about the weights; the gradients here are float32, 4 bytes each."),
        (30, "That is the number of gradients: each takes 4 bytes."),
    )
    require_close(parts["gradients"], 120, "A float32, 4 bytes, for each of the 30 trainable weights.")
    refuse(
        parts["optimiser"],
        (120, "That is one moment. Adam keeps two for each trainable weight: of its gradient, and of its square."),
        (8000, _FROZEN_MOMENTS),
        (4000, _FROZEN_MOMENTS),
        (360, "The gradient is counted already: the optimiser's own part is the two moments."),
    )
    require_close(parts["optimiser"], 240, "Two float32 moments for each of the 30 trainable weights.")
    require_close(parts["total"], 2360, "The total is the sum of the three parts.")
    full, lora = (memory_parts(ask(answer, MODEL + extra, extra or MODEL)) for extra in (0, 2_442_240))
    require_close(full["total"], 16 * MODEL, "weight_bytes should be 4 where it is not given: 4 + 4 + 8 a weight.", 1)
    require_close(lora["total"], 577_135_872, "LoRA on SmolLM2-135M, weights in float32, takes 577,135,872 bytes.", 1)
    saved = f"{full['total'] / 1e9:.2f} GB and LoRA {lora['total'] / 1e9:.2f} GB"
    passed(f"full fine-tuning takes {saved}. A measured peak is higher: activations and the libraries come on top.")
