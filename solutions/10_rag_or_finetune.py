# %% [markdown]
# # 10 · RAG or fine-tune?
#
# Every lever of this course has had its notebook: prompts, data, LoRA, retrieval. Now all of them do the same work, on the
# same held-out questions and messages, and then the shop changes its prices and opening hours, and they do it again.
# At the end stand one table and one figure that you could show to a manager, a helper that turns them into advice, the
# scoreboard of all claims beside your own predictions, and a pipeline for data of your own.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - have compared prompting, few-shot, retrieval (RAG), a LoRA with the facts in its weights, and a LoRA that reads
#   retrieved pages, on the same questions, with paired intervals;
# - know what each of them takes to bring up to date when facts change, in minutes and in right answers;
# - be able to turn such numbers into a verdict, and to say when they do not carry one;
# - have a decision helper whose rules you can read and argue with;
# - see how well your predictions of notebook 00 were calibrated;
# - run the whole comparison on a file of your own and write a one-page report.
#
# It takes about 5 minutes of computing on 2 CPU cores, 90 minutes of your time, and 2 GB of memory.

# %% [markdown]
# ## Before you start
#
# You need notebook 06 (what a LoRA run is) and notebook 09 (pieces of pages, search, citations). The long runs of this
# page were recorded: three seeds of each training, every answer in full. What is live is said to be live.

# %% tags=["exercise-setup"]
from importlib.metadata import version

import numpy as np
import pandas as pd

from finetune_course import checks_10

pd.set_option("display.max_colwidth", 140)
libraries = ["torch", "transformers", "peft", "trl", "scikit-learn"]
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# The records. Each says by which command it was made, on which data and versions, and when.

# %%
from finetune_course.grid_record import load_record
from finetune_course.retrieved import load_retrieved

names = {"reader": "kb_reader", "facts": "kb_facts", "comparison": "kb_comparison"}
records = {short: load_record(name) for short, name in names.items()}
retrieved = load_retrieved()
rows = {short: (record or {}).get("settings", {}) for short, record in records.items()} | {"search": retrieved.settings}
pd.DataFrame(
    {
        short: {key: row.get(key, "not recorded yet") for key in ("command", "machine", "date")}
        for short, row in rows.items()
    }
).T

# %% [markdown]
# ## The opponents
#
# Two models are trained for this page. They differ in what they learn.
#
# The **reader** learns to read. Its pages are those of made-up pools, libraries and bakeries; not one sentence of the
# shop is among them. It sees several pieces, most of them wrong ones from the same page, and learns to pick the value
# that was asked for, to name the page, and to say when no piece holds the answer. One of its rows:

# %% tags=["nbval-check-output"]
from finetune_course.reader import load_fact_rows, load_reader_rows, prompt_completion

reader_rows = load_reader_rows()
row = prompt_completion(next(row for row in reader_rows if row["kind"] == "one page"))
print(row["prompt"][1]["content"], "\n→", row["completion"][0]["content"])

# %% [markdown]
# The **closed-book** model learns version 1 of the shop's facts by heart. It should be a fair opponent, so every fact is
# asked in two hand-written ways, completed in its own sentence, and told within its section. None of the test's
# questions is among them, nor a near-duplicate of one: a test sees to that. One fact in its rows:

# %% tags=["nbval-check-output"]
fact_rows = load_fact_rows("v1")
for row in fact_rows:
    if row["fact"] == "returns-policy/label":
        print(f"{row['form']}: {row['question']}\n   → {row['answer']}")
pd.Series([row["form"] for row in fact_rows]).value_counts().rename("rows").to_frame()

# %% [markdown]
# And what is asked: the hand-written questions of notebook 09, with their answers in both versions of the pages.

# %% tags=["nbval-check-output"]
from finetune_course.kb_questions import KINDS, is_right, load_kb_questions

test = load_kb_questions("test")
counts = {kind: [sum(q.kind == kind for q in test)] for kind in KINDS}
pd.DataFrame(counts, index=["test questions"]).T

