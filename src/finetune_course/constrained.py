"""Constrained decoding: at every step only those tokens that can still lead to a record of a JSON schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llguidance.hf
import llguidance.numpy
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from transformers import LogitsProcessor


def schema_grammar(schema: dict[str, Any]) -> str:
    """llguidance's grammar of all compact JSON texts (no spaces between parts) that ``schema`` allows.

    Raises ValueError for a schema that llguidance does not understand.
    """
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
    problem = LLMatcher.validate_grammar(grammar)
    if problem:
        raise ValueError(f"This JSON schema cannot be enforced: {problem}")
    return grammar


def schema_processor(tokenizer, schema: dict[str, Any]) -> Callable[[], SchemaProcessor]:
    """What ``generation.answer_all`` takes as ``processor``: it makes a fresh processor for each batch."""
    tokens, grammar = llguidance.hf.from_tokenizer(tokenizer), schema_grammar(schema)
    return lambda: SchemaProcessor(grammar, tokens, tokenizer.eos_token_id)


class SchemaProcessor(LogitsProcessor):
    """Sets the score of every token that would leave the grammar to -inf. One object serves one batch."""

    def __init__(self, grammar: str, tokens: LLTokenizer, end_token: int):
        self.grammar, self.tokens, self.end_token = grammar, tokens, end_token
        self._matchers: list[LLMatcher] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """``input_ids`` (batch, tokens so far) and ``scores`` (batch, vocabulary), as ``generate`` gives them."""
        if not self._matchers:
            self._matchers = [LLMatcher(self.tokens, self.grammar) for _ in input_ids]
        else:
            for matcher, token in zip(self._matchers, input_ids[:, -1].tolist(), strict=True):
                if not matcher.is_stopped():
                    matcher.consume_token(token)
        bits = llguidance.numpy.allocate_token_bitmask(len(self._matchers), scores.shape[1])
        for row, matcher in enumerate(self._matchers):
            if matcher.is_error():
                raise ValueError(f"llguidance lost the grammar: {matcher.get_error()}")
            if matcher.is_stopped():  # the record is complete: nothing but the end token
                bits[row] = 0
                bits[row, self.end_token // 32] = 1 << (self.end_token % 32)
            else:
                llguidance.numpy.fill_next_token_bitmask(matcher, bits, row)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]]
        return scores.masked_fill(torch.from_numpy(allowed).to(scores.device) == 0, -torch.inf)
