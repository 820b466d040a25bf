#!/usr/bin/env python3
"""Trains a model from feature vectors and labels: ONNX, card, metrics.

    cargo xtask train                 # does all of this, in a virtual environment

    train.py --scorer target/release/scorer --work target/train --out models
    train.py … --vectors FOLDER …     # calls of one's own, beside the simulated ones

`scorer vectors` writes a folder with vectors.npy, calls.csv and features.txt. The runs
that are simulated stand in training.toml. A split is by run, never by row.
"""

import argparse
import concurrent.futures
import csv
import hashlib
import json
import math
import pathlib
import subprocess
import sys
import tomllib

import lightgbm
import numpy as np
import onnx
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

HERE = pathlib.Path(__file__).resolve().parent
TREES, LEAVES = 100, 63
# The share of genuine calls that may be called fraud at the threshold that is reported.
FALSE = 0.001
# A single feature that ranks calls better than this share of the model's own average
# precision gives the label away.
LEAK = 0.6
OPSET = 15


class Calls:
    """One folder of `scorer vectors`: rows x [n, features] float32, and about each."""

    def __init__(self, folder, role="train"):
        folder = pathlib.Path(folder)
        self.names = (folder / "features.txt").read_text().split()
        self.x = np.load(folder / "vectors.npy", mmap_mode="r")
        with open(folder / "calls.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if len(rows) != len(self.x) or self.x.shape[1] != len(self.names):
            sys.exit(f"{folder}: vectors.npy, calls.csv and features.txt do not fit together")
        column = lambda key: np.array([row[key] for row in rows])
        self.label, self.family, self.stack = column("label"), column("family"), column("stack")
        self.weight = column("weight").astype(np.float64)
        self.baseline = column("probability").astype(np.float64)
        self.tags = column("tags")
        self.y = (self.label == "fraud").astype(np.int32)
        self.role = role
        self.time = column("time").astype(np.float64)

    def settled(self, plan):
        """Of calls of one's own: those whose truth is known, or old enough that silence
        says something. A victim reports after days, so that the last of them are left out."""
        unknown = self.label == ""
        young = self.time > self.time.max() - 86_400 * plan["settled_days"]
        kept = ~(unknown & young)
        self.weight = np.where(unknown, self.weight * plan["unlabelled_weight"], self.weight)
        self.x = self.x[kept]
        for key in ("label", "family", "stack", "weight", "baseline", "tags", "y", "time"):
            setattr(self, key, getattr(self, key)[kept])
        print(f"  own calls: {kept.sum():,} of {len(kept):,}, {int(self.y.sum()):,} fraud")
        return self

    def __len__(self):
        return len(self.y)


def simulate(plan, args):
    """Makes the runs of training.toml that are not there yet; yields (role, folder)."""
    runs = []
    for run in plan["run"]:
        for seed in range(run["seed"], run["seed"] + run.get("times", 1)):
            mix = dict(run["mix"])
            if run["role"] != "test":
                mix["without_stacks"] = plan["unseen_stacks"]
                mix["families"] = {name: 0.0 for name in plan["unseen_families"]}
            known = run.get("site", True)
            runs.append((run["role"], seed, int(run["calls"] * args.scale), mix, known))

    def make(run):
        role, seed, calls, mix, known = run
        keep = plan["keep"] if role == "train" and calls > 10_000 else 1.0
        text = toml(mix)
        # Another program or another mix is another run.
        program = hashlib.sha256(args.scorer.read_bytes()).hexdigest()
        what = json.dumps([program, text, seed, calls, keep, known, plan["reported"], plan["delay_s"]])
        folder = args.work / f"{role}-{seed}"
        done = folder / "done"
        if done.exists() and done.read_text() == what:
            return role, folder
        folder.mkdir(parents=True, exist_ok=True)
        done.unlink(missing_ok=True)
        (folder / "mix.toml").write_text(text)
        common = ["--seed", str(seed), "--mix", str(folder / "mix.toml")]
        site = folder / "site"
        quiet = {"check": True, "stderr": subprocess.PIPE}
        subprocess.run([args.scorer, "simulate", *common, "--site", site], **quiet)
        subprocess.run(
            [args.scorer, "vectors", "--simulate", str(calls), *common]
            + (["--config", site / "scorer.toml"] if known else [])
            + ["--keep", str(keep), "--out", folder]
            + ["--model", HERE / "baseline.onnx"]
            + ["--reported", str(plan["reported"]), "--delay", str(plan["delay_s"])],
            **quiet,
        )
        done.write_text(what)
        print(f"  {folder.name}: {calls} calls", flush=True)
        return role, folder

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        try:
            return list(pool.map(make, runs))
        except subprocess.CalledProcessError as error:
            sys.exit(f"{error.cmd[1]} failed: {error.stderr.decode().strip()}")


def toml(mix):
    """A mix as TOML; numbers, texts, lists and one level of tables are all there is."""
    plain = [f"{k} = {json.dumps(v)}" for k, v in mix.items() if not isinstance(v, dict)]
    for name, table in mix.items():
        if isinstance(table, dict):
            plain += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(plain) + "\n"


def down(exact):
    """The largest float32 that is no more than a threshold.

    LightGBM splits at float64, ONNX at float32, and exporters round to the nearest: a
    value equal to a threshold rounded up would go the other way.
    """
    near = np.float32(exact)
    return float(np.nextafter(near, np.float32(-np.inf)) if float(near) > exact else near)


def representable(booster):
    lines = []
    for line in booster.model_to_string().splitlines():
        key, _, values = line.partition("=")
        if key == "threshold":
            line = f"{key}={' '.join(repr(down(float(v))) for v in values.split())}"
        # The sizes are of the texts before; without them each tree is looked for.
        if key != "tree_sizes":
            lines.append(line)
    return lightgbm.Booster(model_str="\n".join(lines) + "\n")


def fit(parts, columns):
    x = np.concatenate([part.x[:, columns] for part in parts])
    y = np.concatenate([part.y for part in parts])
    weight = np.concatenate([part.weight for part in parts])
    params = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "learning_rate": 0.12,
        "min_data_in_leaf": 60,
        "min_sum_hessian_in_leaf": 5.0,
        "lambda_l2": 10.0,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "max_bin": 127,
        "verbose": -1,
        "seed": 1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 2,
    }
    data = lightgbm.Dataset(x, y, weight=weight, free_raw_data=True)
    return representable(lightgbm.train(params, data, num_boost_round=TREES))


