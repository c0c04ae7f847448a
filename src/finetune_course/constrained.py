"""Constrained decoding: at every step only those tokens that can still lead to a text that a JSON schema allows.

The work is llguidance's. What is added is the batch, and the jump: where the grammar leaves one way on (field names,
quotes, the rest of a half-written value) those tokens are taken without asking the model.
"""

from __future__ import annotations

from typing import Any

import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from llguidance import LLMatcher


def schema_grammar(schema: dict[str, Any]) -> str:
    """llguidance's grammar of all compact JSON texts (no spaces between parts) that ``schema`` allows.

    Raises ValueError for a schema that llguidance does not understand.
    """
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
    problem = LLMatcher.validate_grammar(grammar)
    if problem:
        raise ValueError(f"This JSON schema cannot be enforced: {problem}")
    return grammar


class Constraint:
    """One grammar for one tokenizer; it keeps nothing of a text, so one object serves any number of batches."""

    def __init__(self, tokenizer, grammar: str):
        """``grammar`` from ``schema_grammar``, or from any other ``llguidance.LLMatcher.grammar_from_…``."""
        self.grammar, self.end_token = grammar, tokenizer.eos_token_id
        self.tokens = llguidance.hf.from_tokenizer(tokenizer)

    def start(self) -> tuple[LLMatcher, list[int]]:
        """A matcher for one new text, and the tokens that every text begins with."""
        matcher = LLMatcher(self.tokens, self.grammar)
        return matcher, self._jump(matcher)

    def mask(self, matchers: list[LLMatcher], scores: torch.Tensor) -> torch.Tensor:
        """``scores`` (texts, vocabulary) with -inf for every token that ``matchers``' texts cannot go on with."""
        bits = llguidance.numpy.allocate_token_bitmask(len(matchers), scores.shape[1])
        for row, matcher in enumerate(matchers):
            llguidance.numpy.fill_next_token_bitmask(matcher, bits, row)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]]
        return scores.masked_fill(torch.from_numpy(allowed).to(scores.device) == 0, -torch.inf)

    def accept(self, matcher: LLMatcher, token: int) -> list[int]:
        """Take ``token`` as the text's next one; returns the tokens that must follow, the end token at a text's end."""
        matcher.consume_token(token)
        return self._jump(matcher)

    def _jump(self, matcher: LLMatcher) -> list[int]:
        forced = [] if matcher.is_stopped() else matcher.compute_ff_tokens()
        matcher.consume_tokens(forced)
        if matcher.is_error():
            raise ValueError(f"llguidance lost the grammar: {matcher.get_error()}")
        return [*forced, self.end_token] if matcher.is_stopped() and self.end_token not in forced else forced
