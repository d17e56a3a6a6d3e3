"""Reads figures in the OpenMetrics text format with the parser of Prometheus' own Python client, which is strict, and writes
them as JSON: a list of [name, labels, value]."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), f"a family stands twice: {names}"
assert all(family.documentation for family in families), "a family without help"
samples = [[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]
json.dump(samples, sys.stdout)