# %% [markdown]
# ## Live: one question, every way
#
# Before the table, one question of the validation set whose answer changes, asked live. First the model and the adapters
# that come with the course.

# %%
from finetune_course.adapters import shipped_adapter
from finetune_course.hardware import inspect_hardware
from finetune_course.lora_runs import base_model, with_adapter

hw = inspect_hardware()
model, tokenizer = base_model(hw)


def with_shipped(task):
    """The base model with the course's adapter for the task, or None where it is not shipped yet."""
    try:
        return with_adapter(base_model(hw)[0], shipped_adapter(task))
    except FileNotFoundError as error:
        print(error)


models = {None: model, "reader": with_shipped("reader"), "facts": with_shipped("facts")}
print("ready:", ", ".join(name or "the base model" for name, each in models.items() if each is not None))

# %% [markdown]
# Each way with version 1 of the pages, and with version 2 where it can take them in without being trained.

# %%
from finetune_course.qa_arms import ARMS, ask

asked = next(q for q in load_kb_questions("validation") if q.kind == "changed in v2" and q.gold["v2"].pages)
print(asked.question, "→", asked.gold["v1"].answer, "and, after the change,", asked.gold["v2"].answer)
rows = {}
for way in [way for way in ARMS if models[way.adapter] is not None]:
    versions = ("v1", "v2") if way.pages else ("v1",)
    rows[way.name] = {
        v: ask(way, models[way.adapter], tokenizer, [asked], retrieved, v)["answers"][0] for v in versions
    }
pd.DataFrame.from_dict(rows, orient="index").fillna("as before: no page in the prompt").rename(
    columns={"v1": "before", "v2": "after the change"}
)

# %% [markdown]
# One question shows how, not how often.
#
# ## The table
#
# All arms on all test questions, from the records. *Before* is version 1 of the pages. *Not updated* is the same model,
# scored by version 2, as customers would. *Updated* has the new pages in its index, or was trained again on the new
# facts. Cells are means over three seeds where something was trained; an interval is over the questions.

# %%
from finetune_course.comparison_table import gather, main_table
from finetune_course.qa_arms import token_counter

found = gather(test, retrieved, token_counter(tokenizer), records["reader"], records["facts"], records["comparison"])
table = main_table(found)
table if len(table) else "The runs are not recorded yet."

# %% [markdown]
# As a figure: right answers to the answerable questions, before the change and after it.

# %%
from finetune_course import plots
from finetune_course.comparison_plots import arms_figure, describe_arms

if found:
    plots.show(arms_figure(found), alt=describe_arms(found))

# %% [markdown]
# What did the update take? Retrieval replaces rows in its index. The closed-book model is trained again: *anew* with the
# whole set, or *short*, a few passes over what changed with old rows beside it.

# %%
from finetune_course.comparison_table import update_minutes

minutes = update_minutes(retrieved, records["facts"])
pd.DataFrame({"minutes": minutes}).round(2)

# %% [markdown]
# ## Which differences are real?
#
# A difference in the table is worth a sentence only if its interval excludes zero. The questions are the same for all
# arms, so they are compared in pairs. But what are the pairs, when one arm has three seeds?

# %% [markdown]
# ### Exercise 10.1 — seeds are not questions
#
# Difficulty ●●○ · importance ●●● · about 10 minutes
#
# `seeds` is an array of 0 and 1 with one row a seed and one column a question: what the trained model got right. `other`
# has one number a question, for a model that was not trained. Return **one difference a question**, trained minus other,
# for the bootstrap to draw from.
#
# **Expected output**
#
# ```
# per_question(np.array([[1, 0], [1, 1]]), np.array([0, 1]))  →  [1.0, -0.5]
# ```
#
# <details><summary>Hint 1</summary>
#
# How many questions were asked? Three seeds do not triple them: they answer the same ones.
#
# </details>
# <details><summary>Hint 2</summary>
#
# What does one question say about the trained model, if two of three seeds got it right?
#
# </details>
# <details><summary>Hint 3</summary>
#
# `seeds.mean(axis=0)` averages over the rows; subtract `other`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-10-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def per_question(seeds, other):
    """One difference a question: the share of seeds that are right, minus the other model's outcome."""
    ### BEGIN SOLUTION
    return seeds.mean(axis=0) - other
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-10-1-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_10.per_question(per_question)
### BEGIN HIDDEN TESTS
hidden = np.asarray(per_question(np.array([[0, 1, 1], [0, 0, 1]]), np.array([1, 0, 1])), dtype=float)
assert hidden.shape == (3,) and np.allclose(hidden, [-1, 0.5, 0])
### END HIDDEN TESTS

