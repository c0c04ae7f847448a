# %% [markdown]
# # 05 · LoRA by hand
#
# Notebook 06 trains a LoRA adapter with two library calls. Here you write what those calls do: a layer of ten lines.
# Then you hold it against the library's, bit by bit, and measure what is said about LoRA: that it trains under one per
# cent, that it leaves the model untouched, that a merged adapter answers the same, that a low rank is enough.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - write a LoRA layer in plain PyTorch, and show that it starts as no change at all and equals PEFT's;
# - merge an adapter into the weights, and say what number format does to it;
# - say what `r` and `alpha` do, from measured steps and not from hearsay;
# - see from a full fine-tune's update how much of it a low rank holds;
# - count LoRA's parameters and a run's memory for models from 135 million to 70 billion parameters.
#
# It takes about 4 minutes of computing on 2 CPU cores, an hour and a half of your time, and up to 3.5 GB of memory
# (the small profile trains on fewer messages). In the small profile, on one core as on Binder, it took 3 minutes and
# 1.7 GB.

# %% [markdown]
# ## Before you start
#
# You should know what a matrix product is, and from [notebook 02](02_fine_tuning.ipynb) what a training step does:
# loss, gradient, optimiser. [Notebook 03](03_prompting_first.ipynb) introduces the triage messages, greedy answers
# and the paired bootstrap. First the versions.

# %% tags=["exercise-setup"]
import math
from importlib.metadata import version

import pandas as pd
import torch
from torch import nn

from finetune_course import checks_05

pd.set_option("display.max_colwidth", 160)
pd.DataFrame({"version": {name: version(name) for name in ("torch", "transformers", "peft")}})

# %% [markdown]
# ## A correction in two thin matrices
#
# A *linear layer* multiplies its input by a matrix of weights $W$. The smallest example has 4 inputs and 3 outputs, so
# $W$ has 3 rows of 4 numbers. Here are three inputs and what the layer makes of them.

# %% tags=["nbval-check-output"]
W = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, -1.0], [1.0, 1.0, 0.0, 0.0]])
x = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
x @ W.T

# %% [markdown]
# Full fine-tuning may change each of the 12 weights. **LoRA** leaves $W$ as it is and learns a correction $\Delta W$
# made of two thin matrices: $A$ takes the 4 inputs down to $r$ numbers, $B$ takes those up to the 3 outputs. With
# $r$ = 1 that is 4 + 3 = 7 numbers instead of 12. The price is in the product: its rows are all multiples of one
# another. A matrix with this property has *rank* 1; in general the rank is the smallest number of such matrices that add up
# to it, and $r$ is the highest rank that $BA$ can have.

# %% tags=["nbval-check-output"]
A = torch.tensor([[0.5, -1.0, 2.0, 1.0]])
B = torch.tensor([[1.0], [3.0], [-2.0]])
print(B @ A)
print("rank:", torch.linalg.matrix_rank(B @ A).item(), "| numbers:", A.numel() + B.numel(), "instead of", W.numel())

# %% [markdown]
# The output becomes $Wx + \frac{\alpha}{r} B A x$. The factor $\alpha / r$ gets a section of its own; until then take
# it as a volume knob. $B$ starts at zero, and so the correction starts at zero too:

# %% tags=["nbval-check-output"]
def with_lora(x, W, A, B, alpha):
    """Output of a linear layer with LoRA, (rows, out)."""
    return x @ W.T + alpha / len(A) * (x @ A.T @ B.T)


print("B at zero, output unchanged:", torch.equal(with_lora(x, W, A, torch.zeros(3, 1), alpha=2), x @ W.T))
print(with_lora(x, W, A, B, alpha=2))

# %% [markdown]
# Why not start both at zero? Because then neither would ever move. The gradient of $B$ is computed with $A$ and that
# of $A$ with $B$. Three ways to start, and the size of both gradients after one look at the rows:

# %% tags=["nbval-check-output"]
def gradient_sizes(A, B):
    """Largest absolute gradient of A and of B, for the loss 'sum of squared outputs'."""
    A, B = A.clone().requires_grad_(), B.clone().requires_grad_()
    with_lora(x, W, A, B, alpha=2).square().sum().backward()
    return {"A": A.grad.abs().max().item(), "B": B.grad.abs().max().item()}


zero_A, zero_B = torch.zeros_like(A), torch.zeros_like(B)
pd.DataFrame({"both zero": gradient_sizes(zero_A, zero_B), "B zero": gradient_sizes(A, zero_B), "neither": gradient_sizes(A, B)})

# %% [markdown]
# With $B$ at zero the first step moves $B$ alone, and from the second step on both learn.

# %% [markdown]
# ### Exercise 5.1 — the layer
#
# Difficulty ●●○ · importance ●●● · about 15 minutes
#
# Write `LoRALinear`, a module that takes the place of a linear layer. `LoRALinear(base, r, alpha)` is given the layer
# itself (`torch.nn.Linear`), which may have a bias, and has
#
# - `self.base`: the very layer that was given, frozen, so that no optimiser changes it;
# - `self.A`, of shape (r, in), a parameter with random values (`nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))` is what
#   PEFT does);
# - `self.B`, of shape (out, r), a parameter that starts at zero;
# - `forward(x)`, which returns base(x) plus alpha / r times the correction. `x` may have more dimensions than two: real
#   inputs are (texts, tokens, in).
#
# **Expected output**
#
# ```
# layer = LoRALinear(nn.Linear(4, 3), r=2, alpha=6)
# torch.equal(layer(x), layer.base(x))                    →  True
# [name for name, w in layer.named_parameters() if w.requires_grad]  →  ['A', 'B']
# ```
#
# <details><summary>Hint 1</summary>
#
# A tensor becomes something that learns by `nn.Parameter(tensor)`. `base.in_features` and `base.out_features` are the
# layer's widths; `base.requires_grad_(False)` freezes it, and returns it.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `self.A = nn.Parameter(torch.empty(r, base.in_features))`, then fill it with the line above. `torch.zeros` for B.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The correction of one row is B A x. For many rows in a batch, x stands in front: `x @ self.A.T @ self.B.T`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-5-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable correction of rank r beside it: base(x) + alpha / r * B A x."""

    def __init__(self, base, r, alpha):
        super().__init__()
        ### BEGIN SOLUTION
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = alpha / r
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-5-1-test", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks_05.lora_linear(LoRALinear)
### BEGIN HIDDEN TESTS
torch.manual_seed(1)
plain = nn.Linear(7, 5)
tried = LoRALinear(plain, 3, 12)
inputs = torch.randn(2, 9, 7)
assert tried.base is plain and torch.equal(tried(inputs), plain(inputs))
assert sorted(name for name, weight in tried.named_parameters() if weight.requires_grad) == ["A", "B"]
assert tried.A.shape == (3, 7) and tried.B.shape == (5, 3) and tried.A.any() and not tried.B.any()
with torch.no_grad():
    tried.B.normal_()
