# %% [markdown]
# # 02 · Fine-tuning
#
# Notebook 01 trained a small transformer on the texts of a made-up coast, from random numbers to sentences. Here the
# **same** model goes on: first with the texts of a shop, then with questions and answers. Nothing new is needed for
# that, no other loop and no other loss. Fine-tuning is training that starts somewhere better.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - train a pre-trained model further, and say how many times cheaper that was than starting afresh, with an interval;
# - measure what it forgets on the way, and mend that with **replay**;
# - turn a model that continues texts into one that answers and stops, by a chat template and pairs of questions and
#   answers;
# - score answers by a program, before and after, on questions that were written by hand in other words;
# - find the same markers in a real model with 135 million parameters that was tuned to follow instructions.
#
# It takes about 4 minutes of computing on 2 CPU cores, an hour of your time, and up to 2 GB of memory. In the small
# profile, on one core as on Binder, it took 11 minutes and 1.1 GB.

# %% [markdown]
# ## Before you start
#
# You should have seen [notebook 01](01_pretraining.ipynb): tokens, the loss in *nats* per token (the mean of $-\ln p$
# of the right next token), and the training loop. If you did not run it, a model trained in the same way comes with
# the course. First the versions.

# %% tags=["exercise-setup"]
import math
from importlib.metadata import version

import pandas as pd
import torch

from finetune_course import checks_02

pd.set_option("display.max_colwidth", 160)
libraries = ["torch", "transformers", "tokenizers", "numpy"]
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# ## One model, two kinds of text
#
# Your own model is taken, if notebook 01 left one; otherwise the one that comes with the course.

# %%
from finetune_course.hardware import inspect_hardware
from finetune_course.small_model import documents, encode, load_small_model, small_model_folder
from finetune_course.training import quiet_libraries

quiet_libraries()
hw = inspect_hardware()
folder, which = small_model_folder()
pretrained, tokenizer = load_small_model(folder)
print(which, f"{pretrained.num_parameters():,} parameters")

# %% [markdown]
# It has read about towns, people, weather and animals. It has never read a word about Wattle & Wave, the shop of this
# course. The shop's texts say what things cost, who mends them and when the door is opened. Three of them:

# %% tags=["nbval-check-output"]
shop = documents("train", "shop")
print(f"{len(shop)} shop texts, {sum(map(len, shop)):,} characters\n")
for text in shop[:3]:
    print("-", text)

# %% [markdown]
# How strange does this look to the model? Its loss on texts of both kinds that it has not seen, one value for each
# text, with the interval that says how far the mean would move with other texts of the same kind.

# %%
from finetune_course.evaluate import interval
from finetune_course.small_model import token_loss

texts = {(part, split): encode(documents(split, part), tokenizer)
         for part in ("general", "shop") for split in ("validation", "test")}
before = {part: token_loss(pretrained, texts[part, "validation"]) for part in ("general", "shop")}
for part, losses in before.items():
    print(f"{part:8} {interval(losses)} nats per token")

# %% [markdown]
# Ask it to go on with a sentence about the shop, and read what it makes of it:

# %%
from finetune_course.small_model import continue_text

for opening in ("The Harrier tent costs", "At Wattle & Wave", "To mend a stuck zip"):
    print("-", continue_text(pretrained, tokenizer, opening, max_new_tokens=30))

# %% [markdown]
# ## The loop, on three rows
#
# The loop is that of notebook 01. Before it meets the shop, three sentences and eight steps: the loss on them before
# and after, and the loss on a fourth sentence that it did not train on.

# %%
import copy

from torch.nn.functional import cross_entropy

toy = encode(["We open at nine.", "We close at five.", "Marlo drinks coffee."], tokenizer)
other = encode(["The sea is calm today."], tokenizer)
model = copy.deepcopy(pretrained)
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
print("before:", token_loss(model, toy).round(2), "other:", token_loss(model, other).round(2))
for _ in range(8):
    for row in map(torch.tensor, toy):
        loss = cross_entropy(model(input_ids=row[None, :-1]).logits[0], row[1:])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
print("after: ", token_loss(model, toy).round(2), "other:", token_loss(model, other).round(2))

# %% [markdown]
# The three sentences became far less surprising. Now look at the last number: where it rose, the model has become worse
# at a sentence that nobody touched. That is **forgetting**, after 24 updates; further down it is measured properly, on
# many texts.
#
# ## From scratch, or further?
#
# The claim (C01 in the ledger): *continuing from a pre-trained model reaches the from-scratch model's final loss with a
# tenth of the tokens or less.* So, the shop, twice. One model starts from random numbers, as if the shop had nothing but its own texts. The other
# starts from the pre-trained model. Same texts, same loop, same size, so a token costs both the same compute.
#
# The settings stand in one file. Each run has the learning rate that was best **for it** on validation texts; a
# comparison in which one side is badly set up proves nothing.

