"""Helpers of the course "Fine-tune or not? Measure it.".

The package holds only what would distract from the lesson: the weights cache, data loading, scoring, plots and the
checks of the exercises. The calls being taught (transformers, PEFT, TRL) stay in the notebooks.
"""

__version__ = "0.1.0"