def calibrate(raw, y, weight):
    """Platt's sigmoid: probability = 1 / (1 + exp(-(a raw + b)))."""
    platt = LogisticRegression(C=1e6, max_iter=1000)
    platt.fit(raw[:, None], y, sample_weight=weight)
    return float(platt.coef_[0, 0]), float(platt.intercept_[0])


def to_onnx(booster, names, a, b, plan):
    """The ensemble with its calibration in the leaves and the base value."""
    inputs = [("features", FloatTensorType([None, len(names)]))]
    model = convert_lightgbm(booster, initial_types=inputs, zipmap=False, target_opset=OPSET)
    (node,) = [n for n in model.graph.node if n.op_type.startswith("TreeEnsemble")]
    base = 0.0
    for attribute in node.attribute:
        if attribute.name == "class_weights":
            scaled = [a * value for value in attribute.floats]
            del attribute.floats[:]
            attribute.floats.extend(scaled)
        if attribute.name == "base_values":
            base = attribute.floats[0]
    for attribute in [at for at in node.attribute if at.name == "base_values"]:
        node.attribute.remove(attribute)
    node.attribute.append(onnx.helper.make_attribute("base_values", [a * base + b]))
    for key, value in {
        "scorer.features": "\n".join(names),
        "scorer.name": plan["name"],
        "scorer.version": plan["version"],
        "scorer.reference": plan["reference"],
    }.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name = "scorer models/train.py"
    onnx.checker.check_model(model)
    return model