# %% tags=["nbval-check-output"]
import yaml
from finetune_course.paths import data_path

text = data_path("corpus", "finetuning.yaml").read_text(encoding="utf-8")
settings = yaml.safe_load(text)
print(text)

# %% [markdown]
# What was tried, and how each run ended on the validation texts, is on record (made with the model that comes with the
# course). A run with twice the steps stands there too: from-scratch training was not stopped in full flight.

# %%
import json
from finetune_course.paths import course_root

record = json.loads((course_root() / "benchmarks" / "results" / "small_finetune.json").read_text(encoding="utf-8"))
tried = {name.removeprefix("validation, "): run["curve"][-1] for name, run in record["runs"].items() if "curve" in run}
pd.DataFrame(tried, index=["shop tokens", "validation loss at the end (nats)"]).T

# %% [markdown]
# The loop once more, with a learning rate that rises for ten steps and then falls along half a cosine. Every few steps
# it stops to measure the loss on the held-out shop texts: those are the points of the curve.

# %%
from finetune_course.small_model import batches, corpus_tokens

streams = {part: corpus_tokens("train", tokenizer, part) for part in ("shop", "general")}


def rate_factor(step, steps):
    """Warm-up, then half a cosine down to a tenth."""
    return min(step / 10, 1) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))


def update(model, optimiser, inputs, targets, rate):
    """One step: loss, gradient, a limit on its size, and the optimiser's move."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    return loss.item()

# %% [markdown]
# `train` puts the two together. With `replay` it adds windows of general text to every batch; leave that for later.

# %%
def train(model, learning_rate, steps, batch, replay=0, seed=0, every=20):
    """Train on shop texts; returns the points (shop tokens seen, loss of each shop test text)."""
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    old = batches(streams["general"], steps, replay, seed=seed) if replay else None
    points = [(0, token_loss(model, texts["shop", "test"]))]
    for step, (inputs, targets) in enumerate(batches(streams["shop"], steps, batch, seed=seed), 1):
        seen = step * inputs.numel()
        if old:
            more_inputs, more_targets = next(old)
            inputs, targets = torch.cat([inputs, more_inputs]), torch.cat([targets, more_targets])
        update(model, optimiser, inputs, targets, learning_rate * rate_factor(step, steps))
        if step % every == 0 or step == steps:
            points.append((seen, token_loss(model, texts["shop", "test"])))
    return points

# %% [markdown]
# Go: first from random numbers, then from the pre-trained model.

# %%
from transformers import LlamaConfig, LlamaForCausalLM, set_seed
from finetune_course.small_model import TINY

set_seed(0)
scratch = train(LlamaForCausalLM(LlamaConfig(**TINY)), **settings["scratch"])
continued_model = copy.deepcopy(pretrained)
continued = train(continued_model, **settings["continued"], every=2)
for name, points in (("from scratch", scratch), ("continued", continued)):
    print(f"{name:13} {points[0][1].mean():.2f} → {points[-1][1].mean():.2f} nats after {points[-1][0]:,} tokens")

# %% [markdown]
# The two curves over the tokens seen. The dotted line is where the from-scratch model ends.

# %%
from finetune_course import plots

fig, ax = plots.figure()
for (name, points), colour, marker in zip((("from scratch", scratch), ("continued", continued)), plots.COLOURS, plots.MARKERS):
    ax.plot([seen for seen, _ in points[1:]], [losses.mean() for _, losses in points[1:]], color=colour, marker=marker, label=name)
ax.axhline(scratch[-1][1].mean(), color=plots.COLOURS[7], linestyle=":", label="where from-scratch ends")
ax.set(xscale="log", xlabel="shop tokens seen (logarithmic)", ylabel="loss on shop test texts (nats per token)")
ax.legend()
spoken = "; ".join(f"{name}: {points[1][1].mean():.2f} at {points[1][0]:,} tokens, {points[-1][1].mean():.2f} at {points[-1][0]:,}"
                   for name, points in (("from scratch", scratch), ("continued", continued)))
plots.show(fig, alt=f"Loss on shop test texts in nats per token against shop tokens seen (logarithmic axis). {spoken}.")

# %% [markdown]
# ### Exercise 2.1 — how many times cheaper?
#
# Difficulty ●●○ · importance ●●● · about 8 minutes
#
# "Cheaper" needs a common goal: the loss with which the from-scratch run **ends**. How many tokens did that run take to
# get there, and how many the continued one? The ratio of the two is the answer to claim C01. (The models are equally
# large, so tokens stand for compute.)
#
# Write `times_cheaper(scratch, continued)`. Both are lists of pairs `(tokens, loss)` in the order of the run. Take the
# **first** point of `continued` whose loss is the target or lower. Return `None` if it never gets there, and `math.inf`
# if it was there before its first step.
#
# **Expected output**
#
# ```
# times_cheaper([(0, 7.6), (800, 2.5)], [(0, 4.0), (50, 3.1), (160, 2.5)])  →  5.0
# times_cheaper([(0, 7.6), (800, 2.5)], [(0, 4.0), (50, 3.1)])              →  None
# times_cheaper([(0, 7.6), (800, 2.5)], [(0, 2.4)])                         →  inf
# ```
#
# <details><summary>Hint 1</summary>
#
# Target and tokens of the from-scratch run both stand in its last pair: `tokens, target = scratch[-1]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Go through `continued` in order and stop at the first pair with `loss <= target`. Beware of dividing by 0 tokens.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `for seen, loss in continued: if loss <= target: return tokens / seen if seen else math.inf`, and after the loop
# `return None`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-2-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def times_cheaper(scratch, continued):
    """How many times fewer tokens the continued run needs for the from-scratch run's final loss; None if it never has it."""
    ### BEGIN SOLUTION
    tokens, target = scratch[-1]
    for seen, loss in continued:
        if loss <= target:
            return tokens / seen if seen else math.inf
    return None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-2-1-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_02.times_cheaper(times_cheaper)
