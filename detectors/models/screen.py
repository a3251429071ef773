"""The first tier: the meaning of the tokens one by one, for every text.

What the encoder's convolutions read of a token is averaged over a window, and a small network says whether
any head could be high. Its first layer is linear, so it is applied to each token once, and then looked up.
"""

import numpy as np

from detectors.models.embeddings import Floats
from detectors.models.network import Network, by_rows
from detectors.models.sentence_encoder import Ids, SentenceEncoder
from detectors.models.tokenizer import Tokens
from detectors.models.windows import Windows

GATE = "gate"
"""The output that says whether a text needs the next tier."""
ENGLISH = "english"
"""The output that says whether a text is in English."""
SPREAD = 2_000
"""Tokens from one to the next, so that each page of 2 MiB of the encoder's table has one."""


class Screen:
    """Log-odds for windows of tokens, from a table that is filled as tokens are first seen."""

    def __init__(self, network: Network, encoder: SentenceEncoder) -> None:
        self.names = network.names
        self._network = network
        self._encoder = encoder
        self._table = np.zeros((encoder.vocabulary, network.inner.shape[1]), np.float32)
        self._seen = np.zeros(encoder.vocabulary, dtype=bool)

    def window_logits(self, tokens: Tokens, spans: Windows) -> Floats:
        """Return the log-odds of each window, shape (windows, outputs)."""
        self._look_at(tokens.ids)
        sums = spans.sums(self._table, tokens.ids)
        means = np.asarray(sums / spans.lengths[:, None], np.float32)
        return by_rows(self._network.outputs, means)

    def spread(self) -> None:
        """Look at a token here and there in the vocabulary.

        The system hands out the memory of the tables in large pages, when something is first written to one:
        some hundred of them cost the first texts more than reading them does.
        """
        self._look_at(np.arange(0, len(self._table), SPREAD))

    def _look_at(self, ids: Ids) -> None:
        new = np.unique(ids[~self._seen[ids]])
        if len(new):
            inner = self._network.inner
            self._table[new] = by_rows(lambda rows: rows @ inner, self._encoder.projections(new))
            self._seen[new] = True
