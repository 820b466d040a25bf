#!/usr/bin/env python3
"""Writes baseline.onnx and baseline.md from baseline.toml.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python baseline.py            # write both
    .venv/bin/python baseline.py --check    # exit 1 unless both are what the table gives

The graph, on rows of float32 with NaN for a missing value:

    IsNaN, Where(mean) -> Max(low) -> Min(high) -> Sub(mean) -> Div(scale) -> Gemm -> Sigmoid
"""

import argparse
import math
import pathlib
import sys
import tomllib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"name", "low", "high", "mean", "scale", "weight", "why"}


def table():
    """The table, checked: a wrong entry must not become a wrong score."""
    with open(HERE / "baseline.toml", "rb") as file:
        toml = tomllib.load(file)
    features = toml["feature"]
    names = [f.get("name", "?") for f in features]
    for f in features:
        name = f.get("name", "?")
        if set(f) != KEYS:
            sys.exit(f"{name}: keys must be {sorted(KEYS)}, are {sorted(f)}")
        numbers = [f[k] for k in ("low", "high", "mean", "scale", "weight")]
        if not all(math.isfinite(n) for n in numbers):
            sys.exit(f"{name}: a number is not finite")
        if not f["low"] <= f["mean"] <= f["high"]:
            sys.exit(f"{name}: mean must lie between low and high")
        if f["scale"] <= 0:
            sys.exit(f"{name}: scale must be above zero")
        if not f["why"].strip():
            sys.exit(f"{name}: a weight without an argument")
    if len(set(names)) != len(names):
        sys.exit("a feature stands twice")
    return toml


def model(toml):
    """The ONNX model of the table."""
    features = toml["feature"]
    column = lambda key: np.array([[f[key] for f in features]], dtype=np.float32)
    tensors = {key: column(key) for key in ("low", "high", "mean", "scale")}
    tensors["weight"] = column("weight").T.copy()
    tensors["bias"] = np.array([toml["bias"]], dtype=np.float32)
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "mean", "features"], ["imputed"]),
        helper.make_node("Max", ["imputed", "low"], ["at_least"]),
        helper.make_node("Min", ["at_least", "high"], ["clipped"]),
        helper.make_node("Sub", ["clipped", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "weight", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "baseline",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(features)])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(tensors[name], name) for name in sorted(tensors)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made.producer_name = "scorer models/baseline.py"
    metadata = {
        "scorer.features": "\n".join(f["name"] for f in features),
        "scorer.name": toml["name"],
        "scorer.version": toml["version"],
    }
    for key in sorted(metadata):
        entry = made.metadata_props.add()
        entry.key, entry.value = key, metadata[key]
    onnx.checker.check_model(made, full_check=True)
    return made


def number(value):
    return f"{value:g}".replace("-", "−")


def card(toml):
    """The model card."""
    rows = "\n".join(
        f"| `{f['name']}` | {number(f['low'])} … {number(f['high'])} | {number(f['mean'])} "
        f"| {number(f['weight'])}{'' if f['scale'] == 1 else ' per ' + number(f['scale'])} "
        f"| {f['why']} |"
        for f in toml["feature"]
    )
    share = 100 / (1 + math.exp(-toml["bias"]))
    return f"""<!-- Written by baseline.py from baseline.toml; edit those. -->
# Model card: {toml['name']}, version {toml['version']}

A logistic regression over {len(toml['feature'])} features whose weights were set by hand. It is
what `scorer` uses when no model is configured, until one trained on data exists.

- **File**: `baseline.onnx` (ONNX opset 17, input `features` float32 [N, {len(toml['feature'])}], NaN is missing;
  output `probability` float32 [N, 1]), also compiled into the binary.
- **Data**: none. No call was used to set a weight; each is an expert's judgement, argued below.
- **Calibration**: not calibrated on data. The output has the form of a probability, but a score of
  80 does not mean that 80 of 100 such calls are fraud. Use it to order calls, not to count losses.
- **Metrics**: none claimed.
- **Meant for**: tap mode, for looking at traffic and for choosing thresholds of one's own.
  **Not meant for** rejecting calls unattended.

## How it decides
Log-odds = {number(toml['bias'])} (a call on which all is ordinary: {share:.1f} %) + the sum over the features of
weight × (value − ordinary value), the value first limited to its range. A missing value adds
nothing. Names starting with `log_` are ln(1 + count), counts decaying over the time in the name.

| feature | range | ordinary | weight (log-odds a unit) | why |
|---|---|---|---|---|
{rows}

## Limits
- Weights add up; the model knows no combinations. A call centre that presents its main number, from
  a PBX without an SBC, looks much like a spoofed one.
- What is ordinary differs from network to network: a busy trunk exceeds the call rates above, a lab
  has private addresses everywhere. Change `baseline.toml` and run `baseline.py`; give the new file
  another version.
- After a start there is no history: behaviour is missing or low, and new fingerprints are everywhere.
- It does not see attestation (STIR), number ranges or lists; those are for later models.
- Who knows the table can stay below it. It is published because its users must be able to check it.
"""


def content(made):
    """What the model says, whatever the serialiser's order of fields."""
    graph = made.graph
    return {
        "opset": [(o.domain, o.version) for o in made.opset_import],
        "metadata": {p.key: p.value for p in made.metadata_props},
        "nodes": [(n.domain, n.op_type, list(n.input), list(n.output), len(n.attribute)) for n in graph.node],
        "tensors": {t.name: numpy_helper.to_array(t).tolist() for t in graph.initializer},
        "shapes": {t.name: list(t.dims) for t in graph.initializer},
        "ends": [v.SerializeToString(deterministic=True) for v in (*graph.input, *graph.output)],
    }


def main():
    parser = argparse.ArgumentParser(description="Writes baseline.onnx and baseline.md from baseline.toml")
    parser.add_argument("--check", action="store_true", help="only say whether both are up to date")
    check = parser.parse_args().check
    toml = table()
    made, text = model(toml), card(toml)
    if not check:
        (HERE / "baseline.onnx").write_bytes(made.SerializeToString(deterministic=True))
        (HERE / "baseline.md").write_text(text, encoding="utf-8")
        return
    stale = []
    if content(onnx.load(HERE / "baseline.onnx")) != content(made):
        stale.append("baseline.onnx")
    if (HERE / "baseline.md").read_text(encoding="utf-8") != text:
        stale.append("baseline.md")
    if stale:
        sys.exit(f"not what baseline.toml gives: {', '.join(stale)}; run baseline.py")
    print("baseline.onnx and baseline.md are what baseline.toml gives")


if __name__ == "__main__":
    main()