### BEGIN HIDDEN TESTS
assert times_cheaper([(10, 5.0), (900, 2.0)], [(0, 3.0), (30, 2.0), (60, 1.5)]) == 30
assert times_cheaper([(900, 2.0)], [(0, 3.0), (30, 2.1)]) is None
assert times_cheaper([(900, 2.0)], [(0, 2.0), (30, 1.0)]) == math.inf
assert times_cheaper([(100, 1.0), (400, 3.0)], [(0, 9.0), (50, 3.0), (80, 1.0)]) == 8
### END HIDDEN TESTS

# %% [markdown]
# The course's function does the same, and repeats it 2,000 times with other draws of the test texts (a bootstrap, as in
# notebook 00): where the curves cross depends on the texts by which we look.

# %%
from finetune_course.continuing import times_fewer

saved_tokens = times_fewer(scratch, continued)
print(f"{saved_tokens.mean:.1f} times fewer tokens [{saved_tokens.low:.1f}, {saved_tokens.high:.1f}]")

# %% [markdown]
# One run is one draw of random numbers, too: the seed decides where from-scratch starts and in which order texts come. The
# record holds the same comparison for three seeds, with the model that comes with the course:

# %%
rows = {name.removeprefix("test, compute, "): run["times fewer tokens"]
        for name, run in record["runs"].items() if name.startswith("test, compute")}
pd.DataFrame(rows, index=["times fewer", "low", "high"]).T.round(1)

# %% [markdown]
# The other way to compare: give both the **same** compute, and look at the loss. For that the from-scratch model gets a
# run of its own with the continued run's number of steps, so that its learning rate, too, has come down at the end.

# %%
from finetune_course.evaluate import paired_difference

set_seed(0)
short = train(LlamaForCausalLM(LlamaConfig(**TINY)), **settings["scratch"] | {"steps": settings["continued"]["steps"]})
seen, losses = continued[-1]
print(f"after {seen:,} shop tokens: {short[-1][1].mean():.2f} nats from scratch, {losses.mean():.2f} continued")
print(f"difference, text by text: {paired_difference(short[-1][1], losses)} nats")
print(f"and with all its {scratch[-1][0]:,} tokens from-scratch ends higher by {paired_difference(scratch[-1][1], losses)}")

# %% [markdown]
# What neither number says: the pre-training had to be paid for as well, once. Was it worth it for this one shop?

# %%
pretraining_tokens = json.loads((folder / "run.json").read_text(encoding="utf-8"))["tokens"]
saved_each_time = scratch[-1][0] * (1 - 1 / saved_tokens.mean) if saved_tokens.mean else 0
print(f"pre-training of this model: {pretraining_tokens:,} tokens")
if saved_each_time > 0:
    print(f"saved by each fine-tune: {saved_each_time:,.0f}; it pays from {math.ceil(pretraining_tokens / saved_each_time)} fine-tunes on")

# %% [markdown]
# Further training is cheap because somebody has paid before. That is the bargain of the whole field: one pre-training,
# paid once, thousands of fine-tunes.
#
# ## What it forgets
#
# The continued model was trained on nothing but the shop. What became of the coast? The same general test texts, before
# and after, compared text by text.

# %%
general_before = token_loss(pretrained, texts["general", "test"])
general_after = token_loss(continued_model, texts["general", "test"])
rise = paired_difference(general_after, general_before)
tokens = torch.tensor([len(ids) - 1 for ids in texts["general", "test"]], dtype=torch.float)
per_token = float((torch.tensor(general_after - general_before) * tokens).sum() / tokens.sum())
print(f"general text: {general_before.mean():.2f} → {general_after.mean():.2f} nats, rise {rise}")
print(f"over all tokens: {per_token:.2f} nats, a perplexity {math.exp(per_token):.1f} times as high")

# %% [markdown]
# And by ear: the same opening, before and after.

