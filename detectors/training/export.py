"""From the fine-tuned weights to an int8 ONNX file that onnxruntime reads.

The graph is built by hand, of onnxruntime's own operators where they are faster (one product for query, key
and value), for one window at a time: without padding there is no mask.
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.models.transformer import WINDOW
from detectors.training.files import write_bytes
from detectors.training.transformer import Judge

log = logging.getLogger(__name__)

FUSED = "com.microsoft"
EPSILON = 1e-12
"""Of the layer normalisations, as BERT has it."""

Weights = dict[str, npt.NDArray[np.float32]]


class _Graph:
    """Nodes and constants; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
        return output

    def product(self, value: str, name: str, weight: npt.NDArray[np.float32]) -> str:
        """Multiply by the transpose of a torch weight."""
        return self.node("MatMul", [value, self.constant(name, weight.T)])

    def normalised(self, value: str, weights: Weights, name: str) -> str:
        scale, shift = (
            self.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias")
        )
        return self.node("LayerNormalization", [value, scale, shift], axis=-1, epsilon=EPSILON)


def write_onnx(judge: Judge, heads: Sequence[str], path: Path) -> None:
    """Write the judge with 8-bit weights (one scale per output channel; embeddings one for all).

    Activations are quantised at run time, one scale per call (dynamic quantisation).
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weights = {name: value.detach().numpy() for name, value in judge.state_dict().items()}
    graph = _judge(weights, judge.body.config)
    with tempfile.TemporaryDirectory() as folder:
        full, small = Path(folder) / "full.onnx", Path(folder) / "int8.onnx"
        onnx.save(_model(graph, len(heads)), str(full))
        options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(full, small, weight_type=QuantType.QInt8, per_channel=True, extra_options=options)
        model = onnx.load(str(small))
    entry = model.metadata_props.add()
    entry.key, entry.value = "heads", json.dumps(list(heads))
    write_bytes(path, model.SerializeToString(deterministic=True))
    log.info("wrote %s, %.1f MB", path, path.stat().st_size / 1e6)


def _judge(weights: Weights, config: Any) -> _Graph:
    graph = _Graph()
    embeddings = "body.embeddings"
    words = graph.constant("words", weights[f"{embeddings}.word_embeddings.weight"])
    places = weights[f"{embeddings}.position_embeddings.weight"][None, : WINDOW + 2]
    places = places + weights[f"{embeddings}.token_type_embeddings.weight"][0]
    zero, one = (graph.constant(name, np.array([i], np.int64)) for i, name in enumerate(("zero", "one")))
    length = graph.node(
        "Slice", [graph.node("Shape", ["ids"]), one, graph.constant("two", np.array([2], np.int64))]
    )
    place = graph.node("Slice", [graph.constant("places", places), zero, length, one])
    value = graph.node("Add", [graph.node("Gather", [words, "ids"]), place])
    value = graph.normalised(value, weights, f"{embeddings}.LayerNorm")
    for number in range(config.num_hidden_layers):
        value = _layer(graph, value, weights, f"body.encoder.layer.{number}", config.num_attention_heads)
    pooled = graph.node("ReduceMean", [value], axes=[1], keepdims=0)
    head, bias = (graph.constant(f"heads.{part}", weights[f"heads.{part}"]) for part in ("weight", "bias"))
    graph.node("Gemm", [pooled, head, bias], transB=1)
    return graph


def _layer(graph: _Graph, value: str, weights: Weights, layer: str, heads: int) -> str:
    projections = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    joined = np.concatenate([weights[f"{name}.weight"] for name in projections]).T
    bias = np.concatenate([weights[f"{name}.bias"] for name in projections])
    inputs = [value, graph.constant(f"{layer}.qkv", joined), graph.constant(f"{layer}.qkv.bias", bias)]
    attended = graph.node("Attention", inputs, FUSED, num_heads=heads)
    mixed = _dense(graph, attended, weights, f"{layer}.attention.output.dense")
    value = graph.normalised(
        graph.node("Add", [mixed, value]), weights, f"{layer}.attention.output.LayerNorm"
    )
    name = f"{layer}.intermediate.dense"
    wide = graph.product(value, f"{name}.weight", weights[f"{name}.weight"])
    wide = graph.node("BiasGelu", [wide, graph.constant(f"{name}.bias", weights[f"{name}.bias"])], FUSED)
    narrow = _dense(graph, wide, weights, f"{layer}.output.dense")
    return graph.normalised(graph.node("Add", [narrow, value]), weights, f"{layer}.output.LayerNorm")


def _dense(graph: _Graph, value: str, weights: Weights, name: str) -> str:
    product = graph.product(value, f"{name}.weight", weights[f"{name}.weight"])
    return graph.node("Add", [product, graph.constant(f"{name}.bias", weights[f"{name}.bias"])])


def _model(graph: _Graph, heads: int) -> Any:
    from onnx import TensorProto, helper

    graph.nodes[-1].output[0] = "logits"
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, heads])
    body = helper.make_graph(graph.nodes, "judge", [ids], [logits], graph.constants)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, opset_imports=versions, ir_version=8)