def reference(parts, columns, names, probability):
    """What PSI is measured against: for each feature the edges of up to ten bins and the
    share of calls in each, missing values first; the scores, too. One line each."""
    lines = []
    weight = np.concatenate([part.weight for part in parts])

    def line(name, values):
        missing = np.isnan(values)
        known, of = values[~missing], weight[~missing]
        edges = []
        if len(known):
            order = np.argsort(known, kind="stable")
            sums = np.cumsum(of[order]) / of.sum()
            at = np.searchsorted(sums, np.arange(1, 10) / 10)
            edges = sorted({float(np.float32(known[order][min(i, len(known) - 1)])) for i in at})
            # The last bin would be empty if its edge were the largest value.
            edges = [edge for edge in edges if edge < known.max()]
        counts = np.bincount(
            np.searchsorted(edges, known, side="left"), of, minlength=len(edges) + 1
        )
        shares = np.concatenate([[weight[missing].sum()], counts]) / weight.sum()
        number = lambda v: repr(float(np.float32(v)))
        lines.append(f"{name};{','.join(map(number, edges))};{','.join(f'{s:.6f}' for s in shares)}")

    for name, column in zip(names, columns):
        line(name, np.concatenate([part.x[:, column] for part in parts]))
    line("score", probability.astype(np.float32) * 100)
    return "\n".join(lines)


def threshold(score, y, weight):
    """The lowest score at which at most FALSE of genuine calls are called fraud."""
    genuine = y == 0
    order = np.argsort(-score[genuine], kind="stable")
    scores, cumulated = score[genuine][order], np.cumsum(weight[genuine][order])
    allowed = FALSE * cumulated[-1]
    wrong = np.searchsorted(cumulated, allowed, side="right")
    # Those that score the same are wrong together.
    return np.nextafter(scores[wrong], np.inf) if wrong < len(scores) else -np.inf


def calibration_error(p, y, weight):
    """Expected calibration error over twenty bins of equal width in log-odds."""
    logit = np.log(np.clip(p, 1e-6, 1 - 1e-6) / (1 - np.clip(p, 1e-6, 1 - 1e-6)))
    bins = np.digitize(logit, np.linspace(-8, 4, 19))
    total = 0.0
    for at in np.unique(bins):
        inside = bins == at
        w = weight[inside]
        total += abs(np.average(p[inside], weights=w) - np.average(y[inside], weights=w)) * w.sum()
    return total / weight.sum()


def rules(calls):
    """What a telco writes by hand: points for each suspicious fact."""
    at = {name: i for i, name in enumerate(calls.names)}
    value = lambda name: np.nan_to_num(calls.x[:, at[name]], nan=0.0)
    is_zero = lambda name: calls.x[:, at[name]] == 0
    hour = lambda name: np.expm1(value(name))
    points = 4.0 * (value("user_agent_is_scanner") == 1)
    points += 3.0 * (is_zero("caller_e164_valid") | is_zero("caller_range_allocated"))
    points += 3.0 * ((value("caller_do_not_originate") == 1) | (value("caller_protected") == 1))
    points += 2.0 * ((hour("log_caller_calls_1m") > 5) & (hour("log_caller_distinct_callees") > 20))
    points += 2.0 * ((value("number_withheld") == 1) & (value("repeat_withheld_to_same_callee") > 0.5))
    points += 2.0 * (hour("log_callee_calls_1m") > 30)
    points += 2.0 * (value("callee_high_cost") == 1)
    points += 2.0 * (value("wangiri_pattern") > 0.5)
    points += 2.0 * (is_zero("stir_signature_valid") | (value("stir_certificate_expired") == 1))
    points += 1.0 * ((value("presentation_differs_from_network") == 1) & (value("diversion_count") == 0))
    points += 1.0 * (value("caller_digits_shared_with_callee") >= 8)
    points += 1.0 * (value("source_known_trunk") == 0)
    points += 1.0 * (value("caller_short_call_share") > 0.5)
    # Ties are what rules have many of; the count of calls breaks some.
    return points + 0.01 * value("log_caller_calls_1h")