# %%
for name, model in (("before", pretrained), ("after", continued_model)):
    print(f"{name:7}", continue_text(model, tokenizer, "The lighthouse keeper", max_new_tokens=40, seed=1))

# %% [markdown]
# ### Exercise 2.2 — how much was forgotten?
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# The interval above counts every *text* alike. Often one wants it per *token*, so that a long text weighs more than a short
# one. And a rise of 0.3 nats says little to most people, so it is also given as a factor of the **perplexity**,
# $e^{\text{loss}}$: between so many equally likely tokens the model hesitates. That is the last line above; now you.
#
# Write `forgetting(before, after, tokens)`. The three lists hold, for each text, its loss before and after (nats per
# token) and its number of tokens. Return two numbers: the rise in nats per token over **all tokens**, and the factor by
# which the corpus's perplexity grew.
#
# **Expected output**
#
# ```
# forgetting([2.0, 3.0], [3.0, 3.2], [10, 90])  →  (0.28, 1.3231…)   0.28 = (10 · 1.0 + 90 · 0.2) / 100
# forgetting([2.0], [2.0], [50])                →  (0.0, 1.0)
# ```
#
# <details><summary>Hint 1</summary>
#
# A text of 90 tokens with a rise of 0.2 adds 90 · 0.2 nats. Add up the nats of all texts, divide by all tokens.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `zip(before, after, tokens)` walks through the three lists together.
#
# </details>
# <details><summary>Hint 3</summary>
#
# One perplexity divided by the other is $e^{after} / e^{before} = e^{after - before}$: `math.exp` of the rise.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-2-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def forgetting(before, after, tokens):
    """Rise of the loss in nats per token over all tokens, and the factor by which the perplexity grew."""
    ### BEGIN SOLUTION
    rise = sum((late - early) * count for early, late, count in zip(before, after, tokens)) / sum(tokens)
    return rise, math.exp(rise)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-2-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_02.forgetting(forgetting)
### BEGIN HIDDEN TESTS
hidden_rise, hidden_factor = forgetting([1.0, 2.0, 4.0], [1.5, 2.0, 3.0], [60, 30, 10])
assert abs(hidden_rise - 0.2) < 1e-9 and abs(hidden_factor - math.exp(0.2)) < 1e-9
hidden_rise, hidden_factor = forgetting([3.0], [2.0], [7])
assert abs(hidden_rise + 1) < 1e-9 and abs(hidden_factor - math.exp(-1)) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## Replay: the mend
#
# The model forgets what it no longer meets. So let it meet it: into every batch go some windows of the old, general
# text. That is **replay**. The shop's windows stay the same; the old ones come on top, and every step costs more.

# %% [markdown]
# ### Exercise 2.3 — mixing the old into the new
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# "A quarter replay" means: a quarter of **all that is trained on** is old. Write `with_replay(new, old, share)`: one list
# with all texts of `new` and so many of `old`, from its front, that old texts make up `share` of the list (rounded to
# the nearest whole text). If `old` is too short, begin again from its front. The order does not matter: batches are
# shuffled later.
#
# **Expected output**
#
# ```
# with_replay(["n1", "n2", "n3"], ["o1", "o2"], 0.25)  →  n1, n2, n3 and o1           (1 of 4 is old)
# with_replay(["n1", "n2", "n3"], ["o1", "o2"], 0.5)   →  n1, n2, n3, o1, o2 and o1   (3 of 6 are old)
# ```
#
# <details><summary>Hint 1</summary>
#
# With n new texts and o old ones, o / (n + o) has to be the share. Solve that for o.
#
# </details>
# <details><summary>Hint 2</summary>
#
# o = share / (1 - share) · n. Check: 12 new texts and a share of 0.25 make 4, and 4 of 16 are a quarter.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `old[place % len(old)]` begins again at the front when the place runs past the end.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-2-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def with_replay(new, old, share):
    """All new texts and so many old ones that they are ``share`` of the list."""
    ### BEGIN SOLUTION
    count = round(share / (1 - share) * len(new))
    return new + [old[place % len(old)] for place in range(count)]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-2-3-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_02.with_replay(with_replay)
### BEGIN HIDDEN TESTS
hidden_mix = with_replay([f"n{k}" for k in range(8)], [f"o{k}" for k in range(50)], 0.2)
assert len(hidden_mix) == 10 and sum(text.startswith("o") for text in hidden_mix) == 2
assert sorted(with_replay(["n"], ["o1", "o2"], 0.75)) == ["n", "o1", "o1", "o2"]
assert with_replay(["n"], ["o"], 0.0) == ["n"]
### END HIDDEN TESTS

# %% [markdown]
# How much replay? Here is what was tried, on validation texts. The number is how many windows of general text went
# beside each 8 of the shop's. More keeps more, and 8 beside 8 (a `share` of 0.5 in the exercise) makes every step cost
# twice: that is the price we chose to pay.