assert torch.allclose(tried(inputs), plain(inputs) + 4 * inputs @ tried.A.T @ tried.B.T, atol=1e-4)
tried(inputs).sum().backward()
assert tried.A.grad.any() and tried.B.grad.any() and plain.weight.grad is None
### END HIDDEN TESTS

# %% [markdown]
# ## Into the real model
#
# From here on the notebook uses the course's own copy of that layer, `LoRALayer`, so that you can go on whether yours
# is finished or not. It lives in `finetune_course/lora_layer.py`, with two helpers: `add_lora` wraps a model's linear
# layers, `remove_lora` takes the wrapping off. Now the model of the course, its weights in float32.

# %%
from finetune_course.hardware import inspect_hardware
from finetune_course.training import quiet_libraries
from finetune_course.weights import weights
from transformers import AutoModelForCausalLM, AutoTokenizer

quiet_libraries()
hw = inspect_hardware()
tokenizer = AutoTokenizer.from_pretrained(weights())
model = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32).to(hw.device).eval()
print(model.model.layers[0])

# %% [markdown]
# Each of the 30 blocks has seven linear layers: four in its attention (query, key, value, output) and three in its MLP,
# the small network behind it (gate, up, down). All 210 get a correction.
#
# The work is a small one, so that training takes seconds: read a message, name its **category**. Here are the three
# shortest messages as the model gets them (the end of each prompt), and what it is to write.

# %%
from finetune_course.short_runs import category_batches
from finetune_course.triage import load_split

rows = load_split("train")
short = sorted(rows, key=lambda row: len(row["message"]))
batch = category_batches(tokenizer, short[:3], size=3)[0]
for ids, mask, labels in zip(batch.ids, batch.mask, batch.labels):
    prompt = ids[(labels == -100) & (mask == 1)]
    print(repr(tokenizer.decode(prompt)[-64:]), "→", repr(tokenizer.decode(ids[labels != -100])))

# %% [markdown]
# What does the model say before and after the 210 layers are wrapped? The **logits** are its scores for each possible
# next token. They should not merely be close.

# %% tags=["nbval-check-output"]
from finetune_course.lora_layer import add_lora, trained


@torch.no_grad()
def logits_of(model):
    return model(batch.ids.to(hw.device), attention_mask=batch.mask.to(hw.device)).logits


untouched = logits_of(model)
torch.manual_seed(0)
layers = add_lora(model, r=8, alpha=16)
print(len(layers), "layers wrapped,", f"{sum(w.numel() for w in trained(model)):,} parameters to train")
print("logits equal, bit for bit:", torch.equal(logits_of(model), untouched))

# %% [markdown]
# Adding exactly zero changes nothing, whatever the rounding: that is worth more than a tolerance. A fine-tune that
# starts from a broken model often shows in this test first.

# %% [markdown]
# ## A run by hand, and a fingerprint
#
# Claim C13: LoRA leaves the base weights untouched. To measure it we take a *fingerprint* (SHA-256) over all bits of
# all base weights before the run, train, and take it again. Were one bit of 135 million weights to change, the
# fingerprint would be another one.

# %%
from finetune_course.lora_layer import fingerprint

base_weights = [weight for name, weight in model.named_parameters() if not name.endswith((".A", ".B"))]
before = fingerprint(base_weights)
print(f"{sum(w.numel() for w in base_weights):,} weights:", before[:16], "…")

# %% [markdown]
# The training loop, without a trainer: loss, `backward`, `step`. The model's last layer, its *head*, is asked only at the
# places that teach (a label of -100 teaches nothing), which saves memory. Eight steps on the 32 shortest messages:

# %%
def loss_of(model, batch):
    """Mean loss (nats a token) on the tokens that teach."""
    ids, mask, labels = (part.to(hw.device) for part in (batch.ids, batch.mask, batch.labels))
    hidden = model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
    taught = labels[:, 1:] != -100  # the token at place t is foretold at t - 1
    return nn.functional.cross_entropy(model.lm_head(hidden[:, :-1][taught]), labels[:, 1:][taught])


adam = torch.optim.AdamW(trained(model), lr=1e-3)
for step, some in enumerate(category_batches(tokenizer, short[:32], size=4)):
    loss = loss_of(model, some)
    adam.zero_grad()
    loss.backward()
    adam.step()
    print(f"step {step}: loss {loss.item():.2f}")

# %% [markdown]
# Every batch is other messages, so the loss need not fall at each step. Who got a gradient, and what became of the base?

# %%
with_gradient = {name.split(".")[-1] for name, weight in model.named_parameters() if weight.grad is not None}
after = fingerprint(base_weights)
print("parameters with a gradient are called", sorted(with_gradient))
print("fingerprint after the run:", after[:16], "…", "the same" if after == before else "ANOTHER ONE")
assert with_gradient == {"A", "B"}

# %% [markdown]
# A test that cannot fail proves nothing. So here is a layer whose base was *not* frozen, an easy mistake: one
# step, and the fingerprint is another one.

# %% tags=["nbval-check-output"]
from finetune_course.lora_layer import LoRALayer

torch.manual_seed(0)
careless = LoRALayer(nn.Linear(4, 3), r=1, alpha=2)
careless.base.requires_grad_(True)
first = fingerprint(careless.base.parameters())
careless(x).square().sum().backward()
torch.optim.AdamW(careless.parameters(), lr=1e-3).step()
print("untouched:", fingerprint(careless.base.parameters()) == first)

# %% [markdown]
# ## Equal to PEFT's
#
# **PEFT** is the library that trainers use for LoRA. If our layer is right, it must agree with PEFT's in the outputs
# and in what an optimiser makes of it. First the outputs: one real layer of each of the seven kinds, the same A and B
# in both, B no longer zero.

# %%
from copy import deepcopy

from finetune_course.lora_layer import PROJECTIONS, lora_layers, remove_lora
from peft import LoraConfig, get_peft_model, inject_adapter_in_model

remove_lora(model)
both = LoraConfig(r=8, lora_alpha=16, target_modules=list(PROJECTIONS))
theirs = inject_adapter_in_model(both, deepcopy(model.model.layers[12]))
ours = deepcopy(model.model.layers[12])
add_lora(ours, r=8, alpha=16)


def copy_matrices(layer, peft_layer):
    """Put the A and B of our layer into PEFT's."""
    with torch.no_grad():
        peft_layer.lora_A["default"].weight.copy_(layer.A)
        peft_layer.lora_B["default"].weight.copy_(layer.B)

# %% [markdown]
# Random inputs, 5 texts of 100 tokens, and the largest difference in any output:

