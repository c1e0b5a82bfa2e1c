"""Renders the chart with Helm's own engine and judges what comes out: python3 helm.py CHART OUT

Each file of CHART/cases is rendered into OUT/CASE.json, a list of objects, and each object is judged by the schemas of
Kubernetes. Values that must be refused are refused with the words that help."""

import json
import pathlib
import sys

import helm_python as helm
import kubernetes_validate
import yaml

KUBERNETES = ["1.29", "1.33", "1.37"]

# Kinds of the Prometheus operator: Kubernetes has no schema of theirs.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}

WRONG = [
    ({}, ["secrets.pepper.name", "openssl rand -hex 32", "secrets.store.name", "gateway.config"]),
    ({"secrets": {"store": {"name": "x"}}}, ["secrets.pepper.name"]),
    ({"gateway": {"kind": "Deployment"}}, ["gateway.journal.acceptLoss"]),
    ({"gateway": {"terminationGracePeriodSeconds": 20}}, ["terminationGracePeriodSeconds", "40"]),
    ({"gateway": {"replicas": 3}}, ["secrets.redis.name"]),
    ({"gateway": {"kind": "DaemonSet"}}, ["/gateway/kind"]),
    ({"gateway": {"replcas": 3}}, ["replcas"]),
    ({"kafka": {"brokers": "kafka"}}, ["/kafka/brokers"]),
    ({"image": {"digest": "latest"}}, ["/image/digest"]),
]


def laid_over(below, above):
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {key: laid_over(below.get(key), above[key]) if key in above else below[key] for key in {*below, *above}}


def objects(manifests):
    texts = [text for name, text in sorted(manifests.items()) if not name.endswith("NOTES.txt")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def judge(chart, case, out):
    values = yaml.safe_load(case.read_text())
    linted = helm.lint(str(case.parent.parent), values, strict=True)
    worse = [message for message in linted["messages"] if message["severity"] > 1]
    assert not worse and not linted["errors"], f"{case.name}: {linted}"
    rendered = objects(chart.render(values, name="shop", namespace="tollgate"))
    for one in rendered:
        if one["kind"] in CUSTOM:
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(one, version, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in rendered]
    assert len(names) == len(set(names)), f"{case.name}: two objects of one name"
    (out / f"{case.stem}.json").write_text(json.dumps(rendered))
    return len(rendered)


def refuse(chart, complete, values, words):
    values = values if not values else laid_over(complete, values) if "secrets" not in values else values
    try:
        chart.validate_schema(chart.merge_values(values))
        chart.render(values, name="shop", namespace="tollgate")
    except helm.HelmError as error:
        said = f"{error} {getattr(error, 'detail', '')}"
        missing = [word for word in words if word not in said]
        assert not missing, f"{values}: {missing} is not in: {said}"
    else:
        raise AssertionError(f"{values} is not refused")


def main():
    path, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with helm.Chart.load(str(path)) as chart:
        cases = sorted((path / "cases").glob("*.yaml"))
        judged = sum(judge(chart, case, out) for case in cases)
        complete = yaml.safe_load((path / "cases/http.yaml").read_text())
        for values, words in WRONG:
            refuse(chart, complete, values, words)
    print(f"{len(cases)} cases, {judged} objects, {len(WRONG)} faults told")


main()