# %%
rows = []
for name, run in record["runs"].items():
    if name.startswith("validation, replay"):
        rows.append((name.split()[-1], *run["rise on general text"][:1], *run["loss on shop text"][:1]))
pd.DataFrame(rows, columns=["general windows", "rise on general text (nats)", "loss on shop text (nats)"]).round(3)

# %% [markdown]
# And the chosen one, live. The same run as before, with the old text in it:

# %%
replayed_model = copy.deepcopy(pretrained)
replayed = train(replayed_model, **settings["continued"], replay=settings["replay"])
general_replayed = token_loss(replayed_model, texts["general", "test"])
rise_replayed = paired_difference(general_replayed, general_before)
shop_price = paired_difference(replayed[-1][1], continued[-1][1])
print(f"rise on general text: {rise} without replay, {rise_replayed} with it")
print(f"loss on the shop's texts, with replay minus without: {shop_price} nats")

# %% [markdown]
# The two kinds of text in one picture: forgetting on one axis, learning on the other. The best corner is at the bottom
# left.

# %%
fig, ax = plots.figure(width=6)
models = {"pre-trained": (general_before, continued[0][1]), "continued": (general_after, continued[-1][1]),
          "with replay": (general_replayed, replayed[-1][1])}
for (name, (general, of_shop)), colour, marker in zip(models.items(), plots.COLOURS, plots.MARKERS):
    x, y = interval(general), interval(of_shop)
    ax.errorbar(x.mean, y.mean, xerr=[[x.mean - x.low], [x.high - x.mean]], yerr=[[y.mean - y.low], [y.high - y.mean]],
                color=colour, marker=marker, capsize=3, linestyle="none", label=name)
ax.set(xlabel="loss on general test texts (nats per token)", ylabel="loss on shop test texts\n(nats per token)")
ax.legend()
spoken = "; ".join(f"{name}: general {general.mean():.2f}, shop {of_shop.mean():.2f}" for name, (general, of_shop) in models.items())
plots.show(fig, alt=f"Loss on shop texts against loss on general texts, nats per token, three models with intervals. {spoken}.")

# %% [markdown]
# ## From continuing to answering
#
# The model has read what things cost. Ask it.

# %%
from finetune_course.shop_questions import load_questions, write_answers

questions = load_questions("test")
plain = write_answers(replayed_model, tokenizer, ["<|end|>" + row["question"] for row in questions])
for row, text in list(zip(questions, plain.texts))[:4]:
    print(f"{row['question']}\n   → {text}")

# %% [markdown]
# It continues. It has met questions inside stories and notices, sometimes with an answer after them. Nothing has marked
# that *you* ask, that *it* answers, and where the answer ends. Two things have to be taught: whose turn it is, and that
# an answer has an end.
#
# Whose turn it is, is said by a **chat template**: markers around each turn. The markers are tokens of their own, kept
# free in notebook 01 for this moment. `<|end|>` is the token that closed every document.

# %%
from finetune_course.shop_questions import CHAT_TEMPLATE

tokenizer.chat_template = CHAT_TEMPLATE
print(CHAT_TEMPLATE, "\n")
chat = [{"role": "user", "content": "When do you open?"}, {"role": "assistant", "content": "At nine."}]
print("to train on:", tokenizer.apply_chat_template(chat, tokenize=False))
print("to ask with:", tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True))

# %% [markdown]
# ### Exercise 2.4 — the template by hand
#
# Difficulty ●○○ · importance ●●● · about 6 minutes
#
# More fine-tunes fail by a wrong template than by a wrong learning rate, and without an error message. So write this one
# yourself once: `render(messages, add_generation_prompt=False)` returns the text that `apply_chat_template` makes.
#
# - The text begins with one `<|end|>`, as every document in notebook 01 did.
# - Each turn is its role's marker, `<|user|>` or `<|assistant|>`, and its content, without blanks between.
# - The assistant's turns end with `<|end|>`, the user's do not.
# - With `add_generation_prompt`, an opening `<|assistant|>` comes last: now you speak.
#
# **Expected output**
#
# ```
# render(chat)            →  <|end|><|user|>When do you open?<|assistant|>At nine.<|end|>
# render(chat[:1], True)  →  <|end|><|user|>When do you open?<|assistant|>
# ```
#
# <details><summary>Hint 1</summary>
#
# Begin with `text = "<|end|>"` and add to it, turn by turn.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `f"<|{message['role']}|>{message['content']}"` is a turn without its end.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Inside the loop: if the role is `assistant`, add `<|end|>`. After the loop: if asked for, add `<|assistant|>`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-2-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def render(messages, add_generation_prompt=False):
    """The chat as one text with markers; each assistant turn is closed, and one is opened if asked for."""
    ### BEGIN SOLUTION
    text = "<|end|>"
    for message in messages:
        text += f"<|{message['role']}|>{message['content']}"
        if message["role"] == "assistant":
            text += "<|end|>"
    return text + ("<|assistant|>" if add_generation_prompt else "")
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-2-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_02.render(render)
### BEGIN HIDDEN TESTS
hidden_chat = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}, {"role": "user", "content": "C?"}]
assert render(hidden_chat, True) == "<|end|><|user|>A?<|assistant|>B.<|end|><|user|>C?<|assistant|>"
assert render(hidden_chat[:2]) == "<|end|><|user|>A?<|assistant|>B.<|end|>"
assert render([]) == "<|end|>"
### END HIDDEN TESTS