# %%
outputs_compared = []
for path, layer in lora_layers(ours):
    nn.init.normal_(layer.B, std=0.02)
    copy_matrices(layer, theirs.get_submodule(path))
    inputs = torch.randn(5, 100, layer.base.in_features, device=hw.device)
    gap = (layer(inputs) - theirs.get_submodule(path)(inputs)).abs().max().item()
    outputs_compared.append({"layer": path, "outputs": layer.base.out_features, "largest difference": gap})
assert max(row["largest difference"] for row in outputs_compared) <= 1e-6
pd.DataFrame(outputs_compared).set_index("layer")

# %% [markdown]
# Now the training. Both start from the same A and B in all 210 layers of the whole model, see the same batch, and make
# two steps with AdamW (two, since the first one moves B alone).

# %%
def two_steps(model):
    """Losses of two AdamW steps on the toy batch."""
    adam = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-3)
    losses = []
    for _ in range(2):
        adam.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(0)
start = deepcopy({path: (layer.A, layer.B) for path, layer in add_lora(model, r=8, alpha=16).items()})
our_losses = two_steps(model)
our_layers = dict(lora_layers(model))
remove_lora(model)

# %% [markdown]
# The same with PEFT, from the same start:

# %%
peft_model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM"))
their_layers = {path: model.get_submodule(path) for path in our_layers}
with torch.no_grad():
    for path, (A0, B0) in start.items():
        their_layers[path].lora_A["default"].weight.copy_(A0)
        their_layers[path].lora_B["default"].weight.copy_(B0)
their_losses = two_steps(model)  # PEFT has put its layers into this very model
print("losses by hand:", our_losses)
print("losses by PEFT:", their_losses)

# %% [markdown]
# And all 420 matrices after the second step:

# %%
gaps, moved = [], []
for path, layer in our_layers.items():
    for mine, other, first in zip((layer.A, layer.B), (their_layers[path].lora_A, their_layers[path].lora_B), start[path]):
        gaps.append((mine - other["default"].weight).abs().max().item())
        moved.append((mine - first).abs().max().item())
assert max(gaps) <= 1e-6
print(f"{len(gaps)} matrices moved by {min(moved):.1e} to {max(moved):.1e}; largest difference between the two: {max(gaps):.0e}")
base_same = fingerprint(base_weights) == before
print("base weights still the same, bit for bit:", base_same)

# %% [markdown]
# That is all there is in the library's layer, apart from conveniences (dropout, several adapters, saving). Notebook 06
# uses it with a good conscience.

# %%
import gc

model = peft_model.unload()
del peft_model, their_layers, our_layers, layers, start, ours, theirs
gc.collect()
print(sum(w.numel() for w in model.parameters()) == sum(w.numel() for w in base_weights), "- only the base is left")

# %% [markdown]
# ## Merge
#
# A correction beside a layer costs two small products in each call. Since $Wx + \frac{\alpha}{r}BAx = (W +
# \frac{\alpha}{r}BA)\,x$, it can be added into the weights once and for all: the adapter is *merged*, and the model has
# the shape and speed that it had before. On paper the outputs are the same. A computer rounds.

# %% [markdown]
# ### Exercise 5.2 — merge
#
# Difficulty ●○○ · importance ●●● · about 5 minutes
#
# Write `merged_weight(weight, A, B, alpha)`. `weight` is the layer's matrix, (out, in); `A` is (r, in) and `B` (out, r);
# the rank is theirs. Return the new (out, in) matrix, and leave the old one as it is: other adapters need it.
#
# **Expected output** (the toy layer of above, with `alpha` = 2)
#
# ```
# merged_weight(W, A, B, 2)  →  tensor([[ 2., -2.,  6.,  2.],
#                                       [ 3., -5., 12.,  5.],
#                                       [-1.,  5., -8., -4.]])
# ```
#
# <details><summary>Hint 1</summary>
#
# Which order of the two gives a matrix of the weight's shape: (out, r) times (r, in), or the other way round?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The rank is the number of A's rows, `A.shape[0]`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `weight + scale * B @ A` makes a new tensor; `weight += …` would change the one that was given.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-5-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def merged_weight(weight, A, B, alpha):
    """The (out, in) weight of one layer that does what the layer with its LoRA did; nothing given is changed."""
    ### BEGIN SOLUTION
    return weight + alpha / A.shape[0] * B @ A
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-5-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_05.merged_weight(merged_weight)
### BEGIN HIDDEN TESTS
torch.manual_seed(2)
old, down, up = torch.randn(6, 9), torch.randn(3, 9), torch.randn(6, 3)
kept = old.clone()
assert torch.allclose(merged_weight(old, down, up, 1.5), old + 0.5 * up @ down, atol=1e-5)
assert torch.equal(old, kept)
assert torch.allclose(merged_weight(torch.zeros(6, 9), down, up, 3), up @ down, atol=1e-5)
### END HIDDEN TESTS

# %% [markdown]
# ## Does a merged adapter answer the same?
#
# Claim C14 says so, and measures it letter for letter. For that we need an adapter that has learned something: the one
# that is shipped with the course (notebook 06 makes one like it). Its record says what it was trained on.

# %%
from finetune_course.adapters import recorded_runs, shipped_adapter
from finetune_course.training import triage_settings
from peft import PeftModel

system = {"role": "system", "content": triage_settings()["system_prompt"]}
tuned = PeftModel.from_pretrained(model, shipped_adapter("triage")).eval()
print("rank", tuned.peft_config["default"].r, "| trained on", recorded_runs("triage").settings["examples"], "messages")

# %% [markdown]
# The messages are hand-written test messages. Nothing is chosen with them and no label is looked at: an answer is only
# compared with an answer.

# %%
from finetune_course.generation import answer_all

asked = [record["message"] for record in load_split("test_handwritten")[: 8 if hw.profile == "small" else 24]]


def answers_of(model, batch_size=8):
    """The model's greedy answers, as texts."""
    return answer_all(model, tokenizer, [system], asked, batch_size=batch_size).texts


beside = answers_of(tuned)
beside_logits = logits_of(tuned)
print(asked[0], "\n→", beside[0])

# %% [markdown]
# Now PEFT merges (`merge_and_unload` does what your function does, layer by layer), and everything is asked again.

# %%
merged = tuned.merge_and_unload()
changes = {"float32": (logits_of(merged) - beside_logits).abs().max().item()}
same = {"float32": [first == second for first, second in zip(beside, answers_of(merged))]}
print(f"largest difference in any logit: {changes['float32']:.1e}; answers the same: {sum(same['float32'])} of {len(asked)}")

# %% [markdown]
# In float32 a number has about 7 digits. In **bfloat16**, the format in which most models are served, it has 2 to 3. There
# the merge rounds the *weights*: how much of a correction gets lost, when it is small against its weight? One layer:

# %%
from pathlib import Path

from safetensors import safe_open

