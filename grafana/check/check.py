"""Checks the dashboards without a Grafana. Started by check.sh, which gets what it needs."""
import argparse
import os
import shutil
import sys

import agree
import broken
import change
import dashboards
import lint
import parse
import schema


class Outcome:
    """One line a check, and the counts of all."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, problems):
        problems = list(problems)
        print(f"{'FAILED ' if problems else 'ok     '} {name}")
        for problem in problems:
            print(f"        {problem}")
        self.failed += bool(problems)
        self.passed += not problems

    def skip(self, name, needs):
        print(f"SKIPPED: needs {needs}: {name}")
        self.skipped += 1


def words(rule):
    return rule.__name__.replace("_", " ")


def check(outcome, validator, promtool, loki_url):
    every = dashboards.read()
    for file, dashboard in every.items():
        for rule in lint.RULES:
            outcome.add(f"{file}: {words(rule)}", rule(dashboard))
        if validator:
            outcome.add(f"{file}: fits Grafana's types", schema.problems(validator, dashboard))
        else:
            outcome.skip(f"{file}: fits Grafana's types", "node")
    for rule in (lint.names_are_unique, *agree.RULES):
        outcome.add(words(rule), rule(every))
    if promtool:
        outcome.add("PromQL parses", parse.promql(every, promtool))
    else:
        outcome.skip("PromQL parses", "promtool")
    if loki_url:
        outcome.add("LogQL parses", parse.logql(every, loki_url))
    else:
        outcome.skip("LogQL parses", "LOKI_URL")
    for name, right in change.results():
        outcome.add(f"judged rightly: {name}", () if right else ["a fault would be seen where none is, or overlooked"])
    if validator and promtool:
        for name, noticed in broken.results(every, "overview", validator, promtool):
            outcome.add(f"noticed: {name}", () if noticed else ["nothing complained"])
    else:
        outcome.skip("breaking a dashboard is noticed", "node and promtool")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--schema", help="JSON Schema of a dashboard; without it that check is skipped")
    schema_file = arguments.parse_args().schema
    outcome = Outcome()
    check(
        outcome,
        schema.load(schema_file) if schema_file else None,
        shutil.which(os.environ.get("PROMTOOL", "promtool")),
        os.environ.get("LOKI_URL"),
    )
    print(f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped")
    sys.exit(bool(outcome.failed))


if __name__ == "__main__":
    main()