# %% [markdown]
# ## The pairs to learn from
#
# Over two thousand pairs of question and answer were made for this model, about the shop and about the coast. Each fact
# is asked for in four wordings, of a dozen for each kind of fact. The test's questions were written by hand, in other words; a test of the course compares
# them (no run of five words is shared, names aside).

# %% tags=["nbval-check-output"]
pairs = load_questions("train")
print(f"{len(pairs)} pairs to learn from, {len(questions)} questions to test, "
      f"{sum(row['asked'] for row in questions)} of them on facts that the pairs ask for too\n")
for row in pairs[:3]:
    print(f"{row['question']}  →  {row['answer']}")

# %% [markdown]
# As in every fine-tune of this course, the model learns the answer and not the question: each token of the question
# gets the label -100, "no lesson here". Three rows, with what is learned printed apart:

# %%
from finetune_course.small_model import IGNORED


def chat_row(pair):
    """Token ids of a question with its answer, and the labels: the answer with its end."""
    turns = [{"role": "user", "content": pair["question"]}, {"role": "assistant", "content": pair["answer"]}]
    asked = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    return whole, [IGNORED] * len(asked) + whole[len(asked):]


for ids, labels in map(chat_row, pairs[:3]):
    print("masked :", tokenizer.decode([i for i, label in zip(ids, labels) if label == IGNORED]))
    print("learned:", tokenizer.decode([label for label in labels if label != IGNORED]))

# %% [markdown]
# The `<|end|>` is among what is learned. Without it the model would never learn to stop.
#
# ## How an answer is scored
#
# The claim (C19) speaks of answers that *respond to the instruction and then stop*. A program can read that here,
# because each question asks for one kind of thing: a sum, a weekday, a town. An answer **responds** when its first
# sentence gives something of that kind, right or wrong, that is not merely repeated from the question. It **stops** when
# the model writes `<|end|>` itself within 90 tokens (its texts of before are 60 to 90 long). And it is **right** when it does both and gives the right value.
# Three made-up answers to one question:

# %% tags=["nbval-check-output"]
from finetune_course.shop_questions import score_answers

toy_rows = [{"id": f"toy {n}", "question": "What should I pay for a Galah hat?", "kind": "dollars", "value": "42 dollars"}
            for n in (1, 2, 3)]
toy_answers = ["It costs 42 dollars.", "It costs 50 dollars.", "What should I pay for a boat? The gulls know."]
score_answers(toy_answers, [True, True, False], toy_rows)

# %% [markdown]
# ## Before
#
# Before the tuning the model deserves its best chance. It is asked in four ways: the bare question; the question as a
# speaker's line of a story, the form in which its own texts have questions; in words ("Question: … Answer:"); and with
# the chat template, whose markers it has never met.

# %%
def chat_prompts(rows):
    """Each question by the chat template, ready for the answer."""
    return [tokenizer.apply_chat_template([{"role": "user", "content": row["question"]}], tokenize=False,
                                          add_generation_prompt=True) for row in rows]


ways = {"question alone": plain,
        "in a story": write_answers(replayed_model, tokenizer, [f'<|end|>"{row["question"]}" asked the customer. "' for row in questions]),
        "in words": write_answers(replayed_model, tokenizer, [f"<|end|>Question: {row['question']}\nAnswer:" for row in questions]),
        "chat template": write_answers(replayed_model, tokenizer, chat_prompts(questions))}
scored = {("before", name): score_answers(*written, questions) for name, written in ways.items()}
pd.DataFrame({name: table[["responds", "stops", "both", "right"]].mean() for (_, name), table in scored.items()}).T.round(2)

# %% [markdown]
# ## Instruction tuning
#
# The loop, a third time. New are only the rows: of unequal length, so they are padded at the end. The padding has the
# label -100, and no token before it can see it.

# %%
def padded(rows):
    """Inputs and targets, one step apart, of rows of unequal length."""
    width = max(len(ids) for ids, _ in rows) - 1
    inputs = [ids[:-1] + [tokenizer.pad_token_id] * (width + 1 - len(ids)) for ids, _ in rows]
    targets = [labels[1:] + [IGNORED] * (width + 1 - len(labels)) for _, labels in rows]
    return torch.tensor(inputs), torch.tensor(targets)