def judged(name, score, y, weight, family):
    """Metrics of one scorer over one set of calls."""
    limit = threshold(score, y, weight)
    caught = score >= limit
    recall = {
        str(f): float(np.mean(caught[(family == f) & (y == 1)])) for f in np.unique(family[y == 1])
    }
    false = {
        str(f): float(np.mean(caught[(family == f) & (y == 0)])) for f in np.unique(family[y == 0])
    }
    return {
        "scorer": name,
        "pr_auc": float(average_precision_score(y, score, sample_weight=weight)),
        "recall": float(np.average(caught[y == 1], weights=weight[y == 1])),
        "false_positives": float(np.average(caught[y == 0], weights=weight[y == 0])),
        "threshold": float(limit),
        "recall_by_family": recall,
        "false_positives_by_family": {f: v for f, v in false.items() if v > 0},
    }


def leaks(part, columns, names, own):
    """Features by the average precision each reaches alone, either way round."""
    found = []
    for name, column in zip(names, columns):
        values = np.asarray(part.x[:, column], np.float64)
        low, high = (np.nanmin(values), np.nanmax(values)) if np.isfinite(values).any() else (0, 0)
        best = max(
            average_precision_score(part.y, sign * np.nan_to_num(values, nan=fill), sample_weight=part.weight)
            for sign in (1, -1)
            for fill in (low - 1, high + 1)
        )
        found.append((best, name))
    found.sort(reverse=True)
    return [{"feature": name, "pr_auc": best, "leak": best > LEAK * own} for best, name in found[:10]]


def percent(value):
    return f"{100 * value:.1f} %"


