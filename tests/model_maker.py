"""ONNX graphs with the true signatures of the farm's networks and outputs that a test can foretell.

The detectors find squares of one pure colour: magenta by the outputs of stride 8, cyan by those of
stride 16, yellow by those of stride 32. A picture has at most one face of each colour; its box is
the square, its landmarks lie at `LANDMARK_SHARES` of it.
Not for: anything but tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.graph_maker import Graph, Shape

STRIDES = (8, 16, 32)
SCORE = 0.9

COLOURS_BGR = {"magenta": (255, 0, 255), "cyan": (255, 255, 0), "yellow": (0, 255, 255)}
"""Colour of the square that each stride finds, in the order of `STRIDES`."""

_WEIGHTS_RGB = {8: (1.0, -1.0, 1.0), 16: (-1.0, 1.0, 1.0), 32: (1.0, 1.0, -1.0)}

LANDMARK_SHARES = np.array(
    [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32
)
"""[5, 2] x and y of the landmarks, as shares of the square's side."""


def landmarks_in(box_xyxy: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """[5, 2] landmarks that the detectors give for a square."""
    low = np.array(box_xyxy[:2], np.float32)
    size = np.array(box_xyxy[2:], np.float32) - low
    return low + LANDMARK_SHARES * size


def make_classifier(path: Path) -> Path:
    """Content classifier of nsfwjs' signature: pure red is porn, all else neutral."""
    graph = Graph()
    colour = graph.add("ReduceMean", "input", axes=[1, 2], keepdims=0)
    weights = np.zeros((3, 5), np.float32)
    weights[:, 3] = (20.0, -20.0, -20.0)
    bias = np.array([0, 0, 4, -6, 0], np.float32)
    logits = graph.add("Gemm", colour, graph.constant(weights), graph.constant(bias))
    graph.add("Softmax", logits, name="probs", axis=1)
    return graph.save(path, {"input": ["n", 224, 224, 3]}, {"probs": ["n", 5]})


def draw_face(
    picture_bgr: NDArray[np.uint8], box_xyxy: tuple[int, int, int, int], colour: str = "magenta"
) -> None:
    """Paint a square that the detectors find."""
    left, top, right, bottom = box_xyxy
    picture_bgr[max(top, 0) : bottom, max(left, 0) : right] = COLOURS_BGR[colour]


def make_scrfd(path: Path, *, batch: bool = False) -> Path:
    """A detector with the nine outputs of SCRFD: scores, boxes, landmarks of three strides.

    With `batch` it takes several pictures and gives outputs of three dimensions.
    """
    graph = Graph()
    found = {s: _find_square(graph, "input.1", s, "rgb") for s in STRIDES}
    kinds: dict[str, list[str]] = {"score": [], "bbox": [], "kps": []}
    for stride, square in found.items():
        rows = _Rows(graph, square, stride, anchors=2)
        point = graph.add("Mul", rows.cell, graph.constant(float(stride)))
        kinds["score"].append(rows.scores(f"score_{stride}", flat=not batch))
        reach = _reach(graph, square["box"], point)
        kinds["bbox"].append(rows.values(reach, stride, f"bbox_{stride}", flat=not batch))
        offset = _offsets(graph, square["points"], point)
        kinds["kps"].append(rows.values(offset, stride, f"kps_{stride}", flat=not batch))
    widths = {"score": 1, "bbox": 4, "kps": 10}
    outputs: dict[str, Shape] = {
        name: [*(["n"] if batch else []), "rows", widths[kind]]
        for kind, names in kinds.items()
        for name in names
    }
    return graph.save(path, {"input.1": ["n" if batch else 1, 3, "h", "w"]}, outputs)


def make_crowd(path: Path, boxes_xyxy: NDArray[np.float32], side_px: int = 640) -> Path:
    """A detector of SCRFD's signature that finds these boxes in every picture of its fixed size.

    Their middles must lie in different cells of 8 pixels.
    """
    graph = Graph()
    nothing = graph.add("Mul", graph.add("ReduceMean", "input.1", keepdims=0), graph.constant(0.0))
    outputs: dict[str, Shape] = {}
    for stride in STRIDES:
        wide = side_px // stride
        rows = 2 * wide * wide
        kinds = {"score": np.zeros((rows, 1)), "bbox": np.zeros((rows, 4))}
        kinds["kps"] = np.zeros((rows, 10))
        for box in boxes_xyxy if stride == STRIDES[0] else []:
            cell = (box[:2] + box[2:]) / 2 // stride
            row = 2 * int(cell[1] * wide + cell[0])
            point = cell * stride
            kinds["score"][row] = SCORE
            kinds["bbox"][row] = [*(point - box[:2]) / stride, *(box[2:] - point) / stride]
            places = box[:2] + LANDMARK_SHARES * (box[2:] - box[:2])
            kinds["kps"][row] = ((places - point) / stride).ravel()
        for kind, values in kinds.items():
            name = f"{kind}_{stride}"
            graph.add("Add", nothing, graph.constant(values), name=name)
            outputs[name] = [rows, values.shape[1]]
    return graph.save(path, {"input.1": [1, 3, side_px, side_px]}, outputs)


def make_yunet(path: Path) -> Path:
    """A detector with the twelve outputs of YuNet; it takes several pictures at once."""
    graph = Graph()
    outputs: dict[str, Shape] = {}
    for stride in STRIDES:
        square = _find_square(graph, "input", stride, "bgr")
        rows = _Rows(graph, square, stride, anchors=1)
        point = graph.add("Mul", rows.cell, graph.constant(float(stride)))
        centre, size = _centre_and_size(graph, square["box"])
        offset = graph.add("Div", graph.add("Sub", centre, point), graph.constant(float(stride)))
        grown = graph.add(
            "Max", graph.add("Div", size, graph.constant(float(stride))), graph.constant(1e-3)
        )
        box = graph.add("Concat", offset, graph.add("Log", grown), axis=1)
        rows.scores(f"cls_{stride}", flat=False)
        rows.scores(f"obj_{stride}", flat=False)
        rows.values(box, 1, f"bbox_{stride}", flat=False)
        rows.values(_offsets(graph, square["points"], point), stride, f"kps_{stride}", flat=False)
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{kind}_{stride}"] = ["n", "rows", width]
    return graph.save(path, {"input": ["n", 3, "h", "w"]}, outputs)


def make_arcface(path: Path) -> Path:
    """A recognizer whose embedding tells the crop's mean colour; see `embedding_of`."""
    graph = Graph()
    mean = graph.add("ReduceMean", "input.1", axes=[2, 3], keepdims=0)
    graph.add("MatMul", mean, graph.named("w", _arcface_weights()), name="embedding")
    return graph.save(path, {"input.1": ["n", 3, 112, 112]}, {"embedding": ["n", 512]})


def embedding_of(colour_bgr: tuple[int, int, int]) -> NDArray[np.float32]:
    """[512] unit length: what `make_arcface` says of a crop of one colour."""
    rgb = (np.array(colour_bgr[::-1], np.float32) - 127.5) / 127.5
    vector = rgb @ _arcface_weights()
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def make_inswapper(path: Path, *, batch: bool = False, source_first: bool = False) -> Path:
    """A swap network that paints every crop in one colour; see `swap_colour`."""
    graph = Graph()
    picked = graph.add("MatMul", "source", graph.named("pick", _pick_weights()))
    colour = graph.add("Sigmoid", graph.add("Mul", picked, graph.constant(6.0)))
    shaped = graph.add("Reshape", colour, graph.constant([-1, 3, 1, 1], np.int64))
    graph.add("Add", shaped, graph.add("Mul", "target", graph.constant(0.0)), name="output")
    graph.named("buff2fs", _emap())
    graph.named("last", np.zeros((2, 2), np.float32))
    count: int | str = "n" if batch else 1
    inputs: dict[str, Shape] = {
        "target": [count, 3, 128, 128],
        "source": [count, 512],
    }
    ordered = dict(reversed(inputs.items())) if source_first else inputs
    return graph.save(path, ordered, {"output": [count, 3, 128, 128]})


def swap_colour(embedding: NDArray[np.float32]) -> tuple[int, int, int]:
    """BGR of the face that `make_inswapper` gives to a source."""
    latent = embedding @ _emap()
    latent = latent / np.linalg.norm(latent)
    rgb = 1 / (1 + np.exp(-6.0 * (latent @ _pick_weights())))
    red, green, blue = (round(float(v) * 255) for v in rgb)
    return blue, green, red


def make_painter(path: Path, *, seed: int = 0, opset: int = 17) -> Path:
    """A swap network of convolutions with random weights that keeps the look of its picture.

    It takes any batch, and holds a matrix that no node uses, as the real one does.
    """
    random = np.random.default_rng(seed)
    graph = Graph()

    def convolve(value: str, taken: int, given: int, gain: float = 1.0) -> str:
        scale = gain * np.sqrt(2 / (taken * 9))
        kernel = (random.standard_normal((given, taken, 3, 3)) * scale).astype(np.float32)
        return graph.add("Conv", value, graph.constant(kernel), pads=[1, 1, 1, 1])

    inner = graph.add("Relu", convolve("target", 3, 16))
    for _ in range(4):
        inner = graph.add("Relu", convolve(inner, 16, 16))
    person = graph.add("MatMul", "source", graph.named("pick", _pick_weights()))
    shaped = graph.add("Reshape", person, graph.constant([-1, 3, 1, 1], np.int64))
    mixed = graph.add("Add", graph.add("Add", convolve(inner, 16, 3, 0.2), "target"), shaped)
    graph.add("Sigmoid", mixed, name="output")
    graph.named("buff2fs", _emap())
    shape: Shape = ["n", 3, 128, 128]
    inputs: dict[str, Shape] = {"target": shape, "source": ["n", 512]}
    return graph.save(path, inputs, {"output": shape}, opset=opset)


def make_enhancer(path: Path, size_px: int = 512) -> Path:
    """A restoration network that gives the negative of its picture."""
    graph = Graph()
    graph.add("Neg", "input", name="output")
    shape: Shape = [1, 3, size_px, size_px]
    return graph.save(path, {"input": shape}, {"output": shape})


def make_huge(path: Path, kind: str, side_px: int) -> Path:
    """A network of a kind's signature whose picture has sides that no memory holds."""
    graph = Graph()
    if kind == "classifier":
        picture: Shape = [1, side_px, side_px, 3]
        colour = graph.add("ReduceMean", "input", axes=[1, 2], keepdims=0)
        graph.add("MatMul", colour, graph.constant(np.ones((3, 5))), name="probs")
        return graph.save(path, {"input": picture}, {"probs": [1, 5]})
    picture = [1, 3, side_px, side_px]
    inputs: dict[str, Shape] = {"input": picture}
    outputs: dict[str, Shape] = {"output": picture}
    if kind == "detector":
        inputs = {"input.1": picture}
        mean = graph.add("ReduceMean", "input.1", axes=[1, 2, 3], keepdims=0)
        one = graph.constant([1, 1], np.int64)
        outputs = {}
        for width in (1, 4, 10):
            for stride in STRIDES:
                name = f"out_{width}_{stride}"
                shape = graph.constant([1, width], np.int64)
                graph.add("Expand", graph.add("Reshape", mean, one), shape, name=name)
                outputs[name] = ["rows", width]
    elif kind == "recognizer":
        mean = graph.add("ReduceMean", "input", axes=[2, 3], keepdims=0)
        graph.add("MatMul", mean, graph.named("w", _arcface_weights()), name="output")
        outputs = {"output": [1, 512]}
    else:
        graph.add("Neg", "input", name="output")
    if kind == "swapper":
        inputs["source"] = [1, 512]
        graph.named("buff2fs", _emap())
    return graph.save(path, inputs, outputs)


def make_parser(path: Path, size_px: int = 512, classes: int = 19) -> Path:
    """A face parsing network of BiSeNet's signature: pure green is hair, all else is skin."""
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    sign = np.array([-1.0, 1.0, -1.0])
    weights = np.zeros((classes, 3, 1, 1), np.float32)
    weights[-2, :, 0, 0] = 20 * sign * spread
    bias = np.full(classes, -50, np.float32)
    bias[1] = 10
    bias[-2] = 20 * float((sign * mean).sum())
    graph = Graph()
    graph.add("Conv", "input", graph.constant(weights), graph.constant(bias), name="output")
    side = graph.constant([1, classes, size_px // 16, size_px // 16], np.int64)
    graph.add("Expand", graph.constant(0.0), side, name="output16")
    small: Shape = [1, classes, size_px // 16, size_px // 16]
    outputs: dict[str, Shape] = {"output": [1, classes, size_px, size_px], "output16": small}
    return graph.save(path, {"input": [1, 3, size_px, size_px]}, outputs)


def _arcface_weights() -> NDArray[np.float32]:
    """[3, 512] with orthogonal rows: red, green and blue point three ways."""
    weights = np.zeros((3, 512), np.float32)
    for row in range(3):
        weights[row, row::3] = 1.0
    weights[:, 510:] = 0.0
    return weights


def _emap() -> NDArray[np.float32]:
    """[512, 512] that moves every number one place on, so that a test sees whether it was used."""
    return np.roll(np.eye(512, dtype=np.float32), 1, axis=1)


def _pick_weights() -> NDArray[np.float32]:
    """[512, 3] from a latent (an embedding moved by `_emap`) to red, green and blue."""
    scale = np.float32(1 / np.sqrt(170))
    return np.roll(_arcface_weights(), 1, axis=1).T * scale


def _find_square(graph: Graph, pictures: str, stride: int, order: str) -> dict[str, str]:
    """Names of the square's box [n, 4], landmarks [n, 5, 2] and presence [n, 1], in pixels."""
    if order == "bgr":
        shifted = graph.add("Sub", pictures, graph.constant(127.5))
        pictures = graph.add("Div", shifted, graph.constant(127.5))
    weights = _WEIGHTS_RGB[stride] if order == "rgb" else _WEIGHTS_RGB[stride][::-1]
    kernel = graph.constant(np.reshape(weights, (1, 3, 1, 1)))
    score = graph.add("Conv", pictures, kernel)
    lit = graph.real(graph.add("Greater", score, graph.constant(2.2)))
    edges = []
    for axis in (3, 2):
        line = graph.add("ReduceMax", lit, axes=[5 - axis], keepdims=0)
        first = graph.add("ArgMax", line, axis=2, keepdims=0, select_last_index=0)
        last = graph.add("ArgMax", line, axis=2, keepdims=0, select_last_index=1)
        edges += [graph.real(first), graph.add("Add", graph.real(last), graph.constant(1.0))]
    left, right, top, bottom = edges
    low = graph.add("Concat", left, top, axis=1)
    high = graph.add("Concat", right, bottom, axis=1)
    size = graph.add("Reshape", graph.add("Sub", high, low), graph.constant([-1, 1, 2], np.int64))
    corner = graph.add("Reshape", low, graph.constant([-1, 1, 2], np.int64))
    points = graph.add("Add", corner, graph.add("Mul", size, graph.constant(LANDMARK_SHARES)))
    return {
        "box": graph.add("Concat", low, high, axis=1),
        "points": points,
        "there": graph.add("ReduceMax", lit, axes=[1, 2, 3], keepdims=0),
        "map": score,
    }


def _centre_and_size(graph: Graph, box: str) -> tuple[str, str]:
    """Names of [n, 2] centre and [n, 2] size of boxes [n, 4]."""
    low = graph.add("Gather", box, graph.constant([0, 1], np.int64), axis=1)
    high = graph.add("Gather", box, graph.constant([2, 3], np.int64), axis=1)
    centre = graph.add("Mul", graph.add("Add", low, high), graph.constant(0.5))
    return centre, graph.add("Sub", high, low)


def _reach(graph: Graph, box: str, point: str) -> str:
    """[n, 4] distances from a point to the four sides."""
    low = graph.add("Gather", box, graph.constant([0, 1], np.int64), axis=1)
    high = graph.add("Gather", box, graph.constant([2, 3], np.int64), axis=1)
    return graph.add("Concat", graph.add("Sub", point, low), graph.add("Sub", high, point), axis=1)


def _offsets(graph: Graph, points: str, point: str) -> str:
    """[n, 10] landmarks relative to a point."""
    origin = graph.add("Reshape", point, graph.constant([-1, 1, 2], np.int64))
    relative = graph.add("Sub", points, origin)
    return graph.add("Reshape", relative, graph.constant([-1, 10], np.int64))


class _Rows:
    """The rows of one stride's outputs: the row of the cell in the square's middle has the face."""

    def __init__(self, graph: Graph, square: dict[str, str], stride: int, anchors: int) -> None:
        self._graph, self._square = graph, square
        centre, _size = _centre_and_size(graph, square["box"])
        size = graph.add("Shape", square["map"], start=2, end=4)
        cells = graph.add("Div", size, graph.constant([stride, stride], np.int64))
        at = graph.add("Floor", graph.add("Div", centre, graph.constant(float(stride))))
        wide = graph.add("Gather", cells, graph.constant([1], np.int64))
        limit = graph.real(graph.add("Sub", cells, graph.constant([1, 1], np.int64)))
        backwards = graph.add("Gather", limit, graph.constant([1, 0], np.int64))
        self.cell = graph.add("Min", at, backwards)
        """[n, 2] x and y of the cell."""
        x = graph.whole(graph.add("Gather", self.cell, graph.constant([0], np.int64), axis=1))
        y = graph.whole(graph.add("Gather", self.cell, graph.constant([1], np.int64), axis=1))
        row = graph.add("Add", graph.add("Mul", y, wide), x)
        row = graph.add("Mul", row, graph.constant([anchors], np.int64))
        count = graph.add("ReduceProd", cells, keepdims=0)
        count = graph.add("Mul", count, graph.constant(anchors, np.int64))
        zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
        places = graph.add("Range", zero, count, one)
        self._hit = graph.real(graph.add("Equal", row, places))

    def scores(self, name: str, *, flat: bool) -> str:
        """The score at the hit row where the square is there, 0 elsewhere; [n, rows, 1]."""
        graph = self._graph
        there = graph.add("Reshape", self._square["there"], graph.constant([-1, 1], np.int64))
        score = graph.add("Mul", graph.add("Mul", self._hit, there), graph.constant(SCORE))
        return self._output(score, name, 1, flat)

    def values(self, value: str, stride: int, name: str, *, flat: bool) -> str:
        """The values [n, k], in strides, at the hit row, 0 elsewhere; [n, rows, k]."""
        graph = self._graph
        scaled = graph.add("Div", value, graph.constant(float(stride)))
        hit = graph.add("Unsqueeze", self._hit, graph.constant([2], np.int64))
        wide = graph.add("Unsqueeze", scaled, graph.constant([1], np.int64))
        width = 10 if name.startswith("kps") else 4
        return self._output(graph.add("Mul", hit, wide), name, width, flat)

    def _output(self, value: str, name: str, width: int, flat: bool) -> str:
        graph = self._graph
        if flat:
            return graph.add("Reshape", value, graph.constant([-1, width], np.int64), name=name)
        batch = graph.add("Shape", value, start=0, end=1)
        shape = graph.add("Concat", batch, graph.constant([-1, width], np.int64), axis=0)
        return graph.add("Reshape", value, shape, name=name)