# %% [markdown]
# The differences that the claims ask for, in percentage points. `difference` does what the exercise did, and hands the
# differences to the paired bootstrap of notebook 03.

# %%
from finetune_course.comparison_table import difference
from finetune_course.evaluate import points

READER, RAW, FACTS = "LoRA reader + RAG", "RAG, short rules", "LoRA on facts"
pairs = {
    "RAG − LoRA on facts, before": ((RAW, "before"), (FACTS, "before"), "answerable"),
    "reader + RAG − RAG, before": ((READER, "before"), (RAW, "before"), "answerable"),
    "reader + RAG − LoRA on facts, before": ((READER, "before"), (FACTS, "before"), "answerable"),
    "reader + RAG − LoRA on facts, changed questions, not updated": (
        (READER, "updated"),
        (FACTS, "not updated"),
        "changed in v2",
    ),
}
gains = {name: difference(found, a, b, which) for name, (a, b, which) in pairs.items() if a in found and b in found}
pd.DataFrame({"points": {name: points(*gain) for name, gain in gains.items()}})

# %% [markdown]
# ### Exercise 10.2 — what an interval says
#
# Difficulty ●○○ · importance ●●● · about 5 minutes
#
# A claim says "at least `line`". You have a mean and the ends of its interval. Return `"holds"`, `"fails here"` or
# `"not decided"`. An interval that begins exactly at the line holds.
#
# **Expected output**
#
# ```
# verdict(0.93, 0.86, 0.97, 0.9)  →  'not decided'
# verdict(0.97, 0.93, 0.99, 0.9)  →  'holds'
# ```
#
# <details><summary>Hint 1</summary>
#
# Where can the line lie: below the interval, inside it, above it?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The mean plays no part.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `if low >= line` is the first case; `high < line` the second; what is left is the third.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-10-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def verdict(mean, low, high, line):
    """What an interval says of the claim 'at least the line'."""
    ### BEGIN SOLUTION
    if low >= line:
        return "holds"
    return "fails here" if high < line else "not decided"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-10-2-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks_10.verdict(verdict)
### BEGIN HIDDEN TESTS
assert [verdict(0.5, 0.4, 0.6, line) for line in (0.3, 0.4, 0.5, 0.6, 0.61)] == [
    "holds",
    "holds",
    "not decided",
    "not decided",
    "fails here",
]
assert verdict(0.02, -0.01, 0.05, 0.0) == "not decided"
### END HIDDEN TESTS

# %% [markdown]
# ## When the facts change
#
# Facts in the weights stay as they are until somebody trains again. For a model without pages that is no finding but a
# necessity: the same weights give the same question the same answer. The open question is another: what if the old fact
# is in the weights and the **new page in the prompt**? That is the arm *LoRA on facts + RAG*.

# %% [markdown]
# ### Exercise 10.3 — what went stale
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# For some changed questions you have the answers `before` and `after` the change, the `old` fact and the `new` one, each a
# list of texts. Of the questions that were answered with the old fact before: which share still is? Return 0 where none
# was.
#
# **Expected output**
#
# ```
# stale_share(["60 days", "9 am"], ["60 days", "10 am"], ["60 days", "9 am"], ["45 days", "10 am"])  →  0.5
# ```
#
# <details><summary>Hint 1</summary>
#
# What was never known cannot go stale. Which questions stand below the fraction bar?
#
# </details>
# <details><summary>Hint 2</summary>
#
# An answer after the change can be the old fact, the new fact, or neither.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Count `was == fact` over `zip(before, after, old)`, and of these `now == fact`. `new` is not needed.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-10-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def stale_share(before, after, old, new):
    """Share of the questions answered with the old fact before that still are, after the change."""
    ### BEGIN SOLUTION
    kept = [now == fact for was, now, fact in zip(before, after, old) if was == fact]
    return sum(kept) / len(kept) if kept else 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-10-3-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_10.stale_share(stale_share)
