"""From one source per notebook to its two editions: the rooms behind ``python -m finetune_course.build_notebooks``."""
