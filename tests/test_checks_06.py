"""The checks of notebook 06: right answers however written pass, misconceptions are named, and the facts are real.

What the exercises teach about libraries (steps, parameters, memory) is compared with what the libraries really do.
"""

import math

import exercise_bank
import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax, nll_loss, one_hot, softmax

from finetune_course import checks_06

CHECKS = [
    checks_06.build_labels,
    checks_06.completion_loss,
    checks_06.lora_parameters,
    checks_06.optimiser_steps,
    checks_06.training_memory,
]


def labels_by_slices(prompt, completion):
    labels = [*prompt, *completion]
    labels[: len(prompt)] = [-100 for _ in prompt]
    return [*prompt, *completion], labels


def labels_by_enumerating(prompt, completion):
    whole = torch.tensor(prompt + completion)
    return whole, torch.where(torch.arange(len(whole)) < len(prompt), -100, whole)


def mask_in_one_list(prompt, completion):
    inputs = labels = prompt + completion
    labels[: len(prompt)] = [-100] * len(prompt)
    return inputs, labels


def extends_the_prompt(prompt, completion):
    labels = [-100] * len(prompt) + completion
    prompt += completion
    return prompt, labels


def extends_a_copy_and_the_prompt(prompt, completion):
    labels = [-100] * len(prompt) + completion
    prompt.extend(completion)
    return list(prompt), labels


def labels_from(make):
    """An answer whose inputs are right and whose labels come from ``make(prompt, completion)``."""
    return lambda prompt, completion: (prompt + completion, make(prompt, completion))


def off(prompt):
    return [-100] * len(prompt)


LABELS_WRONG = [
    (labels_from(lambda p, c: p + c), "Nothing is masked"),
    (labels_from(lambda p, c: p + off(c)), "masked the completion"),
    (labels_from(lambda p, c: off(p) + [t if t != 2 else -100 for t in c]), "masked the end token"),
    (labels_from(lambda p, c: off(p) + c[:-1]), "needs one label"),
    (labels_from(lambda p, c: c), "leave the prompt's positions out"),
    (labels_from(lambda p, c: (off(p) + c)[1:] + [-100]), "shifted the labels by hand"),
    (labels_from(lambda p, c: [-100] + (off(p) + c)[:-1]), "shifted the labels by hand"),
    (labels_from(lambda p, c: [-100 if t in p else t for t in p + c]), "Mask by position"),
    (labels_from(lambda p, c: [0] * len(p) + c), "0 is a token like any other"),
    (labels_from(lambda p, c: [2] * len(p) + c), "2 is the padding token"),
    (labels_from(lambda p, c: [None] * len(p) + c), "no token id"),
    (labels_from(lambda p, c: [-100] * 3 + c), "Without a prompt there is nothing to mask"),
    (labels_from(lambda p, c: [-100] * min(3, 9 * len(p)) + c), "as many positions as the prompt has tokens"),
    (lambda p, c: (off(p) + c, p + c), "not the reverse"),
    (lambda p, c: (p + c + [2], off(p) + c + [2]), "added an end token"),
    (lambda p, c: (c, c), "input_ids should be the prompt and then"),
    (mask_in_one_list, "Are both names the same list"),
    (extends_the_prompt, "changed the list that it was given"),
    (extends_a_copy_and_the_prompt, "changed the list that it was given"),
    (lambda p, c: (p + c, (label for label in off(p) + c)), "A generator is none"),
    (lambda p, c: ([1, 9, 2, 7, 9, 2], [-100, -100, -100, 7, 9, 2]), "Without a prompt"),
    (lambda p, c: print(p + c, off(p) + c), "returned None"),
    (lambda p, c: off(p) + c, "Return two lists"),
    (lambda p, c: {"input_ids": p + c}, "Return two lists"),
]


def loss_by_hand(logits, labels):
    total, count = 0.0, 0
    for position in range(len(labels) - 1):
        target = int(labels[position + 1])
        if target != -100:
            total += float(torch.logsumexp(logits[position], 0) - logits[position, target])
            count += 1
    return total / count