### BEGIN HIDDEN TESTS
assert stale_share(["a", "b", "c", "x"], ["a", "z", "f", "d"], ["a", "b", "c", "d"], ["e", "f", "f", "g"]) == 1 / 3
assert stale_share([], [], [], []) == 0
### END HIDDEN TESTS

# %% [markdown]
# On the records, for the changed questions that have an answer in both versions:

# %%
from finetune_course.comparison_table import BOTH, changed, says_old
from finetune_course.evaluate import interval, percent


def stale(before, after):
    """Whether the old answer is still given, for each question and seed that had it right before."""
    return says_old(found[after], test)[says_old(found[before], test)]


wanted = {"no page in the prompt": (FACTS, "not updated"), "the new page in the prompt": (BOTH, "updated")}
stayed = {name: stale((FACTS, "before"), key) for name, key in wanted.items() if key in found}
print(
    f"{changed(test).sum()} changed questions, {len(found[FACTS, 'before'].tables) if found.get((FACTS, 'before')) else 0} seeds"
)
pd.DataFrame(
    {"the old answer is still given": {name: percent(*interval(each)) for name, each in stayed.items() if len(each)}}
)

# %% [markdown]
# ## The other two tasks
#
# A triage record and a brand voice hold no facts to look up. What retrieval can fetch for them are the training rows that
# are nearest to the message: examples chosen for it. Triage, under four levers, on the hand-written test messages; and
# again with a sentence behind each message that asks for another format.

# %% tags=["nbval-check-output"]
from finetune_course.levers import other_formats

for request in other_formats()[:5]:
    print(request)

# %% [markdown]
# Does the record survive such a request?

# %%
from finetune_course.curation_grid import from_bits

triage = [run for run in (records["comparison"] or {"runs": []})["runs"] if run["part"] == "triage"]
rows = {
    run["arm"]: {
        "exact": percent(*interval(from_bits([run["plain"]["exact"]]))),
        "valid": percent(*interval(from_bits([run["plain"]["valid"]]))),
        "valid, asked for another format": percent(*interval(from_bits([run["otherwise"]["valid"]]))),
        "tokens in, a message": round(run["plain"]["prompt_tokens"] / len(run["plain"]["exact"])),
    }
    for run in triage
}
pd.DataFrame.from_dict(rows, orient="index") if rows else "not recorded yet"

# %% [markdown]
# The voice, scored by notebook 07's scorer: the share of texts that are in the voice, and of those that keep every fact.

# %%
from finetune_course import voice
from finetune_course.voice_scorer import score_table

spoken = [run for run in (records["comparison"] or {"runs": []})["runs"] if run["part"] == "voice"]
neutral = [pair["neutral"] for pair in voice.load_split("test_handwritten")]
rows = {}
for run in spoken:
    scores = score_table(run["answers"], neutral)
    name = run["arm"] if run["seed"] is None else f"{run['arm']}, seed {run['seed']}"
    rows[name] = {
        "in the voice": percent(*interval(scores["label"] == "in")),
        "facts kept": percent(*interval(scores["facts_kept"])),
    }
pd.DataFrame.from_dict(rows, orient="index") if rows else "not recorded yet"

# %% [markdown]
# And the shop's own words. These questions describe something in everyday words; the answer is the shop's name for it.

# %%
from finetune_course.kb_questions import load_terms

terms = load_terms()
print(terms[0].question, "→", terms[0].gold["v1"].answer)
named = {
    run["arm"]: [is_right(text, q) for text, q in zip(run["v1"]["answers"], terms)]
    for run in (records["comparison"] or {"runs": []})["runs"]
    if run["part"] == "terms"
}
pd.DataFrame({"uses the right term": {name: percent(*interval(each)) for name, each in named.items()}})

