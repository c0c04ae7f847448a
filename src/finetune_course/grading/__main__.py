"""``python -m finetune_course.grading``."""

import sys

from finetune_course.grading.command import main

sys.exit(main())
