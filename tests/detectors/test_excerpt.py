from hypothesis import given
from hypothesis import strategies as st

from detectors.excerpt import ENTRIES, EXCERPT, excerpt, few_metadata
from schemas.events import Event, ToolCall

texts = st.builds(lambda text, times: text * times, st.text(max_size=9), st.integers(0, 600))


@given(texts, texts, st.lists(texts, max_size=20), st.dictionaries(texts, texts, max_size=20))
def test_an_excerpt_is_bounded_and_a_beginning(
    text: str, prompt: str, many: list[str], metadata: dict[str, str]
) -> None:
    event = Event(
        event_id="e", app="a", kind="prompt", text=text, prompt=prompt, contexts=tuple(many),
        tool_calls=tuple(ToolCall(name="t", arguments=each) for each in many), metadata=metadata,
    )  # fmt: skip
    short = few_metadata(excerpt(event))
    assert excerpt(event).metadata == metadata, "the policy may ask for any of it"
    arguments = [call.arguments for call in short.tool_calls]
    for cut, whole in (([short.text], [text]), (short.contexts, many), (arguments, many)):
        assert sum(map(len, cut)) <= EXCERPT
        assert len(cut) <= max(ENTRIES, 1)
        assert all(one.startswith(other) for one, other in zip(whole, cut, strict=False))
    assert sum(map(len, short.metadata.values())) <= EXCERPT
    assert (
        short.metadata.items() <= {k: v[: len(short.metadata.get(k, v))] for k, v in metadata.items()}.items()
    )


def test_an_event_of_ordinary_size_is_returned_as_it_is() -> None:
    event = Event(event_id="e", app="a", kind="prompt", text="x" * EXCERPT, contexts=("y", "z"))
    assert excerpt(event) is event


def test_an_event_with_more_metadata_than_are_searched_counts_as_cut() -> None:
    """Or all would be: 55,000 entries took two seconds, and the guard was no quicker when it had no time."""
    for metadata in ({f"k{i}": "v" for i in range(ENTRIES + 1)}, {"k": "v" * (EXCERPT + 1)}):
        event = Event(event_id="e", app="a", kind="prompt", text="x", metadata=metadata)
        assert excerpt(event) == event
        assert excerpt(event) is not event, "what is not the event itself is not searched whole"
