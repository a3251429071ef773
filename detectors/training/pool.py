"""All examples as arrays, tokenised once."""

import numpy as np
import numpy.typing as npt

from detectors.models.tokenizer import Encoder, Tokens
from detectors.training.corpus import Example
from detectors.training.datasets import HEADS, ORDINARY_PROMPTS
from detectors.training.grammars import SOURCE as GRAMMAR
from detectors.training.written import CHALLENGE, WRITTEN

TRAFFIC = (
    *ORDINARY_PROMPTS,
    *(
        "clinc150",
        "ubuntu_irc",
        "documents_",
        "arena_hard",
        "dolly_responses",
        "awesome_",
        "gpteacher",
    ),
    *(GRAMMAR + "ordinary", GRAMMAR + "answer", GRAMMAR + "short"),
    *(WRITTEN + "_ordinary_", WRITTEN + "_more_prompts_", WRITTEN + "_attacks_other_ben_"),
    *(WRITTEN + "_short_plain_say_plain", WRITTEN + "_short_plain_titles_plain"),
)
"""Sources, by prefix, whose harmless texts are what ordinary traffic of a model looks like."""
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


class Pool:
    """N examples; `labels` has the shape (N, heads) and is NaN where a label is unknown."""

    def __init__(self, examples: list[Example], encoder: Encoder) -> None:
        self.texts = [example.text for example in examples]
        self.tokens = encoder.encode(self.texts)
        self.split = np.array([example.split for example in examples])
        self.source = np.array([example.source for example in examples])
        self.held_out = np.array([example.held_out for example in examples])
        self.real = ~_starts(self.source, (GRAMMAR, WRITTEN, CHALLENGE))
        heads = [[example.labels.get(head, np.nan) for head in HEADS] for example in examples]
        self.labels: Floats = np.array(heads, dtype=np.float32)
        self.positive: Mask = np.nan_to_num(self.labels).max(axis=1) > 0.5

    def __len__(self) -> int:
        return len(self.texts)

    def of(self, *prefixes: str) -> Mask:
        """Return which examples are from sources that begin with one of the prefixes."""
        return _starts(self.source, prefixes)


def subset(tokens: Tokens, rows: npt.NDArray[np.int64]) -> Tokens:
    """Return the tokens of some of the texts."""
    starts, counts = tokens.offsets[rows], tokens.counts[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    place = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    return Tokens(tokens.ids[place], offsets)


def _starts(sources: npt.NDArray[np.str_], prefixes: tuple[str, ...]) -> Mask:
    return np.array([source.startswith(prefixes) for source in sources.tolist()], dtype=bool)