layer = merged.model.layers[-1].mlp.down_proj
with safe_open(Path(weights()) / "model.safetensors", framework="pt") as file:  # one matrix of the base, from its file
    base_weight = file.get_tensor(f"model.layers.{len(merged.model.layers) - 1}.mlp.down_proj.weight")
correction = layer.weight.detach().cpu() - base_weight.float()
rounded_base = base_weight.bfloat16()
kept = (rounded_base.float() + correction).bfloat16().float() - rounded_base.float()
print(f"lost by rounding in bfloat16: {(kept - correction).norm() / correction.norm():.0%} of the correction's size")

# %% [markdown]
# (Size is here the root of the sum of the squared numbers.) Does that change answers? The base is loaded in bfloat16, the
# adapter is put on, and the same is done again. With a control: the adapter beside the layer, asked in batches of 3
# instead of 8, because in few digits even another batch can turn an answer.

# %%
del tuned, merged, model, base_weights, layer
gc.collect()
half_base = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.bfloat16).to(hw.device)
half = PeftModel.from_pretrained(half_base, shipped_adapter("triage")).eval()
beside_half, logits_half, other_batches = answers_of(half), logits_of(half), answers_of(half, batch_size=3)
merged = half.merge_and_unload()
merged_half = answers_of(merged)
changes["bfloat16"] = (logits_of(merged) - logits_half).abs().max().item()
same["bfloat16"] = [first == second for first, second in zip(beside_half, merged_half)]
same["bfloat16, not merged, other batches"] = [first == second for first, second in zip(beside_half, other_batches)]
pd.DataFrame({"largest difference in a logit": changes, "answers the same": {k: f"{sum(v)} of {len(v)}" for k, v in same.items()}})

# %% [markdown]
# Where an answer differs, what does the difference look like? (An empty table says that none did.)

# %%
pairs = zip(asked, beside_half, merged_half)
different = [(message[:60], first, second) for message, first, second in pairs if first != second]
pd.DataFrame(different, columns=["message", "adapter beside", "merged"])

# %% [markdown]
# Here it was a part of the messages, for time. The claim speaks of *every* test message, so all of them were asked once,
# by `benchmarks/record_merge.py`, and the result is kept:

# %%
import json

from finetune_course.evaluate import interval, percent
from finetune_course.paths import course_root

record = json.loads((course_root() / "benchmarks/results/merge.json").read_text())
print({key: record["settings"][key] for key in ("command", "machine", "date")})
recorded = {run["format"]: [int(i >= len(found["another answer"])) for found in run["sets"].values() for i in range(found["messages"])]
            for run in record["runs"]}
pd.DataFrame({"messages": {k: len(v) for k, v in recorded.items()}, "answers the same": {k: percent(*interval(v)) for k, v in recorded.items()}})

# %% [markdown]
# Where a format is below 100%, answers turned. Hold that against the control above: in bfloat16 other batches alone can turn
# an answer, so not each of these differences is the merge's. An adapter kept beside the layer keeps its own digits and can be swapped; a
# merged one should be **scored again after the merge**, in the format in which it will be served. (What merging saves in
# time is measured in notebook 08.)

# %% [markdown]
# ## A smaller stage
#
# The rest of the notebook compares many runs, so each has to be short. Two savings make that possible:
#
# - **The upper blocks only.** Blocks 0 to 19 stay frozen and untouched in all of these runs, and so give the same numbers
#   each time. They are computed once, and kept.
# - **No writing.** An answer that is written greedily is right exactly when, after each right beginning, the next right
#   token has the highest score. So one look at the right answer tells, and nothing is generated.
#
# The held-out messages are the validation ones: hand-written, and made by templates as the training messages are. They are
# kept apart, as two sets. What is said of the ranks goes by the hand-written ones.

# %%
from finetune_course.allocator import free_memory
from finetune_course.short_runs import UpperBlocks

del half, half_base, merged, beside_logits, logits_half, untouched
free_memory()
model = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32).to(hw.device)
few = hw.profile == "small"
by_hand, by_template = load_split("validation_handwritten"), load_split("validation")
stage = UpperBlocks(
    model, first=20,
    train=category_batches(tokenizer, rows[: 96 if few else 240], size=4 if few else 8),
    held_out=category_batches(tokenizer, by_hand[::3] if few else by_hand, size=20),
    template_made=category_batches(tokenizer, by_template[::6] if few else by_template, size=20),
)
originals = [weight.detach().bfloat16() for weight in stage.weights()]  # their own format in the file: nothing is lost


@torch.no_grad()
def restore():
    """Take any LoRA out and put the upper blocks' weights back as they were: each cell below starts with it."""
    remove_lora(stage.model)
    for weight, original in zip(stage.weights(), originals):
        weight.copy_(original)


base_weights = list(stage.model.parameters())
stage_before = fingerprint(base_weights)
print(f"{sum(w.numel() for w in stage.weights()):,} weights in the linear layers of the 10 upper blocks")

# %% [markdown]
# ## What alpha and r do
#
# $r$ decides how many numbers are learned. $\alpha$ stretches the correction, as a learning rate of $B$'s own would. Why then
# is there an $\alpha$, and why is it *divided* by $r$?
#
# We can see it in a single step. In its first step AdamW moves every number of $B$ by about the learning rate, whatever
# the gradient's size. With more columns in $B$ there are more of them pulling the same way. Here is the change that **one** step makes
# to the logits of a batch, at different ranks: once without the division, once with $\alpha / r$, once with $\alpha /
# \sqrt r$ (known as rsLoRA).

# %%
@torch.no_grad()
def batch_logits():
    return stage.logits(*stage.sets["train"][0])[0]


def change_of_one_step(r, scale):
    """Root mean square change of the batch's logits after one step of rate 1e-4 with this rank and this factor."""
    torch.manual_seed(0)
    add_lora(stage.model, r=r, alpha=scale * r)
    stage.train(rate=1e-4, only=[0])
    change = (batch_logits() - at_start).square().mean().sqrt().item()
    remove_lora(stage.model)
    return change


restore()
at_start = batch_logits()
rules = {"no division": lambda r: 4, "alpha / r": lambda r: 16 / r, "alpha / √r": lambda r: 8 / r**0.5}
ranks = [1, 4, 16, 64]
steps = pd.DataFrame({rule: {r: change_of_one_step(r, scale(r)) for r in ranks} for rule, scale in rules.items()})
steps.rename_axis("r").round(3)

# %% [markdown]
# The three factors were chosen to meet at $r$ = 4. What matters is how they part from there:

# %%
from finetune_course import plots

fig, ax = plots.figure()
for place, rule in enumerate(steps):
    ax.plot(steps.index, steps[rule], marker=plots.MARKERS[place], label=rule)
