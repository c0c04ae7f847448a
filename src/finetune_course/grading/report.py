"""The pages: one HTML feedback for each submission and one summary of the class. No script, no address outside."""

from __future__ import annotations

import re

from jinja2 import Environment
from markupsafe import Markup, escape

from finetune_course.grading.checker import MISSING, NOT_DONE, RIGHT, STOPPED, WRONG
from finetune_course.grading.results import ClassSummary, Graded

LONGEST_ANSWER = 20_000
MARKS = {RIGHT: "✓ right", WRONG: "✗ not right", NOT_DONE: "– not done", STOPPED: "✗ stopped", MISSING: "– missing"}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { border-bottom: 1px solid #bbb; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.bar { background: #0072b2; height: .9rem; }
summary { font-weight: 600; cursor: pointer; }
section { border-top: 2px solid #ddd; margin-top: 1.5rem; }
</style>
</head>
<body>
<main>
"""
_FEEDBACK = (
    _PAGE
    + """<h1>{{ title }}</h1>
{% if one.notebook %}
<p><strong>{{ points(one.points) }} of {{ points(one.notebook.points) }} points</strong>
· file {{ one.submission.file }}</p>
{% for note in one.notes %}<p>Note: {{ said(note) }}</p>{% endfor %}
{% for exercise, verdict in pairs %}
<section>
<h2>Exercise {{ number(exercise.id) }}{{ ": " ~ exercise.title if exercise.title }}</h2>
<p><strong>{{ marks[verdict.kind] }}</strong> ·
{{ points(exercise.points if verdict.kind == right else 0) }} of {{ points(exercise.points) }} points</p>
<p>{{ said(verdict.message) }}</p>
{% if one.answers[exercise.id] %}<details><summary>Your answer</summary>
<pre><code>{{ one.answers[exercise.id][:longest] }}</code></pre></details>{% endif %}
</section>
{% endfor %}
{% else %}
<p><strong>Not graded.</strong> {{ one.reason }}</p>
<p>File: {{ one.submission.file }}</p>
{% endif %}
</main>
</body>
</html>
"""
)
_SUMMARY = (
    _PAGE
    + """<h1>{{ title }}</h1>
<p><strong>{{ all.graded }} submissions graded, {{ all.not_graded | length }} not graded.</strong>
{% if all.median is not none %}Half of them reached {{ points(all.median) }} % of the points or more.{% endif %}</p>
<p>{{ note }}</p>
<table><caption>Exercises</caption>
<thead><tr><th scope="col">exercise</th><th scope="col" class="n">right</th><th scope="col" class="n">tried</th>
<th scope="col" class="n">submissions</th><th scope="col" class="n">pass rate</th>
<td style="width: 20%"></td></tr></thead>
<tbody>{% for row in all.rates %}
<tr><th scope="row">{{ number(row.exercise) }} {{ row.title }}</th><td class="n">{{ row.right }}</td>
<td class="n">{{ row.tried }}</td><td class="n">{{ row.graded }}</td>
<td class="n">{{ "%.0f" | format(100 * row.right / row.graded) }} %</td>
<td><div class="bar" style="width: {{ 100 * row.right // row.graded }}%"></div></td></tr>
{% endfor %}</tbody></table>
<table><caption>Points reached, and how many submissions</caption>
<tbody>{% for label, count in all.bins %}
<tr><th scope="row">{{ label }}</th><td class="n">{{ count }}</td>
<td style="width: 60%"><div class="bar" style="width: {{ 100 * count // highest }}%"></div></td></tr>
{% endfor %}</tbody></table>
<table><caption>What the checks said most often</caption>
<thead><tr><th scope="col">exercise</th><th scope="col" class="n">times</th><th scope="col">sentence</th></tr></thead>
<tbody>{% for exercise, message, count in all.messages %}
<tr><th scope="row">{{ number(exercise) }}</th><td class="n">{{ count }}</td><td>{{ said(message) }}</td></tr>
{% endfor %}</tbody></table>
<details><summary>Submissions, by student (not for showing to a class)</summary>
<table>
<thead><tr><th scope="col">student</th><th scope="col">file</th><th scope="col" class="n">points</th>
<th scope="col">open</th></tr></thead>
<tbody>{% for one in all.everyone %}
<tr><th scope="row"><a href="feedback/{{ one.page }}">{{ one.submission.student }}</a></th>
<td>{{ one.submission.file }}</td>
{% if one.notebook %}<td class="n">{{ points(one.points) }} of {{ points(one.notebook.points) }}</td>
<td>{% for verdict in one.verdicts if verdict.kind != right %}
{{ number(verdict.exercise) }} {{ verdict.kind }}{{ ", " if not loop.last }}
{% endfor %}</td>
{% else %}<td class="n">not graded</td><td>{{ one.reason }}</td>{% endif %}</tr>
{% endfor %}</tbody></table>
{% if all.touched %}<p>Answers that reached for files, the network, other processes or the grader, and were refused;
often an accident, sometimes not:
{% for one, exercise in all.touched %}
{{ one.submission.student }} ({{ number(exercise) }}){{ ", " if not loop.last else "." }}
{% endfor %}</p>{% endif %}
</details>
{% if all.same %}<h2>Identical files</h2>
<ul>{% for names in all.same %}<li>{{ names | join(", ") }}</li>{% endfor %}</ul>{% endif %}
{% if all.together %}<p>Graded in the same process as their answer, with weaker protection against forgery:
exercise {% for name in all.together %}{{ number(name) }}{{ ", " if not loop.last }}{% endfor %}.</p>{% endif %}
</main>
</body>
</html>
"""
)


def number(exercise: str) -> str:
    """``3.1`` for ``ex-3-1``; the id itself where it has another form."""
    found = re.fullmatch(r"ex-(\d+)-(\d+)", exercise)
    return f"{found[1]}.{found[2]}" if found else exercise


def points(value: float) -> str:
    """Points without a needless ``.0``."""
    return f"{value:g}"


def feedback(one: Graded) -> str:
    """The page of one submission."""
    what = one.notebook.name if one.notebook else "a submission"
    by_id = {verdict.exercise: verdict for verdict in one.verdicts}
    pairs = [(exercise, by_id[exercise.id]) for exercise in one.notebook.exercises] if one.notebook else []
    return _text(_FEEDBACK, title=f"Feedback on {what} for {one.submission.student}", one=one, pairs=pairs)


def class_page(all_of_them: ClassSummary, note: str) -> str:
    """The page of the class. ``note`` says whether a sandbox was used."""
    highest = max((count for _, count in all_of_them.bins), default=0) or 1
    return _text(_SUMMARY, title="Class summary", all=all_of_them, note=note, highest=highest)


def said(message: str) -> Markup:
    """A check's sentence for the page: its `code` and **stress** marked, everything else as plain text.

    That the exercise is not right or not done yet stands beside it already and is left out.
    """
    message = re.sub(r"^Exercise \d+\.\d+ is not (?:right yet\. |done yet: )", "", message)
    message = message[:1].upper() + message[1:]
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(message)))
    return Markup(re.sub(r"\*\*([^*<>]+)\*\*", r"<strong>\1</strong>", safe))


_TEMPLATES = Environment(autoescape=True, trim_blocks=True)
_TEMPLATES.globals.update(marks=MARKS, right=RIGHT, longest=LONGEST_ANSWER, number=number, points=points, said=said)


def _text(template: str, **values: object) -> str:
    return _TEMPLATES.from_string(template).render(**values)
