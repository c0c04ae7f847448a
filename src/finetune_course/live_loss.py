"""The loss curve that grows while a Trainer runs; drawn once, at the end, where nobody is watching."""

from __future__ import annotations

import os
import time

from IPython.display import HTML, display
from matplotlib.figure import Figure
from transformers import TrainerCallback

from . import plots


class LiveLoss(TrainerCallback):
    """Keeps (step, loss, seconds) of every logged step and shows them while training goes on.

    In JupyterLab one line of progress and the curve are updated in place, at most every ``refresh`` seconds, and are
    replaced by nothing at the end: the saved notebook holds the cell's own figure only. With ``COURSE_HEADLESS`` set (a
    notebook run by a program) nothing is drawn on the way.
    """

    def __init__(self, refresh: float = 2.0):
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.refresh = refresh
        self._live = not os.environ.get("COURSE_HEADLESS")
        self._handles: list = []
        self._start, self._drawn = 0.0, float("-inf")
        self._first_step = 0

    def on_train_begin(self, args, state, control, **kwargs):
        self._start, self._first_step = time.perf_counter(), state.global_step  # a resumed run does not begin at 0

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or "loss" not in logs:
            return
        self.steps.append(state.global_step)
        self.losses.append(float(logs["loss"]))
        self.seconds.append(time.perf_counter() - self._start)
        if self._live and time.perf_counter() - self._drawn > self.refresh:
            self._draw(state.max_steps)

    def on_train_end(self, args, state, control, **kwargs):
        for handle in self._handles:
            handle.update(HTML(""))
        self._handles = []  # another train() may stand in another cell

    def _draw(self, total_steps: int) -> None:
        left = self.seconds[-1] / (self.steps[-1] - self._first_step) * (total_steps - self.steps[-1])
        words = f"step {self.steps[-1]} of {total_steps}, loss {self.losses[-1]:.3f}, about {left:.0f} s left"
        line = HTML(f"<progress value='{self.steps[-1]}' max='{total_steps}'></progress> {words}")
        alt = f"Training loss against the optimiser step, up to step {self.steps[-1]} of {total_steps}."
        data, metadata = plots.picture(self.figure(), alt)
        if self._handles:
            self._handles[0].update(line)
            self._handles[1].update(data, metadata=metadata, raw=True)
        else:
            first = display(line, display_id=True)
            self._handles = [first, display(data, metadata=metadata, raw=True, display_id=True)]
        self._drawn = time.perf_counter()

    def figure(self, smooth: int = 8) -> Figure:
        """Loss (nats per token) against the step, with its running mean over ``smooth`` logged steps."""
        fig, ax = plots.figure()
        ax.plot(self.steps, self.losses, color=plots.COLOURS[5], linewidth=0.8, label="one batch")
        means = [
            sum(self.losses[max(0, i - smooth + 1) : i + 1]) / len(self.losses[max(0, i - smooth + 1) : i + 1])
            for i in range(len(self.losses))
        ]
        ax.plot(self.steps, means, color=plots.COLOURS[0], label=f"mean of the last {smooth}")
        ax.set(xlabel="optimiser step", ylabel="loss (nats per learned token)", yscale="log", title="Training loss")
        ax.legend()
        return fig