inputs, targets = padded([chat_row(pair) for pair in pairs[:3]])
print("inputs", tuple(inputs.shape), "targets", tuple(targets.shape), "learned tokens in each row", (targets != IGNORED).sum(1).tolist())

# %% [markdown]
# Go. It starts from the model that has read the shop's texts with replay.

# %%
tuned_model = copy.deepcopy(replayed_model)
rows, chosen = [chat_row(pair) for pair in pairs], settings["answers"]
optimiser = torch.optim.AdamW(tuned_model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
each = math.ceil(len(rows) / chosen["batch"])
steps, losses = each * chosen["epochs"], []
generator = torch.Generator().manual_seed(0)
for step in range(steps):
    if step % each == 0:
        order = torch.randperm(len(rows), generator=generator).tolist()
    batch = padded([rows[place] for place in order[step % each :: each]])
    losses.append(update(tuned_model, optimiser, *batch, chosen["learning_rate"] * rate_factor(step + 1, steps)))
print(f"{steps} steps, {chosen['epochs']} times over {len(rows)} pairs; loss on the answers in each round:")
print([round(sum(losses[at : at + each]) / each, 2) for at in range(0, steps, each)])

# %% [markdown]
# ## After
#
# The same questions, the same scoring. For "before" the way of asking that served the model best is taken, by the test's
# own score: a small favour to "before". First four of the answers:

# %%
tuned = write_answers(tuned_model, tokenizer, chat_prompts(questions))
scored["after", "chat template"] = score_answers(*tuned, questions)
best = max((key for key in scored if key[0] == "before"), key=lambda key: scored[key]["both"].mean())
print("before: asked as", best[1])
for row, early, late in list(zip(questions, ways[best[1]].texts, tuned.texts))[:4]:
    print(f"{row['question']}\n   before: {early[:90]}\n   after:  {late}   (the shop says: {row['value']})")

# %% [markdown]
# Now all of them, with intervals.

# %%
from finetune_course.evaluate import percent, percent_table, summary

table = summary({("before", "all"): scored[best], ("after", "all"): scored["after", "chat template"]},
                ["responds", "stops", "both", "right"])
percent_table(table)

# %% [markdown]
# Answering is one thing, knowing another. The right answers, apart for facts that the pairs ask for (in other words) and
# facts that only the shop's and the coast's texts state:

# %%
asked = pd.Series([row["asked"] for row in questions])
after = scored["after", "chat template"]
knows = {(name, "after"): after[mask].reset_index(drop=True)
         for name, mask in (("fact asked in training", asked), ("fact only in the texts", ~asked))}
knowing = summary(knows, ["both", "right"])
percent_table(knowing)

# %% [markdown]
# And the record, made with the model that comes with the course: the settings that were tried, on validation questions (facts
# that the pairs ask for, in wordings that no pair has), then the chosen one with three seeds on the test.

# %%
rows = {name: [percent(*run[f"after, {measure}"]) for measure in ("responds", "stops", "both", "right")]
        for name, run in record["runs"].items() if "answers" in name}
pd.DataFrame(rows, index=["responds", "stops", "both", "right"]).T

# %% [markdown]
# Compare the columns. *Stops* is the easy part: one token at the end of each answer. *Responds* needs to see from the words
# of a question what kind of thing is asked for; *right* needs the fact as well. A fluent answer of the right kind is what
# makes a wrong one so easy to believe. Then compare validation and test: the wordings of the first were written together
# with those of the pairs, the test's by somebody who avoided them. What a model has learned about questions is worth what
# it does with other people's questions. And the two groups of facts: those that the pairs ask for were met 24 times more
# (four wordings, six rounds), so practice and form are mixed in that difference. What to do about facts is the theme of
# notebooks 09 and 10.
#
# ## The real one
#
# SmolLM2-135M-Instruct is sixty times larger. Its makers report the same two stages: pre-training, on two trillion tokens,
# then tuning on conversations. Its untuned parent is not at hand, so what tuning did to it cannot be shown here; what the
# *markers* do can: ask the same questions **with** the chat template and **without**, as bare text. The weights are the
# same in both rows. Only questions whose kind of answer needs no knowledge of our coast are put to it: sums,
# years, days, weekdays, months, hours, colours.

# %%
from finetune_course.weights import weights
from transformers import AutoModelForCausalLM, AutoTokenizer

instruct_tokenizer = AutoTokenizer.from_pretrained(weights())
instruct = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device)
open_kinds = {"dollars", "years", "days", "weekday", "month", "hour", "colour"}
open_questions = [row for row in questions if row["kind"] in open_kinds]
if hw.profile == "small":
    open_questions = open_questions[::2]
first = [{"role": "user", "content": open_questions[0]["question"]}]
print(instruct_tokenizer.apply_chat_template(first, tokenize=False, add_generation_prompt=True))

# %% [markdown]
# Another template, the same idea: markers for the roles, an opened turn at the end. (It adds a system message of its own: a
# text that tells the model who it is.)
# Both ways of asking, scored like the small model:

