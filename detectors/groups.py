"""Which groups of people a text names, by what they are named for."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from detectors.base import COUNT, FloatMatrix
from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT
from detectors.models.embeddings import segment_sums
from detectors.models.tokenizer import Tokens
from detectors.models.weights import Models
from schemas.events import Evidence

TERMS: dict[str, str] = {
    "religion": (
        "muslim muslims jew jews jewish christian christians catholic catholics "
        "protestant protestants hindu hindus sikh sikhs buddhist atheist mormon islamic "
        "islam judaism"
    ),
    "ethnicity": (
        "african africans latino hispanic arab arabs asian gypsy roma romani indigenous "
        "aboriginal caucasian kurdish"
    ),
    "nationality": (
        "american americans mexican chinese japanese korean indian indians pakistani "
        "polish poles russian russians ukrainian german germans french british irish "
        "italian italians turkish turks nigerian somali iranian iraqi syrian palestinian "
        "palestinians israeli israelis immigrant immigrants migrant migrants refugee "
        "refugees foreigner foreigners"
    ),
    "gender": (
        "woman women man men girl girls boy boys female females male males wife wives "
        "husband husbands mother mothers feminist lady ladies"
    ),
    "orientation": "gay lesbian bisexual homosexual transgender queer lgbt trans heterosexual",
    "disability": (
        "disabled disability disabilities deaf wheelchair autism handicapped schizophrenia dementia"
    ),
    "age": "elderly teenager teenagers teen teens",
}
"""Words that name a group on their own; each is one token of the shared vocabulary."""
BEFORE_PEOPLE: dict[str, str] = {
    "ethnicity": "black white brown native",
    "disability": "blind crippled",
    "age": "old young older younger",
    "orientation": "straight",
}
"""Words that do so only before one of `PEOPLE`."""
PEOPLE = (
    "people person persons man men woman women guy guys boy boys girl girls folk folks kid kids lady ladies"
)
GROUPS = tuple(TERMS)
NAMES: dict[str, str] = {
    "muslims": "muslim muslims islamic islam",
    "jews": "jew jews jewish judaism",
    "christians": "christian christians catholic catholics protestant protestants mormon",
    "hindus": "hindu hindus",
    "sikhs": "sikh sikhs",
    "african people": "african africans",
    "hispanic people": "latino hispanic mexican",
    "arab people": "arab arabs",
    "asian people": "asian chinese japanese korean",
    "romani people": "gypsy roma romani",
    "indian people": "indian indians pakistani",
    "polish people": "polish poles",
    "russian people": "russian russians",
    "german people": "german germans",
    "turkish people": "turkish turks",
    "palestinians": "palestinian palestinians",
    "israelis": "israeli israelis",
    "migrants": "immigrant immigrants migrant migrants refugee refugees foreigner foreigners",
    "women": "woman women girl girls female females wife wives mother mothers lady ladies",
    "men": "man men boy boys male males husband husbands",
    "gay people": "gay lesbian homosexual",
    "trans people": "transgender trans",
    "disabled people": "disabled disability disabilities deaf wheelchair handicapped",
    "old people": "elderly",
    "teenagers": "teenager teenagers teen teens",
}
"""Groups that are told apart, by their words; a word that is not here is named by its kind."""
NAMES_BEFORE_PEOPLE = {
    "black people": "black", "white people": "white", "disabled people": "blind crippled",
    "old people": "old older", "young people": "young younger",
}  # fmt: skip


class GroupsDetector:
    """`group_<kind>`: words in the text that name people by religion, ethnicity, nationality and so on.

    Counts, not scores: they say whom a text speaks of, so that attacks and the guard's own mistakes can be
    told apart by group. The lists are English and short; a text can speak of a group without any of them.
    """

    name = "groups"
    version = "1"
    metrics = tuple(f"group_{kind}" for kind in GROUPS)
    ranges = dict.fromkeys(metrics, COUNT)
    needs = ("tokens",)

    def __init__(self, models: Models) -> None:
        ids = models.encoder.vocabulary()
        size = models.encoder.vocabulary_size
        self._alone, self._before = np.zeros((2, size, len(GROUPS)), dtype=np.float32)
        for table, words in ((self._alone, TERMS), (self._before, BEFORE_PEOPLE)):
            for kind, text in words.items():
                table[[ids[word] for word in text.split()], GROUPS.index(kind)] = 1.0
        self._names = tuple(dict.fromkeys((*NAMES, *NAMES_BEFORE_PEOPLE, *GROUPS)))
        self._named_alone = self._numbers(ids, size, TERMS, NAMES)
        self._named_before = self._numbers(ids, size, BEFORE_PEOPLE, NAMES_BEFORE_PEOPLE)
        self._people = np.zeros(size, dtype=bool)
        self._people[[ids[word] for word in PEOPLE.split()]] = True

    def score(self, batch: Batch) -> FloatMatrix:
        """Return the counts, shape (N, len(GROUPS))."""
        tokens = batch.tokens
        scores = np.zeros((len(batch), len(GROUPS)), dtype=np.float32)
        filled = np.flatnonzero(tokens.counts)
        if len(filled):
            scores[filled] = segment_sums(self._alone, tokens.ids, tokens.offsets[filled])
            rows = np.repeat(np.arange(len(tokens)), tokens.counts)
            places = self._qualified(tokens)
            np.add.at(scores, rows[places], self._before[tokens.ids[places]])
        return scores

    def named(self, batch: Batch) -> list[tuple[str, ...]]:
        """Return for each of N texts the groups that it names, told apart as in `NAMES`, in their order."""
        tokens = batch.tokens
        numbers = self._named_alone[tokens.ids]
        places = self._qualified(tokens)
        before = self._named_before[tokens.ids[places]]
        numbers[places] = np.where(before >= 0, before, numbers[places])
        found: list[set[int]] = [set() for _ in range(len(tokens))]
        hits = np.flatnonzero(numbers >= 0)
        rows = np.searchsorted(tokens.offsets, hits, side="right") - 1
        for row, number in zip(rows.tolist(), numbers[hits].tolist(), strict=True):
            found[row].add(number)
        return [tuple(self._names[number] for number in sorted(each)) for each in found]

    def _numbers(
        self, ids: Mapping[str, int], size: int, kinds: Mapping[str, str], names: Mapping[str, str]
    ) -> npt.NDArray[np.int16]:
        """Return the number of the group that each token names, -1 for none; its kind's at least."""
        numbers = np.full(size, -1, dtype=np.int16)
        for group, text in (*kinds.items(), *names.items()):
            numbers[[ids[word] for word in text.split()]] = self._names.index(group)
        return numbers

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the words that were counted, in their order."""
        text, tokens = batch.texts[row], batch.tokens.of(row)
        named = self._alone[tokens.ids].copy()
        places = self._qualified(tokens)
        named[places] += self._before[tokens.ids[places]]
        if not named.any():
            return []  # to find the words of a long text takes a tenth of a second
        words = batch.words(row)
        found = []
        for token, kind in np.argwhere(named)[:EVIDENCE_LIMIT].tolist():
            span, metric = words.span(token, token), self.metrics[kind]
            found.append(
                Evidence(detector=self.name, metric=metric, start=span.start, end=span.stop, text=text[span])
            )
        return found

    def _qualified(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """Return the tokens that stand before one of `PEOPLE` in the same text."""
        last = np.zeros(len(tokens.ids), dtype=bool)
        last[tokens.offsets[1:][tokens.counts > 0] - 1] = True
        follows = np.append(self._people[tokens.ids[1:]], False) if len(tokens.ids) else last
        return np.flatnonzero(follows & ~last)