def card(plan, metrics):
    """The model card, in plain words."""
    sets = metrics["test"]
    lines = [
        "<!-- Written by train.py; edit that. -->",
        f"# Model card: {plan['name']}, version {plan['version']}",
        "",
        f"A gradient-boosted ensemble of {TREES} trees with at most {LEAVES} leaves (LightGBM), over"
        f" {metrics['features']} of the {metrics['registry']} features, calibrated with Platt's method; the"
        " calibration is in the leaves.",
        "",
        f"- **Files**: `{plan['name']}.onnx` (id {metrics['id']}), metrics in `{plan['name']}.json`. Made by `cargo xtask train` from"
        " `training.toml`; the same command gives the same figures on the same machine.",
        f"- **Data**: simulated calls only (`scorer simulate`, docs/simulate.md): {metrics['rows']['train']:,} rows of"
        f" {metrics['calls']['train']:,} calls for training, {metrics['rows']['calibrate']:,} for calibration,"
        f" {metrics['rows']['test']:,} for the tests below; {percent(metrics['fraud_share'])} of calls are fraud."
        " **No real call was used**, for want of labelled ones that may be used.",
        "- **Splits**: by seed (another population, other numbers, other campaigns), never by row. Kept out of"
        f" training: the stacks {', '.join(plan['unseen_stacks'])}; the family"
        f" {', '.join(plan['unseen_families'])}; every capture of real traffic.",
        "- **Meant for**: ordering calls and choosing thresholds in tap mode, and as a start for training on one's"
        " own labels. **Not meant for** rejecting calls unattended before it was measured on the site's own traffic.",
        "",
        "## Tests",
        f"Recall is the share of fraudulent calls found when {percent(FALSE)} of genuine calls are called fraud."
        " *Logistic* is `baseline.onnx`, *rules* are those of a telco's fraud desk (`rules` in train.py).",
        "",
        "| calls | scorer | PR-AUC | recall | calibration error |",
        "|---|---|---|---|---|",
    ]
    for name, entry in sets.items():
        for judgement in entry["scorers"]:
            error = judgement.get("calibration_error")
            lines.append(
                f"| {name} | {judgement['scorer']} | {judgement['pr_auc']:.3f} | {percent(judgement['recall'])} | "
                + (f"{error:.5f} |" if error is not None else "– |")
            )
    lines += ["", "## By family", "Recall at the threshold of the first set, all test calls.", ""]
    lines += ["| family | calls | ensemble | logistic | rules |", "|---|---|---|---|---|"]
    first = sets["all test calls"]
    for family, count in first["fraud_calls"].items():
        own = " (not in training)" if family in plan["unseen_families"] else ""
        cells = [percent(j["recall_by_family"].get(family, math.nan)) for j in first["scorers"]]
        lines.append(f"| {family}{own} | {count:,} | {' | '.join(cells)} |")
    lines += ["", "Genuine families that are called fraud most often (ensemble):", ""]
    false = first["scorers"][0]["false_positives_by_family"]
    for family, share in sorted(false.items(), key=lambda item: -item[1])[:6]:
        lines.append(f"- {family}: {100 * share:.2f} %")
    lines += [
        "",
        "## What it looks at",
        "Features by what they contribute to the splits (gain):",
        "",
        *(f"- `{name}` {percent(share)}" for name, share in metrics["importance"]),
        "",
        "No single feature should give the label away. Average precision of the best ones alone, on the"
        f" calibration calls (the ensemble has {metrics['calibrate_pr_auc']:.3f} there); more than {LEAK:.0%} of"
        " that would be called a leak:",
        "",
        *(f"- `{e['feature']}` {e['pr_auc']:.3f}{' **leak**' if e['leak'] else ''}" for e in metrics["single_features"]),
        "",
        "Left out on purpose:",
        "",
        *(f"- {why}: {', '.join(f'`{n}`' for n in names)}" for why, names in plan["exclude"].items()),
        "",
        "## Limits",
        "- It has learnt the simulator's recipes. Real fraud differs, and so do real networks; the figures above"
        " say how well recipes are told apart, not how much fraud will be found.",
        "- Calibration holds for the simulated share of fraud. At a site with another share a score of 80 does not"
        " mean 80 of 100; train or calibrate on labels of the site (docs/models.md).",
        "- After a start there is no history, and behaviour says little; small sites that have just begun are in the"
        " training data for that.",
        "- Lists, consortium matches and the address database are not in the simulation: the model does not use them.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scorer", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--plan", type=pathlib.Path, default=HERE / "training.toml")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for vectors")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the model")
    parser.add_argument("--vectors", type=pathlib.Path, action="append", default=[], help="labelled calls of one's own, for training")
    parser.add_argument("--scale", type=float, default=1.0, help="share of each run's calls, for a trial")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    args.scorer = args.scorer.resolve()
    plan = tomllib.loads(args.plan.read_text())

    print("simulating", flush=True)
    calls = [Calls(folder, role) for role, folder in simulate(plan, args)]
    calls += [Calls(folder).settled(plan) for folder in args.vectors]
    by_role = {role: [c for c in calls if c.role == role] for role in ("train", "calibrate", "test")}
    names = calls[0].names
    if any(c.names != names for c in calls):
        sys.exit("the vectors are of different versions of scorer; make them again")
    excluded = {name for group in plan["exclude"].values() for name in group}
    # A feature that never varies says nothing.
    varies = lambda i: any(
        np.nanmin(c.x[:, i]) != np.nanmax(c.x[:, i]) or np.isnan(c.x[:, i]).any()
        for c in by_role["train"]
        if not np.isnan(c.x[:, i]).all()
    )
    columns = [i for i, name in enumerate(names) if name not in excluded and varies(i)]
    used = [names[i] for i in columns]

    print(f"training on {sum(map(len, by_role['train'])):,} rows, {len(used)} features", flush=True)
    booster = fit(by_role["train"], columns)
    # What no tree looks at need not be asked for.
    gain = booster.feature_importance("gain")
    raw = lambda part: booster.predict(part.x[:, columns], raw_score=True)
    held = by_role["calibrate"]
    margin = np.concatenate([raw(part) for part in held])
    y, weight = (np.concatenate([getattr(part, key) for part in held]) for key in ("y", "weight"))
    a, b = calibrate(margin, y, weight)
    probability = lambda margin: 1 / (1 + np.exp(-(a * margin + b)))

    plan["reference"] = reference(held, columns, used, probability(margin))
    model = to_onnx(booster, used, a, b, plan)
    args.out.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    (args.out / f"{plan['name']}.onnx").write_bytes(data)

    print("testing", flush=True)
    tests = by_role["test"]
    join = lambda key: np.concatenate([getattr(part, key) for part in tests])
    y, weight, family, stack = join("y"), join("weight"), join("family"), join("stack")
    own = probability(np.concatenate([raw(part) for part in tests]))
    scores = {"ensemble": own, "logistic": join("baseline"), "rules": np.concatenate([rules(p) for p in tests])}
    unseen_stack = np.isin(stack, plan["unseen_stacks"])
    unseen_family = np.isin(family, plan["unseen_families"])
    sets = {
        "all test calls": np.ones(len(y), bool),
        "known stacks and families": ~unseen_stack & ~unseen_family,
        "stacks not in training": unseen_stack & ~unseen_family,
        "family not in training": unseen_family | (y == 0),
    }
    metrics = {
        # As `scorer model show` and every verdict's metrics give it.
        "id": hashlib.sha256(data).hexdigest()[:16],
        "features": len(used),
        "registry": len(names),
        "trees": TREES,
        "leaves": LEAVES,
        "platt": [a, b],
        "rows": {role: sum(map(len, parts)) for role, parts in by_role.items()},
        "calls": {
            role: sum(int(round(part.weight.sum())) for part in parts) for role, parts in by_role.items()
        },
        "fraud_share": float(np.average(y, weights=weight)),
        "calibrate_pr_auc": float(
            average_precision_score(
                np.concatenate([p.y for p in held]), margin, sample_weight=np.concatenate([p.weight for p in held])
            )
        ),
        "importance": [
            (used[i], float(gain[i] / gain.sum())) for i in np.argsort(-gain)[:15]
        ],
        "test": {},
    }
    metrics["single_features"] = leaks(held[0], columns, used, metrics["calibrate_pr_auc"])
    for name, inside in sets.items():
        if not (y[inside] == 1).any():
            continue
        entry = {"scorers": [], "fraud_calls": {}}
        for scorer, score in scores.items():
            j = judged(scorer, score[inside], y[inside], weight[inside], family[inside])
            if scorer != "rules":
                j["calibration_error"] = calibration_error(score[inside], y[inside], weight[inside])
            entry["scorers"].append(j)
        for f in np.unique(family[inside & (y == 1)]):
            entry["fraud_calls"][str(f)] = int(((family == f) & inside).sum())
        metrics["test"][name] = entry
    (args.out / f"{plan['name']}.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (args.out / f"{plan['name']}.md").write_text(card(plan, metrics), encoding="utf-8")
    for name, entry in metrics["test"].items():
        for j in entry["scorers"]:
            print(f"{name:28} {j['scorer']:10} PR-AUC {j['pr_auc']:.3f} recall {percent(j['recall'])}")
    leaking = [e["feature"] for e in metrics["single_features"] if e["leak"]]
    if leaking:
        print(f"these features give the label away: {', '.join(leaking)}", file=sys.stderr)
        # A trial of a few thousand calls has an ensemble too weak to hold them against.
        return 0 if plan.get("trial") else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