# %%
with_template = [instruct_tokenizer.apply_chat_template([{"role": "user", "content": row["question"]}], tokenize=False,
                                                        add_generation_prompt=True) for row in open_questions]
ends = instruct_tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
for name, prompts in (("135M, bare text", [row["question"] for row in open_questions]), ("135M, chat template", with_template)):
    written = write_answers(instruct, instruct_tokenizer, prompts, batch=min(hw.eval_batch, 32), ends=ends)
    scored["instruct", name] = score_answers(*written, open_questions)
    print(f"{name}: {open_questions[0]['question']}\n   → {written.texts[0][:200]!r}\n")

# %% [markdown]
# And beside the small model, on the same questions:

# %%
open_rows = pd.Series([row in open_questions for row in questions])
small = {name: scored[key][open_rows].reset_index(drop=True)
         for name, key in (("small, before", best), ("small, after", ("after", "chat template")))}
compared = {(name, "open kinds"): part for name, part in small.items()}
compared |= {(name, "open kinds"): scored["instruct", name] for name in ("135M, bare text", "135M, chat template")}
comparison = summary(compared, ["responds", "stops", "both", "right"])
percent_table(comparison)

# %% [markdown]
# The same as a figure: the share of answers that respond and then stop.

# %%
fig = plots.interval_plot(comparison, measure="both", label="answers that respond and then stop (%)")
plots.show(fig, alt="Share of answers that respond and then stop. " + plots.describe_intervals(comparison, "both"))

# %% [markdown]
# ## What we measured
#
# Two claims of the ledger, word for word, each with its number and what the interval allows us to say. "Holds" needs the
# whole interval on the right side of the line.

# %%
from finetune_course.claims import load_claims


def against(found, line, below=False):
    """What an interval says about 'at least the line' (or 'at most', with ``below``)."""
    holds, fails = (found.high <= line, found.low > line) if below else (found.low >= line, found.high < line)
    return "holds" if holds else "fails here" if fails else "not decided"


answered_before, answered_after = interval(scored[best]["both"]), interval(after["both"])
before_side, after_side = against(answered_before, 0.2, below=True), against(answered_after, 0.8)
recorded = [run["times fewer tokens"] for name, run in record["runs"].items() if name.startswith("test, compute")]
every_seed = all(low >= 10 for _, low, _ in recorded)
c01 = against(saved_tokens, 10)
verdicts = {
    "C01": (f"{saved_tokens} times fewer tokens here; recorded seeds {', '.join(f'{mean:.0f} [{low:.0f}, {high:.0f}]' for mean, low, high in recorded)}",
            c01 if (c01 == "holds") == every_seed else "not decided"),
    "C19": (f"respond and stop: {percent(*answered_before)} before, {percent(*answered_after)} after",
            before_side if before_side == after_side else f"before: {before_side}; after: {after_side}"),
}
asked_in_ledger = {claim.id: claim.question for claim in load_claims()}
pd.DataFrame([(name, asked_in_ledger[name], *row) for name, row in verdicts.items()],
             columns=["id", "what the claim asks", "measured", "verdict"]).set_index("id")

# %% [markdown]
# The key numbers go into the table of `start.py run`.

# %%
from finetune_course.keynumbers import publish

if all(map(math.isfinite, saved_tokens)):
    publish("times fewer tokens than from scratch", saved_tokens.mean, unit="×", interval=saved_tokens[1:])
publish("rise on general text, no replay", rise.mean, unit="nats", interval=rise[1:])
publish("rise on general text, replay", rise_replayed.mean, unit="nats", interval=rise_replayed[1:])
publish("respond and stop, before", answered_before.mean, interval=answered_before[1:])
publish("respond and stop, after", answered_after.mean, interval=answered_after[1:])

# %% [markdown]
# ## In a nutshell
#
# - Fine-tuning is the same loop from a better start. How many tokens that saves is a number with an interval, and it
#   depends on the goal; somebody has paid for the start.
# - A model forgets what it no longer meets. Some old text in every batch (replay) holds against that; 8 windows beside 8
#   cost twice the compute.
# - A model that continues becomes one that answers by two small things: markers that say whose turn it is, and an end
#   token that is learned with every answer.
# - Answering is not knowing: look at *both* and at *right*.
# - All this is said of a model with two million parameters and a closed little world.

# %% [markdown]
# ## What to read next
#
# - Next in the course: [**03 Prompting first**](03_prompting_first.ipynb). Before more training, what can a good
#   question do?
# - On forgetting and replay: Robins (1995), *Catastrophic forgetting, rehearsal and pseudorehearsal*.
# - On going on with pre-training: Gururangan and others (2020), *Don't stop pretraining*.
# - On instruction tuning: Ouyang and others (2022), *Training language models to follow instructions with human
#   feedback*; the documentation of `apply_chat_template` in transformers.
