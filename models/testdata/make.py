"""Writes the models and expected outputs that the tests of scorer's evaluators read.

    python3 -m venv .venv && .venv/bin/pip install -r ../requirements-testdata.txt
    .venv/bin/python make.py

Every `NAME.onnx` is what a public exporter writes, unchanged but for the metadata
that name the columns; `NAME.f32` (of `NAME-tensor.onnx`, too) holds 10,000 probabilities (little-endian f32) from
the library that trained it, not from any ONNX run time. The rows are not stored: the
generator below is the same as the one in the tests.
"""

import pathlib

import lightgbm
import numpy as np
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent
NAMES = list("abcdef")
CATEGORY = 4
OPSET = 15


def rows(count, seed, missing):
    """Rows by a linear congruential generator that Rust repeats bit for bit."""
    state = seed
    out = np.empty((count, len(NAMES)), np.float32)
    for i in range(count):
        for j in range(len(NAMES)):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            draw = state >> 33
            if missing and draw % 12 == 0:
                out[i, j] = np.nan
            elif j == CATEGORY:
                out[i, j] = draw % 7
            else:
                out[i, j] = draw % 20011 / 2500.0 - 4.0
    return out


def labels(x):
    rng = np.random.default_rng(7)
    x = np.nan_to_num(x)
    z = x[:, 0] + x[:, 1] * x[:, 2] / 2 + (x[:, CATEGORY] == 3) * 3 + rng.normal(size=len(x))
    return (z > 2).astype(int)


def representable(gbm):
    """The booster with every threshold rounded down to f32.

    LightGBM splits at f64, ONNX at f32, and exporters round to the nearest: a value
    equal to a threshold rounded up would go the other way. For rows of f32 `x <= t`
    says the same of `t` and of the largest f32 that is no more than `t`.
    """

    def down(text):
        exact = float(text)
        near = np.float32(exact)
        # (float: NumPy compares an f32 with a Python number as f32.)
        return repr(float(np.nextafter(near, np.float32(-np.inf)) if float(near) > exact else near))

    lines = []
    for line in gbm.booster_.model_to_string().splitlines():
        key, _, values = line.partition("=")
        if key == "threshold":
            line = f"{key}={' '.join(map(down, values.split()))}"
        # The sizes are of the texts before; without them each tree is looked for.
        if key != "tree_sizes":
            lines.append(line)
    return lightgbm.Booster(model_str="\n".join(lines) + "\n")


def save(name, model, expected, baseline=None):
    def put(key, value):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value

    put("scorer.features", "\n".join(NAMES))
    put("scorer.name", name)
    put("scorer.version", "1")
    if baseline is not None:
        put("scorer.baseline", "\n".join(str(float(v)) for v in baseline))
    data = model.SerializeToString()
    (HERE / f"{name}.onnx").write_bytes(data)
    if expected is not None and not name.endswith("-tensor"):
        (HERE / f"{name}.f32").write_bytes(expected.astype("<f4").tobytes())
    print(f"{name}: {len(data)} bytes, {[n.op_type for n in model.graph.node]}")


def export(name, gbm, ask):
    inputs = [("x", FloatTensorType([None, len(NAMES)]))]
    for zipmap in (True, False):
        onnx = convert_lightgbm(
            representable(gbm), initial_types=inputs, zipmap=zipmap, target_opset=OPSET
        )
        expected = gbm.predict_proba(ask)[:, 1]
        save(name if zipmap else f"{name}-tensor", onnx, expected)


def main():
    whole, holed = rows(4000, 1, False), rows(4000, 2, True)
    ask, ask_holed = rows(10_000, 3, False), rows(10_000, 4, True)
    gbm = lightgbm.LGBMClassifier(n_estimators=40, num_leaves=15, verbose=-1, random_state=1)
    gbm.fit(holed, labels(holed))
    export("lightgbm", gbm, ask_holed)
    gbm = lightgbm.LGBMClassifier(n_estimators=30, num_leaves=15, verbose=-1, random_state=1)
    gbm.fit(holed, labels(holed), categorical_feature=[CATEGORY])
    export("lightgbm-categorical", gbm, ask_holed)

    y = labels(whole)
    forest = RandomForestClassifier(12, max_depth=6, random_state=1)
    boosted = GradientBoostingClassifier(n_estimators=20, random_state=1)
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    network = MLPClassifier((8,), max_iter=80, random_state=1)
    for name, model in [
        ("forest", forest),
        ("boosted", boosted),
        ("logistic", logistic),
        ("network", network),
    ]:
        model.fit(whole, y)
        last = model.steps[-1][1] if hasattr(model, "steps") else model
        for zipmap in (True, False):
            options = {id(last): {"zipmap": zipmap}}
            onnx = to_onnx(model, whole[:1], target_opset=OPSET, options=options)
            baseline = whole.mean(axis=0) if name == "network" else None
            expected = model.predict_proba(ask)[:, 1]
            save(name if zipmap else f"{name}-tensor", onnx, expected, baseline)
    onnx = to_onnx(network, whole[:1], target_opset=OPSET)
    save("network-without-baseline", onnx, None)


main()