def loss_by_mask(logits, labels):
    kept = labels[1:] != -100
    return nll_loss(log_softmax(logits[:-1][kept], dim=-1), labels[1:][kept])


def loss_by_product(logits, labels):
    """A sum in which a masked position counts 0: right, because it is divided by the number of those that count."""
    each = cross_entropy(logits[:-1], labels[1:], reduction="none")
    return each.sum() / (labels[1:] != -100).sum()


def loss_by_one_hot(logits, labels):
    kept = (labels[1:] != -100).float()
    picked = one_hot(labels[1:].clamp(min=0), logits.shape[1]) * log_softmax(logits[:-1], -1)
    return -(picked.sum(-1) * kept).sum() / kept.sum()


def chosen(scores, labels):
    """Scores of the right next tokens, masked ones left out."""
    kept = labels[1:] != -100
    return scores[:-1][kept, labels[1:][kept]]


def mask_not_shifted(logits, labels):
    kept = labels[:-1] != -100
    return cross_entropy(logits[:-1][kept], labels[1:][kept])


def counted_before_the_shift(logits, labels):
    return cross_entropy(logits[:-1], labels[1:], reduction="sum") / (labels != -100).sum()


def zero_in_place_of_minus_100(logits, labels):
    labels[labels == -100] = 0
    return cross_entropy(logits[:-1], labels[1:], ignore_index=0)


def after_as_many_as_are_masked(logits, labels):
    start = max(1, int((labels == -100).sum()))
    return cross_entropy(logits[start - 1 : -1], labels[start:])


LOSS_WRONG = [
    (zero_in_place_of_minus_100, "changed the tensor"),
    (lambda z, y: cross_entropy(z[:-1], y[1:].clamp(min=0), ignore_index=0), "0 is a token"),
    (after_as_many_as_are_masked, "mask by -100 alone"),
    (lambda z, y: cross_entropy(z[:-1], torch.where(y[1:] == 2, -100, y[1:])), "masked the end token"),
    (lambda z, y: cross_entropy(y[1:], z[:-1]), "stopped with"),
    (lambda z, y: print(cross_entropy(z[:-1], y[1:])), "returned None"),
    (lambda z, y: cross_entropy(z, y), "Is the shift missing"),
    (lambda z, y: cross_entropy(z[y != -100], y[y != -100]), "Is the shift missing"),
    (lambda z, y: cross_entropy(z[1:], y[:-1]), "goes the wrong way"),
    (lambda z, y: cross_entropy(z[:-2], y[2:]), "shifted twice"),
    (lambda z, y: cross_entropy(z, y.roll(-1)), "roll brings the first label round"),
    (lambda z, y: cross_entropy(z[:-1], y[1:], reduction="none").mean(), "average over all positions"),
    (lambda z, y: cross_entropy(z[:-1], y[1:], reduction="sum") / len(y), "average over all positions"),
    (lambda z, y: -log_softmax(z, -1)[range(len(y) - 1), y[1:]].mean(), "as if it were a token"),
    (lambda z, y: cross_entropy(z[:-1], y[1:].clamp(min=0)), "as if it were a token"),
    (lambda z, y: cross_entropy(z[:-1], y[1:], ignore_index=-1), "looked the label -100 up"),
    (lambda z, y: -log_softmax(z[:-1], -1).gather(1, y[1:, None]).mean(), "looked the label -100 up"),
    (lambda z, y: cross_entropy(softmax(z[:-1], -1), y[1:]), "yours was a second one"),
    (lambda z, y: nll_loss(softmax(z[:-1], -1), y[1:]), "Take the logarithm"),
    (lambda z, y: nll_loss(z[:-1], y[1:]), "no log-probabilities yet"),
    (lambda z, y: cross_entropy(z[:-1], y[1:], reduction="sum"), "That is the sum"),
    (lambda z, y: -cross_entropy(z[:-1], y[1:]), "The sign"),
    (lambda z, y: cross_entropy(z[:-1], y[1:]).exp(), "perplexity"),
    (lambda z, y: cross_entropy(z[:-1], y[1:], reduction="none"), "a loss for each position"),
    (lambda z, y: -chosen(softmax(z, -1).log(), y).mean(), "Take log_softmax, not log"),
    (mask_not_shifted, "first token is missing"),
    (counted_before_the_shift, "count the labels after the shift"),
    (lambda z, y: "2.3", "one number"),
    (lambda z, y: 6.0, "mean of -log p"),
]


