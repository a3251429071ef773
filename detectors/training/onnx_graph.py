"""ONNX graphs by hand: nodes and constants; every method returns the name of its output."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FUSED = "com.microsoft"


class Graph:
    """A graph that is being built."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: npt.ArrayLike) -> str:
        """Add a constant."""
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output."""
        return self.nodes(kind, inputs, [f"{kind}_{len(self._nodes)}"], domain, **attributes)[0]

    def nodes(
        self, kind: str, inputs: Sequence[str], outputs: list[str], domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add an operator with outputs of these names."""
        from onnx import helper

        number = len(self._nodes)
        node = helper.make_node(kind, inputs, outputs, f"{kind}_{number}", domain=domain, **attributes)
        self._nodes.append(node)
        return outputs

    def model(self, name: str, inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, Any]) -> Any:
        """Return the model; `inputs` and `outputs` give type and shape. The last node makes the output."""
        from onnx import helper

        (output,) = outputs
        self._nodes[-1].output[0] = output
        infos = [
            [helper.make_tensor_value_info(key, *value) for key, value in side.items()]
            for side in (inputs, outputs)
        ]
        body = helper.make_graph(self._nodes, name, *infos, self._constants)
        versions = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(body, opset_imports=versions, ir_version=8)