# %% [markdown]
# ## What we measured
#
# The claims of the ledger that this page speaks to. What each must show was written down before anything was measured
# (`data/claims.csv`). The verdict is that of your exercise; a claim whose record is not there yet says so.

# %%
from finetune_course.comparison_verdicts import verdicts

claimed = verdicts(found, test, retrieved, records, gains, stayed, named)
pd.DataFrame([(name, *row) for name, row in claimed.items()], columns=["id", "measured", "verdict"]).set_index("id")

# %% [markdown]
# The key numbers go into the table of `start.py run`.

# %%
from finetune_course.comparison_table import share_interval
from finetune_course.keynumbers import publish

for name in (RAW, FACTS, READER):
    if (name, "before") in found:
        measured = share_interval(found[name, "before"].per_question("right"))
        publish(f"right answers, {name}", measured.mean, interval=measured[1:])
publish("update of the search index", retrieved.seconds["update"], unit="s")

# %% [markdown]
# ## From numbers to advice
#
# The helper below asks seven questions. Its rules stand in `data/decision_rules.json`, in words; nothing is weighed or
# learned. A rule speaks when all its conditions are met.

# %% [markdown]
# ### Exercise 10.4 — does the rule speak?
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# A rule has a list `when` of conditions. Each is a dictionary: `of` names a question, and `is` lists the answers that
# will do, or `at_least` and `below` are bounds (one of them or both). `situation` maps questions to answers. Return True
# if **all** conditions are met.
#
# **Expected output**
#
# ```
# rule = {"when": [{"of": "examples", "at_least": 100, "below": 500}, {"of": "task", "is": ["a style"]}]}
# speaks(rule, {"examples": 100, "task": "a style"})   →  True
# speaks(rule, {"examples": 500, "task": "a style"})   →  False
# ```
#
# <details><summary>Hint 1</summary>
#
# One condition that is not met is enough to keep the rule silent.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A key that is missing asks for nothing. Ask `"below" in condition`, for a bound may be 0.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Inside `all(... for condition in rule["when"])`, join three parts by `and`, each of the form
# `("is" not in condition or value in condition["is"])`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-10-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def speaks(rule, situation):
    """Whether all conditions of a rule are met in a situation."""
    ### BEGIN SOLUTION
    for condition in rule["when"]:
        value = situation[condition["of"]]
        if "is" in condition and value not in condition["is"]:
            return False
        if "at_least" in condition and value < condition["at_least"]:
            return False
        if "below" in condition and value >= condition["below"]:
            return False
    return True
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-10-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_10.speaks(speaks)
### BEGIN HIDDEN TESTS
hidden = {"when": [{"of": "a", "below": 0}, {"of": "b", "is": ["x"]}]}
assert speaks(hidden, {"a": -1, "b": "x"}) is True and speaks(hidden, {"a": 0, "b": "x"}) is False
assert speaks(hidden, {"a": -1, "b": "y"}) is False and speaks({"when": []}, {}) is True
### END HIDDEN TESTS

# %% [markdown]
# The helper. Beside each reason stand the claims that the rule rests on, with the verdicts of *this* course's machine,
# and whether they bear the rule out. Where they speak against it, believe the measurement. (In the saved notebook you
# see the table below it instead.)

# %%
from finetune_course.decision import advice_table
from finetune_course.decision_widget import DecisionHelper
from finetune_course.scoreboard import load_scoreboard

board = load_scoreboard()
shop = {
    "task": "answers from facts",
    "facts_change": "every season",
    "must_cite": "yes",
    "examples": len(reader_rows),
    "calls_a_day": 2000,
    "strict_format": "no",
    "prompt": "not good enough",
}
DecisionHelper(board, shop)

# %% [markdown]
# The shop's own case, as a table:

# %%
advice_table(shop, board)

# %% [markdown]
# ### When does training pay?
#
# Prompting pays for its long prompt with each call; training pays once, mostly for labels. The cost of a call follows from
# the seconds that a message took in the records, on a machine rented by the hour; prices and wages are notebook 08's, each
# with its source in `data/prices/services.json`. First the price of a call, under each lever.