def lora_by_matrices(shapes, r, base):
    added = 0
    for outputs, inputs in shapes:
        added += torch.empty(r, inputs).numel() + torch.empty(outputs, r).numel()
    return [added, added / base]


def share_of(make):
    """An answer whose count comes from ``make(out, in, r)``, summed, and whose share is right for the right count."""
    return lambda shapes, r, base: (sum(make(o, i, r) for o, i in shapes), lora_by_matrices(shapes, r, base)[1])


LORA_WRONG = [
    (share_of(lambda o, i, r: r * o * i), "more than the layer itself"),
    (share_of(lambda o, i, r: r * i), "That is A alone"),
    (share_of(lambda o, i, r: r * o), "That is B alone"),
    (share_of(lambda o, i, r: o * i + r * (o + i)), "layers' own weights too"),
    (share_of(lambda o, i, r: r * (o + i) + o), "counted a bias"),
    (share_of(lambda o, i, r: o * i), "frozen weights of the layers"),
    (share_of(lambda o, i, r: o + i), "The rank is missing"),
    (lambda s, r, base: lora_by_matrices(s[:1], r, base), "the first layer alone"),
    (lambda s, r, base: lora_by_matrices(s[-1:], r, base), "the last layer alone"),
    (lambda s, r, base: (n := lora_by_matrices(s, r, base)[0], 100 * n / base), "per cent"),
    (lambda s, r, base: (n := lora_by_matrices(s, r, base)[0], n / sum(o * i for o, i in s)), "adapted layers"),
    (lambda s, r, base: (n := lora_by_matrices(s, r, base)[0], n / (n + base)), "base + added"),
    (lambda s, r, base: (n := lora_by_matrices(s, r, base)[0], n // base), "did // cut the fraction off"),
    (lambda s, r, base: lora_by_matrices(s, r, base)[0], "Return two numbers"),
    (lambda s, r, base: (lora_by_matrices(s, r, base)[0], "8.1%"), "one number"),
    (lambda s, r, base: (n := lora_by_matrices(s, r, base)[0], n / 1000), "`base` that was given"),
]


def steps_at_once(examples, batch, accumulation, epochs):
    return epochs * -(-examples // (batch * accumulation))


def steps_by_counting(examples, batch, accumulation, epochs):
    steps = 0
    for _ in range(epochs):
        waiting = 0
        for _ in range(0, examples, batch):
            waiting += 1
            if waiting == accumulation:
                steps, waiting = steps + 1, 0
        steps += waiting > 0
    return steps


STEPS_WRONG = [
    (lambda n, b, a, e: n // (b * a) * e, "Did you round down"),
    (lambda n, b, a, e: n // b // a * e, "Did you round down"),
    (lambda n, b, a, e: math.ceil(n / b) // a * e, "Did you round down"),
    (lambda n, b, a, e: n * e // (b * a), "Did you round down"),
    (lambda n, b, a, e: math.ceil(n / b) * e, "number of batches"),
    (lambda n, b, a, e: math.ceil(n * e / (b * a)), "for all epochs together"),
    (lambda n, b, a, e: math.ceil(math.ceil(n / b) * e / a), "runs on into the next epoch"),
    (lambda n, b, a, e: n / (b * a) * e, "A step is done or not"),
    (lambda n, b, a, e: math.ceil(n / b) * a * e, "multiplied by the accumulation"),
    (lambda n, b, a, e: math.ceil(n / a) * e, "batch size is missing"),
    (lambda n, b, a, e: math.ceil(n / (b * a)), "multiply by the epochs"),
    (lambda n, b, a, e: n * e, "a batch takes several at once"),
    (lambda n, b, a, e: (n // (b * a) + 1) * e, "Adding 1 is not rounding up"),
    (lambda n, b, a, e: round(n / (b * a) + 0.4) * e, "still make one step"),
    (lambda n, b, a, e: "6", "one number"),
]


def memory(weights, gradients, optimiser):
    """An answer from three functions of (parameters, trainable, weight_bytes)."""

    def answer(parameters, trainable, weight_bytes=4):
        given = (parameters, trainable, weight_bytes)
        parts = {"weights": weights(*given), "gradients": gradients(*given), "optimiser": optimiser(*given)}
        return {**parts, "total": sum(parts.values())}

    return answer


def all_weights(p, t, b):
    return p * b


def four(p, t, b):
    return 4 * t


def eight(p, t, b):
    return 8 * t


def memory_in_bits(parameters, trainable, weight_bytes=4):
    """With floats, and the keys in another order."""
    bits = 32 * trainable
    parts = {"optimiser": 2 * bits / 8, "gradients": bits / 8, "weights": float(parameters * weight_bytes)}
    parts["total"] = math.fsum(parts.values())
    return parts


def spelt(*renamed, drop=()):
    names = dict(renamed)

    def answer(parameters, trainable, weight_bytes=4):
        found = memory(all_weights, four, eight)(parameters, trainable, weight_bytes)
        return {names.get(key, key): value for key, value in found.items() if key not in drop}

    return answer


def scaled(unit):
    def answer(parameters, trainable, weight_bytes=4):
        found = memory(all_weights, four, eight)(parameters, trainable, weight_bytes)
        return {key: value / unit for key, value in found.items()}

    return answer


def wrong_total(parameters, trainable, weight_bytes=4):
    return {**memory(all_weights, four, eight)(parameters, trainable, weight_bytes), "total": parameters * weight_bytes}


def default_of_two(parameters, trainable, weight_bytes=2):
    return memory(all_weights, four, eight)(parameters, trainable, weight_bytes)


MEMORY_WRONG = [
    (memory(all_weights, four, four), "That is one moment"),
    (memory(all_weights, lambda p, t, b: 4 * p, eight), "gave frozen weights a gradient"),
    (memory(all_weights, lambda p, t, b: b * p, eight), "gave frozen weights a gradient"),
    (memory(all_weights, four, lambda p, t, b: 8 * p), "gave frozen weights Adam's moments"),
    (memory(all_weights, four, lambda p, t, b: 12 * t), "gradient is counted already"),
    (memory(all_weights, lambda p, t, b: b * t, eight), "weight_bytes is about the weights"),
    (memory(all_weights, lambda p, t, b: t, eight), "number of gradients"),
    (memory(lambda p, t, b: (p + t) * b, four, eight), "counted twice"),
    (memory(lambda p, t, b: (p - t) * b, four, eight), "frozen weights alone"),
    (memory(lambda p, t, b: t * b, four, eight), "trainable weights alone"),
    (memory(lambda p, t, b: 4 * p, four, eight), "fixed in your code"),
    (memory(lambda p, t, b: p, four, eight), "number of weights"),
    (scaled(1e9), "return bytes"),
    (scaled(2**30), "return bytes"),
    (scaled(1e6), "return bytes"),
    (spelt(("optimiser", "optimizer")), "spelt `optimiser`"),
    (spelt(drop=("total",)), "lacks total"),
    (lambda p, t, weight_bytes=4: {**memory_in_bits(p, t, weight_bytes), "frozen": p - t}, "leave the rest out"),
    (wrong_total, "sum of the three"),
    (default_of_two, "where it is not given"),
    (lambda parameters, trainable, weight_bytes=4: 64, "Return a dictionary"),
    (lambda parameters, trainable: {}, "stopped with TypeError"),
]

RIGHT = [
    (checks_06.build_labels, labels_by_slices),
    (checks_06.build_labels, labels_by_enumerating),
    (checks_06.build_labels, labels_from(lambda p, c: off(p) + c)),
    (checks_06.completion_loss, loss_by_hand),
    (checks_06.completion_loss, loss_by_mask),
    (checks_06.completion_loss, loss_by_product),
    (checks_06.completion_loss, loss_by_one_hot),
    (checks_06.lora_parameters, lora_by_matrices),
    (checks_06.lora_parameters, lambda s, r, base: (n := r * sum(map(sum, s)), n / base)),
    (checks_06.optimiser_steps, steps_at_once),
    (checks_06.optimiser_steps, steps_by_counting),
    (checks_06.training_memory, memory_in_bits),
    (checks_06.training_memory, memory(all_weights, four, eight)),
]

WRONG = [
    (check, answer, words)
    for check, cases in zip(CHECKS, (LABELS_WRONG, LOSS_WRONG, LORA_WRONG, STEPS_WRONG, MEMORY_WRONG), strict=True)
    for answer, words in cases
]

test_right_answers, test_wrong_answers, test_stubs = exercise_bank.tests(CHECKS, RIGHT, WRONG)


def test_an_index_of_minus_100_is_silent_where_the_vocabulary_is_large():
    """Why the check's vocabulary has more than 100 tokens: in a smaller one this mistake would stop with an error."""
    logits, labels = torch.zeros(3, 128), torch.tensor([-100, -100, 5])
    assert logits[range(3), labels].shape == (3,)


def test_memory_is_what_torch_keeps_for_adamw():
    """Frozen and trainable layers, one step of AdamW: the bytes of weights, gradients and moments, counted."""
    frozen, trained = torch.nn.Linear(40, 25, bias=False), torch.nn.Linear(25, 4, bias=False)
    frozen.requires_grad_(False)
    weights = [*frozen.parameters(), *trained.parameters()]
    adam = torch.optim.AdamW(trained.parameters())
    trained(frozen(torch.randn(3, 40))).sum().backward()
    adam.step()
    moments = [state[name] for state in adam.state.values() for name in ("exp_avg", "exp_avg_sq")]
    counted = {
        "weights": sum(w.nbytes for w in weights),
        "gradients": sum(w.grad.nbytes for w in weights if w.grad is not None),
        "optimiser": sum(moment.nbytes for moment in moments),
    }
    expected = memory(all_weights, four, eight)(sum(w.numel() for w in weights), trained.weight.numel())
    assert {**counted, "total": sum(counted.values())} == expected


@pytest.mark.slow
@pytest.mark.parametrize("given", [(10, 4, 2, 3), (8, 4, 2, 3), (3, 8, 4, 2), (9, 4, 1, 1), (17, 2, 4, 5)], ids=str)
def test_the_trainer_makes_as_many_steps(given, tmp_path):
    """The Trainer's own count, before and after a real run of a model with one weight."""
    from transformers import Trainer, TrainingArguments

    class OneWeight(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            return {"loss": (self.weight * x).mean()}

    examples, batch, accumulation, epochs = given
    arguments = TrainingArguments(
        output_dir=tmp_path,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(OneWeight(), arguments, train_dataset=[{"x": float(i)} for i in range(examples)])
    trainer.train()
    assert trainer.state.max_steps == trainer.state.global_step == steps_at_once(*given) == steps_by_counting(*given)


@pytest.mark.slow
def test_peft_adds_as_many_parameters():
    """The course's model on the meta device (no weights needed): its layers are LAYERS, its LoRA as large as said."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    shapes = [
        tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    ]
    assert sorted(shapes) == sorted(checks_06.LAYERS)
    assert sum(weight.numel() for weight in model.parameters()) == checks_06.MODEL
    with torch.device("meta"):
        adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert adapted.get_nb_trainable_parameters()[0] == lora_by_matrices(checks_06.LAYERS, 8, 1)[0] == 2_442_240
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    half = LoraConfig(r=16, target_modules=names, layers_to_transform=list(range(15, 30)), task_type="CAUSAL_LM")
    with torch.device("meta"):
        adapted = get_peft_model(adapted.unload(), half)
    assert adapted.get_nb_trainable_parameters()[0] == 2_442_240