ax.set(xscale="log", yscale="log", xlabel="rank r", ylabel="change of logits in one step", xticks=ranks, xticklabels=ranks)
ax.legend(title="factor before B A x")
growth = {rule: steps[rule].iloc[-1] / steps[rule].iloc[0] for rule in steps}
plots.show(fig, alt="Change of the logits in one step against the rank, both logarithmic. From rank 1 to 64 it is multiplied by "
           + ", ".join(f"{factor:.2g} with {rule}" for rule, factor in growth.items()) + ".")
print({rule: f"× {factor:.2g}" for rule, factor in growth.items()})

# %% [markdown]
# Compare the three numbers: where a larger rank means a larger step, one would have to find a learning rate anew with each
# rank. Dividing by $r$ changes the step least, so that ranks can be compared at one learning rate. (How far it should be divided, by $r$ or
# by $\sqrt r$, is a matter of debate: the first step is not the whole run.)
#
# And doubling $\alpha$? In the first step, in which $A$ stands still, it does what doubling the learning rate does:

# %%
doubled = {"alpha 16, rate 1e-4": (16, 1), "alpha 32, rate 1e-4": (32, 1), "alpha 16, rate 2e-4": (16, 2)}
changes_doubled = {}
for name, (alpha, times) in doubled.items():
    torch.manual_seed(0)
    add_lora(stage.model, r=8, alpha=alpha)
    stage.train(rate=times * 1e-4, only=[0])
    changes_doubled[name] = (batch_logits() - at_start).square().mean().sqrt().item()
    remove_lora(stage.model)
pd.DataFrame({"change of logits": changes_doubled}).round(3)

# %% [markdown]
# ## Rank against accuracy
#
# Now whole runs: the same messages in the same order, the same learning rate, $\alpha$ = 16, and ranks from 1 to 64.
# Beside them stands the full fine-tune of the same ten blocks, with a learning rate of its own, as full fine-tuning
# needs a smaller one. Both rates are the best of a few that were tried on all these held-out messages (1e-3, 2e-3 and 4e-3 for
# LoRA of rank 8, 1e-4 and 3e-4 for the full fine-tune), so the scores flatter both a little; ranks 1 and 64, and the
# full fine-tune above 3e-4, might do better at rates that were not tried.

# %%
from finetune_course.evaluate import paired_difference, points

SETS = {"hand-written": "held_out", "template-made": "template_made"}
scored, template_made = {}, {}


def keep(name):
    """Score the model as it is on both sets, note and print it."""
    scored[name], template_made[name] = (stage.held_out(part) for part in SETS.values())
    told = [f"{kind} {percent(*interval(found[name][1]))}" for kind, found in zip(SETS, (scored, template_made))]
    print(f"{name}: right,", ", ".join(told))

# %% [markdown]
# The untrained model first, then the three ranks:

# %%
restore()
keep("untrained")
print("messages:", {kind: len(found["untrained"][1]) for kind, found in zip(SETS, (scored, template_made))})
for r in (1, 8, 64):
    torch.manual_seed(0)
    add_lora(stage.model, r=r, alpha=16)
    stage.train(rate=2e-3)
    keep(r)
    remove_lora(stage.model)

stage_same = fingerprint(base_weights) == stage_before
print("base weights the same after all these runs:", stage_same)

# %% [markdown]
# The full fine-tune changes the weights themselves. We keep what they were before; what it adds to each is the
# *update*, $\Delta W$.

# %%
restore()
free_memory()  # Adam's averages come on top: two numbers for each weight
for weight in stage.weights():
    weight.requires_grad_(True)
stage.train(rate=3e-4)
stage.model.requires_grad_(False)
keep("full")
updates = [(weight - original).detach().cpu() for weight, original in zip(stage.weights(), originals)]
size = [sum(float(matrix.float().norm()) ** 2 for matrix in each) ** 0.5 for each in (updates, originals)]
print(f"in size the update is {size[0] / size[1]:.1%} of the weights")

# %% [markdown]
# All of it in one figure, the hand-written messages on the left. Each dot has its 95% interval over the messages.

# %%
fig, axes = plots.figure(9, 3.8, ncols=2, sharey=True)
for ax, kind, found in zip(axes, SETS, (scored, template_made)):
    for r in (1, 8, 64):
        mean, low, high = (100 * value for value in interval(found[r][1]))
        ax.errorbar(r, mean, yerr=[[mean - low], [high - mean]], fmt="o", color=plots.COLOURS[0], capsize=4)
    mean, low, high = (100 * value for value in interval(found["full"][1]))
    ax.axhline(mean, color=plots.COLOURS[1], linestyle="--", label="full fine-tuning")
    ax.axhspan(low, high, color=plots.COLOURS[1], alpha=0.12)
    ax.set(xscale="log", xlabel="rank r", title=kind, ylim=(0, 100), xticks=[1, 8, 64], xticklabels=[1, 8, 64])
axes[0].set(ylabel="categories right (%)")
axes[0].legend()
described = {kind: "; ".join(f"{name}: {percent(*interval(hits))}" for name, (_, hits) in found.items())
             for kind, found in zip(SETS, (scored, template_made))}
plots.show(fig, alt="Share of held-out categories that are right against the rank, with intervals. "
           + " ".join(f"{kind.capitalize()}: {words}." for kind, words in described.items()))

# %% [markdown]
# Template-made messages share their making with the training messages, so a score on them says how well that making was
# learned. The verdict is taken on the hand-written ones.
#
# The same messages were asked each time, so differences are compared message by message (the paired bootstrap of
# notebook 03). The loss, below, is the finer measure: it also sees how sure the model was.

# %%
pairs = ((8, 1), (64, 8), ("full", 8))
for kind, found in zip(SETS, (scored, template_made)):
    told = [f"{a} − {b}: {points(*paired_difference(found[a][1], found[b][1]))}" for a, b in pairs]
    print(f"{kind}, in points:", ", ".join(told))
gap = paired_difference(scored["full"][1], scored[8][1])
decided = "yes" if gap.high <= 0.05 else "no" if gap.low > 0.05 else "not decided by this many messages"
print("hand-written: rank 8 is at most 5 points below full fine-tuning:", decided)

# %% [markdown]
# And the losses:

# %%
losses = {kind: {name: str(interval(loss)) for name, (loss, _) in found.items()}
          for kind, found in zip(SETS, (scored, template_made))}
pd.DataFrame(losses).rename_axis("loss, nats a token")

# %% [markdown]
# Read the intervals before you read the dots. An interval that includes zero says that these messages cannot tell two
# ranks apart. And the intervals speak for other *messages*; another order of the training rows would move each dot
# too (try `seed=1` in `stage.train` in the cell of the runs).