# %%
from finetune_course.costs import assumptions, break_even, own_call, service_prices

given, machine = assumptions()["value"], service_prices().loc["machine-2-cpu", "price"]
seconds = {run["arm"]: run["plain"]["seconds"] / len(run["plain"]["exact"]) for run in triage}
calls = {lever: own_call(1 / each, machine, given["busy share"]) for lever, each in seconds.items()}
pd.DataFrame({"seconds a message": seconds, "dollars a thousand calls": {k: 1000 * v for k, v in calls.items()}}).round(
    3
)

# %% [markdown]
# Then what is paid before the first call of the trained model: its labels, and the hours of the run. Where do the lines
# cross?

# %%
from finetune_course.adapters import recorded_runs
from finetune_course.cost_calculator import cost_figure, describe_costs

recorded = recorded_runs("triage")
hours = recorded.runs[0]["train_seconds"] / 3600
once = recorded.settings["examples"] / given["labels an hour"] * given["labelling wage"] + hours * machine
prompted = {lever: cost for lever, cost in calls.items() if lever != "LoRA"}
if "LoRA" in calls and prompted:
    crossings = {lever: break_even(once, calls["LoRA"], cost) for lever, cost in prompted.items()}
    print({lever: f"{crossing:,.0f} calls" for lever, crossing in crossings.items()})
    plots.show(cost_figure(once, calls["LoRA"], prompted), alt=describe_costs(once, calls["LoRA"], prompted))

# %% [markdown]
# ## The scoreboard
#
# All claims of the ledger: the verdict, what was measured, and where. It is built from the executed notebooks, word for
# word, by `python -m finetune_course.scoreboard`.

# %%
pd.set_option("display.max_rows", 50)
board[["claim", "verdict", "measured", "notebook"]]

# %% [markdown]
# How many hold?

# %%
board["verdict"].value_counts().rename("claims").to_frame()

# %% [markdown]
# And your predictions? In notebook 00 you said how sure you were of each claim. The **Brier score** (Brier, 1950) is the
# mean squared distance between what you said and what came: 0 is perfect, and someone who always says 50% gets 0.25.
# Three made-up claims show how it counts:

# %% tags=["nbval-check-output"]
from finetune_course.predictions import brier_score

came = {"A": 1, "B": 0, "C": 0.5}  # held, failed, held in part
for name, said in {"always 50%": 50, "always 100%": 100}.items():
    print(f"{name}: {brier_score(dict.fromkeys(came, said), came):.3f}")
print(f"well judged: {brier_score({'A': 90, 'B': 10, 'C': 50}, came):.3f}")

# %% [markdown]
# Yours, where you made any:

# %%
from IPython.display import display

from finetune_course.predictions import load_predictions
from finetune_course.scoreboard import calibration, reliability, with_predictions

predictions = load_predictions()
mine = with_predictions(board, predictions).dropna(subset=["distance"])
if len(mine):
    print(f"Brier score over {len(mine)} claims: {calibration(board, predictions):.3f}")
    display(
        mine.sort_values("distance", ascending=False)[["claim", "predicted", "verdict", "measured"]],
        reliability(board, predictions),
    )
else:
    print("You have made no predictions yet, or none for a claim with a verdict: notebook 00 has the sliders.")

# %% [markdown]
# The claims at the top are those that surprised you most. The small table is your calibration: of the claims that you
# were about 80% sure of, about 80% should have come true.
#
# ## Your own data
#
# A CSV file (or JSON Lines) with the columns `text` and `answer`, at least 30 rows. Every bad line is reported at once:

# %% tags=["nbval-check-output"]
import tempfile
from pathlib import Path

from finetune_course.own_data import load_own, split_own
from finetune_course.records import DataError

with tempfile.TemporaryDirectory() as folder:
    bad = Path(folder) / "mine.csv"
    bad.write_text(
        "text,answer\nMy bin was missed,waste\n,roads\nA hole, in the road,roads\nMy bin was missed!,parks\n"
    )
    try:
        load_own(bad)
    except DataError as error:
        print(error)

# %% [markdown]
# Put the path of your file here. The example is tiny (60 made-up requests to a town council): enough to see the pipeline
# work, and far too little to conclude anything.

# %%
from finetune_course.capstone import LEVERS, Project, baselines, comparison, prompts, report, training_rows
from finetune_course.paths import data_path

OWN_FILE = data_path("capstone", "example.csv")
data = split_own(load_own(OWN_FILE))
project = Project(
    "Requests to a town council",
    "Name the team for this request: parks, roads, waste or permits. Answer with one word.",
    data,
)
print({part: len(getattr(data, part)) for part in ("train", "validation", "test")}, *data.notes, sep="\n")

# %% [markdown]
# Two baselines without a language model, then the prompts, live. A lever that does not beat the most frequent answer has
# done nothing.

# %%
from finetune_course.generation import answer_all

baselines(project)
for lever in LEVERS[:3]:
    chat, users = prompts(project, lever, data.test)
    run = answer_all(model, tokenizer, chat, users, batch_size=hw.eval_batch, max_new_tokens=12)
    project.put(lever, run.texts, **{"tokens in": np.mean(run.prompt_tokens), "seconds": run.seconds})
comparison(project)

# %% [markdown]
# And a LoRA on the training rows, live, with a few passes.

# %%
from finetune_course.lora_runs import train_lora

rows = training_rows(project)
trained = train_lora(model, tokenizer, rows, hw, seed=0, epochs=3, learning_rate=1e-3, batch=4, max_length=256)
chat, users = prompts(project, "LoRA", data.test)
run = answer_all(trained.model, tokenizer, chat, users, batch_size=hw.eval_batch, max_new_tokens=12)
project.put(
    "LoRA",
    run.texts,
    **{"tokens in": np.mean(run.prompt_tokens), "seconds": run.seconds, "minutes to train": trained.seconds / 60},
)
comparison(project)

# %% [markdown]
# The one-page report, as an HTML file that you can send: the task, the data, the table with its intervals, what is still
# wrong, the advice, and what the numbers do not show. The rubric for instructors is `solutions/capstone_rubric.md`.

# %%
from finetune_course.decision import advise

situation = shop | {
    "task": "a record or a label",
    "facts_change": "no facts needed",
    "must_cite": "no",
    "examples": len(data.train),
}
advice = [(each.lever, each.rules[0]["because"]) for each in advise(situation) if each.advised]
with tempfile.TemporaryDirectory() as folder:  # for your own: a folder that stays
    page = report(
        project,
        Path(folder) / "report.html",
        advice=advice,
        limits="60 made-up rows: this shows the form of a report, nothing else.",
    )
    print(f"{page.name}: {page.stat().st_size / 1000:.0f} kB")

# %% [markdown]
# ## In a nutshell
#
# - One set of held-out questions for every way of answering, the same questions paired, seeds averaged, intervals on all of
#   it: only then can "RAG or fine-tune?" be answered with numbers.
# - A fair opponent is trained well. Whoever wants retrieval to win must give the closed-book model many ways to ask.
# - Ask every system twice: before the facts change and after. What an update takes belongs into the table.
# - A LoRA can be trained to *read* rather than to *know*. What it has learned does not go stale when the pages change.
# - A rule of thumb is worth what was measured about it. Keep the rules where everybody can read them.
# - An interval that holds the line decides nothing, and saying so is a result.

# %% [markdown]
# ## What to read next
#
# - On facts in weights and in pages: Roberts, Raffel and Shazeer (2020), *How much knowledge can you pack into the
#   parameters of a language model?*; Ovadia and others (2023), *Fine-tuning or retrieval?*
# - On readers trained for retrieval: Zhang and others (2024), *RAFT: adapting language model to domain specific RAG*.
# - On calibration: Brier (1950), *Verification of forecasts expressed in terms of probability*; Murphy (1973), *A new
#   vector partition of the probability score*.
# - Your own data, and the rubric in `solutions/capstone_rubric.md`: the course ends where your question begins.