# %% [markdown]
# ## Why a low rank can be enough
#
# An update of the full fine-tune has at least 192 rows and columns, and could have a rank as high as that. Has it? The
# *singular values* of a matrix tell. They belong to a split of the matrix into parts of rank 1, sorted by size: the best
# approximation of rank $r$ is the sum of the first $r$ parts, and the squares of all values add up to the squared size of
# the matrix. If a few values hold most of it, a low rank loses little.
#
# A toy first: a rank-1 matrix with a little noise.

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
noisy = B @ A + 0.1 * torch.randn(3, 4)
values = torch.linalg.svdvals(noisy)
print("singular values:", [f"{value:.2f}" for value in values])
print("share of the squared size:", [f"{value:.3f}" for value in values**2 / (values**2).sum()])

# %% [markdown]
# ### Exercise 5.3 — how much does a low rank keep?
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# Write `share_kept(update, r)`: the share, from 0 to 1, of the matrix's squared size (the sum of its squared singular
# values) that the best matrix of rank `r` keeps. `r` may exceed the number of values; then all is kept.
#
# **Expected output**
#
# ```
# share_kept(torch.diag(torch.tensor([1.0, 2.0, 2.0])), 1)  →  0.4444   (4 of 1 + 4 + 4)
# share_kept(B @ A, 1)                                      →  1.0
# ```
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svdvals(update)` gives the singular values, the largest first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Square them. What the first `r` of the squares add up to, divided by what all of them add up to.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `squares = torch.linalg.svdvals(update) ** 2`, then `squares[:r].sum() / squares.sum()`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-5-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def share_kept(update, r):
    """Share (0 to 1) of a matrix's squared size that its best approximation of rank r keeps."""
    ### BEGIN SOLUTION
    squares = torch.linalg.svdvals(update) ** 2
    return float(squares[:r].sum() / squares.sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-5-3-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_05.share_kept(share_kept)
### BEGIN HIDDEN TESTS
assert abs(float(share_kept(torch.diag(torch.tensor([1.0, 2.0, 2.0])), 1)) - 4 / 9) < 1e-5
assert abs(float(share_kept(torch.diag(torch.tensor([3.0, 1.0, 4.0, 2.0])), 3)) - 29 / 30) < 1e-5
assert abs(float(share_kept(torch.ones(5, 3), 1)) - 1) < 1e-5
### END HIDDEN TESTS

# %% [markdown]
# Now the real updates: the seven matrices of the last block. Beside each stands a matrix of random numbers of the same
# shape and size, which is what an update without any structure would look like.

# %%
def squared_values(matrix):
    """Squared singular values, as shares of their sum, the largest first."""
    squares = torch.linalg.svdvals(matrix) ** 2
    return squares / squares.sum()


torch.manual_seed(0)
spectra = {name: squared_values(update) for name, update in zip(PROJECTIONS, updates[-7:])}
noise = {name: squared_values(torch.randn(update.shape)) for name, update in zip(PROJECTIONS, updates[-7:])}
columns = {"update": spectra, "random": noise}
kept_8 = {f"rank 8 keeps, {name}": {k: f"{s[:8].sum():.0%}" for k, s in part.items()} for name, part in columns.items()}
ninety = {f"rank for 90%, {name}": {k: int((s.cumsum(0) < 0.9).sum()) + 1 for k, s in part.items()} for name, part in columns.items()}
assert all(spectra[name][:8].sum() > 2 * noise[name][:8].sum() for name in spectra)
pd.DataFrame({**kept_8, **ninety})

# %% [markdown]
# The same as curves: how much of an update the first values hold together.

# %%
fig, ax = plots.figure()
for place, name in enumerate(("q_proj", "v_proj", "down_proj")):
    ax.plot(range(1, len(spectra[name]) + 1), 100 * spectra[name].cumsum(0), color=plots.COLOURS[place], label=f"{name}, update")
    ax.plot(range(1, len(noise[name]) + 1), 100 * noise[name].cumsum(0), color=plots.COLOURS[place], linestyle=":", label=f"{name}, random")
ax.set(xscale="log", xlabel="rank r (logarithmic)", ylabel="share of the squared size (%)", ylim=(0, 102))
ax.legend(fontsize=9)
plots.show(fig, alt="Share of the squared size that the first r singular values hold, against r. At rank 8, update and random: "
           + "; ".join(f"{name} {spectra[name][:8].sum():.0%} and {noise[name][:8].sum():.0%}" for name in ("q_proj", "v_proj", "down_proj")))

# %% [markdown]
# Size is one thing, use another: are the values that a low rank leaves out *needed*? So each of the 70 updates is cut
# down to rank $r$, put back on the original weights, and the model is scored on the hand-written messages. Nothing is
# trained again.

# %%
@torch.no_grad()
def put_back(r):
    """Original weights plus each update cut down to rank r."""
    for weight, original, update in zip(stage.weights(), originals, updates):
        torch.manual_seed(0)
        U, S, V = torch.svd_lowrank(update, q=r + 8, niter=4)
        weight.copy_(original + (U[:, :r] * S[:r] @ V[:, :r].T).to(original.device))


cut = {}
for r in (1, 8, 64):
    put_back(r)
    cut[r] = stage.held_out()
    print(f"the full update cut down to rank {r:2}: {percent(*interval(cut[r][1]))} right")
print(f"the full update as it is        : {percent(*interval(scored['full'][1]))} right")
restore()

# %% [markdown]
# Compare with the runs of above: a LoRA run of rank $r$ does not have to find the best cut of a full update, as it may
# put all that it learns into $r$ directions from the start.

# %% [markdown]
# ## How many parameters?
#
# "LoRA trains under one per cent of the parameters" (claim C12). Of which model, at which rank? A layer of (out, in) has
# out · in weights, and LoRA adds r · (out + in). When a model gets twice as wide, the first grows four times and the
# second two times: so the share falls with the width. How far is a matter of counting.
#
# The shapes of some well-known models are in `model_sizes.py`. On torch's **meta device** a model has all its layers and
# no numbers in them, so even 70 billion parameters fit anywhere. PEFT puts its adapter into it all the same.

# %%
from finetune_course.model_sizes import SIZES, added_by_lora, linear_shapes, on_meta

counts = []
for name, shape in SIZES.items():
    empty = on_meta(shape)
    total, shapes = empty.num_parameters(), [shape for _, shape in linear_shapes(empty)]
    with torch.device("meta"):
        wrapped = get_peft_model(empty, LoraConfig(r=8, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM"))
    by_peft = wrapped.get_nb_trainable_parameters()[0]
    assert by_peft == added_by_lora(shapes, r=8), "the formula and PEFT disagree"
    counts.append({"model": name, "parameters": total, "added at r = 8": by_peft, "per step of r": by_peft // 8})
counts = pd.DataFrame(counts).set_index("model")
counts.map("{:,}".format)

# %% [markdown]
# These are exact counts, and our formula agrees with PEFT to the last parameter. As shares, for several ranks:

# %% tags=["nbval-check-output"]
shares = pd.DataFrame({f"r = {r}": 100 * r * counts["per step of r"] / counts["parameters"] for r in (1, 2, 4, 8, 16, 32, 64)})
print(shares.round(2).to_string())

# %% [markdown]
# The 1% line goes right through this table:

# %%
fig, ax = plots.figure(height=4)
for place, column in enumerate(("r = 4", "r = 8", "r = 16", "r = 64")):
    ax.plot(counts["parameters"], shares[column], marker=plots.MARKERS[place], label=column)
ax.axhline(1, color="black", linestyle="--", linewidth=1)
ax.text(counts["parameters"].iloc[-1], 1.05, "1%", ha="right", va="bottom")
ax.set(xscale="log", yscale="log", xlabel="parameters of the model", ylabel="added by LoRA (% of the model)")
ax.legend(title="all linear layers")
first_below = {column: next((name for name in shares.index if shares[column][name] < 1), "none") for column in shares}
plots.show(fig, alt="Share of parameters that LoRA adds against the size of the model, both logarithmic, with a line at 1%: "
           "the curves fall with size, but for one step up from 1.2 to 1.7 billion. " + "; ".join(f"{column}: below 1% first at {name}" for column, name in first_below.items()))

# %% [markdown]
# (The step in the curves: Llama-3.2-1B has a vocabulary of 128,256 tokens, which counts among its parameters and gets no
# LoRA, and fewer blocks than SmolLM2-1.7B.) So the claim needs two numbers beside it. From which of these models on is it
# true?

# %% tags=["nbval-check-output"]
below = shares.lt(1)
from_here_on = {c: next((m for i, m in enumerate(shares.index) if below[c].iloc[i:].all()), "none of them") for c in shares}
print(pd.Series(from_here_on, name="under 1% from here on").to_string())

# %% [markdown]
# There is another way to keep the share small: fewer layers. The first LoRA experiments wrapped query and value alone.
# With the sliders you can look for yourself (they need a running kernel; the printed lines below them are for one setting).

# %%
from ipywidgets import IntSlider, interact

CHOICES = {"all linear layers": PROJECTIONS, "query and value": ("q_proj", "v_proj"), "the MLP": ("gate_proj", "up_proj", "down_proj")}


def adapter(model, layers, r, alpha):
    """One line: what an adapter of this kind adds to this model."""
    chosen = [shape for name, shape in linear_shapes(on_meta(SIZES[model])) if name in CHOICES[layers]]
    added = added_by_lora(chosen, r)
    share = added / counts.loc[model, "parameters"]
    print(f"{model}, {layers}, r = {r}: {added:,} parameters, {share:.2%} of the model, {2 * added / 1e6:,.0f} MB in bfloat16; factor {alpha / r:g}")


controls = {"r": IntSlider(8, 1, 256, continuous_update=False), "alpha": IntSlider(16, 1, 512, continuous_update=False)}
_ = interact(adapter, model=list(SIZES), layers=list(CHOICES), **controls)

# %% [markdown]
# Four settings, for a page without a kernel:

# %% tags=["nbval-check-output"]
for model_name in ("SmolLM2-135M", "Llama-3.1-70B"):
    for layer_choice in ("all linear layers", "query and value"):
        adapter(model_name, layer_choice, r=8, alpha=16)

# %% [markdown]
# ### Exercise 5.4 — the largest rank under a limit
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# Somebody allows you a share of the model and not more. Write `largest_rank(shapes, base, share)`: `shapes` is a list
# of `(out, in)` of the adapted layers, `base` the number of parameters of the whole model, `share` the limit, from 0
# to 1. Return the largest whole rank whose A and B together have at most `share · base` parameters, 0 where none fits. Only
# count: a rank above a layer's smaller side is allowed here.
#
# **Expected output**
#
# ```
# largest_rank([(4, 6)], base=100, share=0.25)            →  2   (2 · (4 + 6) = 20 of 25)
# largest_rank([(4, 6), (10, 7)], base=1000, share=0.02)  →  0
# ```
#
# The check then asks for the smallest and the largest model of the table, at 1%.
#
# <details><summary>Hint 1</summary>
#
# How many parameters does one more step of rank cost, in all layers together? It does not depend on the rank.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A step costs `in` numbers in A and `out` numbers in B, for each layer.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `int(share * base // step)`, with `step = sum(outputs + inputs for outputs, inputs in shapes)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-5-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def largest_rank(shapes, base, share):
    """Largest rank of which LoRA on layers of (out, in) adds at most ``share`` of ``base`` parameters."""
    ### BEGIN SOLUTION
    step = sum(outputs + inputs for outputs, inputs in shapes)
    return int(share * base // step)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-5-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_05.largest_rank(largest_rank)
### BEGIN HIDDEN TESTS
assert largest_rank([(4, 6)], 100, 0.25) == 2
assert largest_rank([(4, 6), (10, 7)], 1000, 0.02) == 0
assert largest_rank([(3, 5)] * 4, 1024, 0.5) == 16
assert largest_rank([(1, 1)], 8, 1) == 4
### END HIDDEN TESTS

# %% [markdown]
# ## How much memory?
#
# The share of parameters is not what anybody pays for. What has to fit into the card while a run lasts is (notebook 06
# measures it):
#
# - the **frozen weights**, 16 bits each in bfloat16, or 4 bits each (that is **QLoRA**);
# - the **trained weights**, kept in float32, since a small update would be rounded away in fewer bits: 4 bytes each;
# - for each *trained* weight its **gradient** (4 bytes) and the **optimiser**'s two running means (8 bytes).
#
# Full fine-tuning is the case in which nothing is frozen: 16 bytes for each parameter. (A real QLoRA takes a little more
# than 4 bits: it leaves the embeddings in 16, and stores a scale for each block of weights.)

# %% [markdown]
# ### Exercise 5.5 — what fits into the card?
#
# Difficulty ●●○ · importance ●●● · about 8 minutes
#
# Write `training_memory(frozen, trained, frozen_bits=16)`: bytes, in a dictionary with the keys `weights` (frozen and
# trained ones together), `gradients`, `optimiser` and `total`.
#
# **Expected output**
#
# ```
# training_memory(100, 10)                 →  {'weights': 240, 'gradients': 40, 'optimiser': 80, 'total': 360}
# training_memory(100, 10, frozen_bits=4)  →  {'weights': 90, 'gradients': 40, 'optimiser': 80, 'total': 210}
# training_memory(0, 100)                  →  {'weights': 400, 'gradients': 400, 'optimiser': 800, 'total': 1600}
# ```
#
# <details><summary>Hint 1</summary>
#
# Go through the list above and ask of each part: frozen weights, trained weights, or both?
#
# </details>
# <details><summary>Hint 2</summary>
#
# A byte has 8 bits, so 100 weights of 4 bits are 50 bytes.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The weights are `frozen * frozen_bits / 8 + 4 * trained`; the rest depends on `trained` alone.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-5-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def training_memory(frozen, trained, frozen_bits=16):
    """Bytes that a run with AdamW holds: weights (trained ones in float32), gradients, two moments, and the total."""
    ### BEGIN SOLUTION
    parts = {
        "weights": frozen * frozen_bits / 8 + 4 * trained,
        "gradients": 4 * trained,
        "optimiser": 8 * trained,
    }
    return {**parts, "total": sum(parts.values())}
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-5-5-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_05.training_memory(training_memory)
### BEGIN HIDDEN TESTS
assert training_memory(100, 10) == {"weights": 240, "gradients": 40, "optimiser": 80, "total": 360}
assert training_memory(100, 10, frozen_bits=4)["total"] == 210
assert training_memory(0, 100)["total"] == 1600
assert training_memory(64, 0, frozen_bits=8) == {"weights": 64, "gradients": 0, "optimiser": 0, "total": 64}
### END HIDDEN TESTS

# %% [markdown]
# For all the models of the table, with LoRA of rank 8 on all linear layers, in GB ($10^9$ bytes):

# %% tags=["nbval-check-output"]
from finetune_course.model_sizes import memory_of_run

size, added = counts["parameters"], counts["added at r = 8"]
ways = {"full": (0, size, 16), "LoRA": (size, added, 16), "QLoRA": (size, added, 4)}
memory = pd.DataFrame({way: memory_of_run(*given)["total"] / 1e9 for way, given in ways.items()})
print(memory.round(1).to_string())

# %% [markdown]
# The same beside the cards that people have. Where a dot lies above a line, not even the run's fixed parts fit; below it
# there must still be room for the *activations* (what each layer keeps for the backward pass), which grow with the batch and the length of the texts.

# %%
fig, ax = plots.figure(height=4)
for place, way in enumerate(memory):
    ax.plot(size, memory[way], marker=plots.MARKERS[place], label=way)
for gigabytes in (16, 24, 80):
    ax.axhline(gigabytes, color="black", linestyle=":", linewidth=1)
    ax.text(size.iloc[0], gigabytes * 1.06, f"{gigabytes} GB card", fontsize=9)
ax.set(xscale="log", yscale="log", xlabel="parameters of the model", ylabel="memory of a run (GB)")
ax.legend()
largest = {way: memory.index[memory[way] <= 24][-1] for way in memory}
plots.show(fig, alt="Memory of a run's weights, gradients and optimiser against the size of the model, both logarithmic: full is the highest "
           "line, then LoRA, then QLoRA. Largest model under 24 GB: " + ", ".join(f"{way} {name}" for way, name in largest.items()))

# %% [markdown]
# A formula should meet a measurement at least once. The ten blocks of above, with LoRA of rank 8, after one step: what
# do the tensors really hold? (The frozen weights are float32 here, 32 bits.)

# %%
from finetune_course.training import tensor_memory

restore()
layers = add_lora(stage.model, r=8, alpha=16)
adam = torch.optim.AdamW(trained(stage.model))
scores, right, _ = stage.logits(*stage.sets["train"][0])
nn.functional.cross_entropy(scores, right).backward()
adam.step()
train_count = sum(w.numel() for w in trained(stage.model))
frozen_count = sum(w.numel() for w in stage.model.parameters()) - train_count
computed = {name: part / 1e6 for name, part in memory_of_run(frozen_count, train_count, 32).items()}
measured = tensor_memory(stage.model, adam)
measured["gradients"] = sum(w.grad.nbytes for w in stage.model.parameters() if w.grad is not None) / 1e6
measured["total"] = sum(measured[part] for part in ("weights", "gradients", "optimiser"))
pd.DataFrame({"computed (MB)": computed, "measured (MB)": measured}).round(2)

# %% [markdown]
# ## What we measured
#
# The three claims of the ledger that this page can speak to. A verdict follows from the numbers alone.

# %%
from finetune_course.claims import load_claims

share_here = counts.loc["SmolLM2-135M", "added at r = 8"] / counts.loc["SmolLM2-135M", "parameters"]
exact, rounded = interval(recorded["float32"]), interval(recorded["bfloat16"])
c14 = {2: "holds", 1: "holds in part: in one format, not in the other", 0: "fails here"}[(exact.mean == 1) + (rounded.mean == 1)]
verdicts = {
    "C12": (f"{share_here:.2%} at r = 8; under 1% from {from_here_on['r = 8']} on", "holds" if share_here < 0.01 else "fails here, holds for larger models"),
    "C13": (f"fingerprint after training: whole model {'the same' if base_same else 'ANOTHER'}, upper blocks {'the same' if stage_same else 'ANOTHER'}", "holds" if base_same and stage_same else "fails here"),
    "C14": (f"same answers (recorded): float32 {percent(*exact)}, bfloat16 {percent(*rounded)}", c14),
}
claims = {claim.id: claim.text for claim in load_claims()}
pd.DataFrame([(name, claims[name], *row) for name, row in verdicts.items()], columns=["id", "claim", "measured", "verdict"]).set_index("id")

# %% [markdown]
# The key numbers go into the table of `start.py run`.

# %%
from finetune_course.keynumbers import publish

publish("LoRA r = 8, share of 135M", 100 * share_here, unit="%")
publish("largest difference to PEFT", max(gaps))
publish("merged answers same, float32", exact.mean, interval=exact[1:])
publish("merged answers same, bfloat16", rounded.mean, interval=rounded[1:])
publish("category right, hand-written, r = 8", interval(scored[8][1]).mean, interval=interval(scored[8][1])[1:])

# %% [markdown]
# ## In a nutshell
#
# - A LoRA layer is a frozen layer and two thin matrices beside it. B starts at zero, so that training starts from exactly
#   the model that you had. Ten lines of PyTorch give PEFT's numbers.
# - The base weights are untouched, to the last bit. That is what makes it possible to share and swap.
# - Merging is exact on paper; a computer rounds. The tables say in which format answers changed: score a merged model
#   again, in the format in which it will be served.
# - Of the three rules, alpha / r changes the size of the first step least when the rank changes.
# - What full fine-tuning changes is far from noise: see how much a few directions hold, and how the model does when the
#   update is cut down to them. How high a rank has to be is a question for held-out messages, with intervals.
# - "Under 1%" is a rule about a size and a rank, and not about LoRA. Full fine-tuning takes 16 bytes a parameter, LoRA
#   little more than the frozen weights.

# %% [markdown]
# ## What to read next
#
# - [Notebook 06](06_trl_run.ipynb): the same with TRL and PEFT on the whole task, with everything around it that a
#   real run needs.
# - *LoRA: Low-Rank Adaptation of Large Language Models* (Hu and others, 2021); *A Rank Stabilization Scaling Factor for
#   Fine-Tuning with LoRA* (Kalajdzievski, 2023), which is rsLoRA; *QLoRA* (Dettmers and others, 2023).
# - PEFT's documentation of `LoraConfig`, for dropout, other starts and other families of adapters.
