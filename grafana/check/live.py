"""Runs every panel's query, its variables filled in, against running data sources, as Grafana would.

Started by check.sh live. PROMETHEUS_URL, LOKI_URL and JAEGER_URL say where the data sources are. A query that returns
nothing fails, unless empty-in-health.yml lists its panel: with --healthy, run while nothing is wrong, such a panel fails
if all its queries have data; with --filled-by <failure type>, run while that failure lasts, exactly those panels must
have data. With --panel <uid>/<panel id> --with <variable>=<value>, as a message links
to it, that panel must; with --since <moment>, it must also look otherwise from then on.
"""
import argparse
import json
import os
import re
import sys
import time

import ask
import dashboards
import links

URLS = {kind: os.environ.get(f"{kind.upper()}_URL", "").rstrip("/") for kind in ask.ASK}
LABEL_VALUES = re.compile(r"label_values\((?:(?P<metric>.+),\s*)?(?P<label>\w+)\)")


def options(variable, values, time_range):
    """What the variable offers now."""
    if variable["type"] != "query":
        return variable["query"].split(",")
    match = LABEL_VALUES.fullmatch(variable["query"]["query"])
    asked = {"start": time_range.start, "end": time_range.end}
    if match["metric"]:
        asked["match[]"] = dashboards.fill(match["metric"], values)
    found = ask.get(f"{URLS['prometheus']}/api/v1/label/{match['label']}/values", asked)["data"]
    pattern = variable.get("regex", "").strip("/").replace("\\/", "/")
    return [value for value in found if re.search(pattern, value)]


def choose(dashboard, time_range, fixed, single=False, used=None):
    """A value for each variable: the fixed, the saved or the first one; All where possible unless a single one is wanted.
    One that none of the texts in `used` names may be without values: a run leaves out what would give it some."""
    values = {}
    for name, variable in dashboards.variables(dashboard).items():
        offered = options(variable, values, time_range)
        if not offered and used is not None and not any(name in text for text in used):
            continue
        if not offered:
            raise ask.Refused(f"the variable ${name} has no values")
        if name in fixed:
            values[name] = dashboards.written(variable, [fixed[name]])
            continue
        saved = variable.get("current", {}).get("value")
        chosen = saved if saved in offered else offered[0]
        values[name] = dashboards.written(variable, None if variable.get("includeAll") and not single else [chosen])
    return values


def has_data(panel, target, time_range, values):
    source = dashboards.sources()[target["datasource"]["uid"]]
    return ask.ASK[source["type"]](URLS[source["type"]], panel, target, source, time_range, values)


def looks_the_same(dashboard, place, time_range, fixed, since):
    """Whether no query of the panel shows that something happened at `since`. Lines and traces have no such moment."""
    asked = [(panel, target) for panel, target in dashboards.queries(dashboard) if f"{dashboard['uid']}/{panel['id']}" == place]
    of_prometheus = [(panel, target) for panel, target in asked if target["datasource"]["type"] == "prometheus"]
    values = choose(dashboard, time_range, fixed, used=[json.dumps(target) for _, target in asked])
    source = dashboards.sources()[asked[0][1]["datasource"]["uid"]]
    changes = (ask.changed(URLS["prometheus"], panel, target, source, time_range, values, since) for panel, target in of_prometheus)
    return bool(of_prometheus) and not any(changes)


def run(dashboard, time_range, wanted, fixed):
    """Yields (panel, query, what is wrong or None) for the wanted panels."""
    asked = [
        (panel, target)
        for panel, target in dashboards.queries(dashboard)
        if f"{dashboard['uid']}/{panel['id']}" in wanted and URLS[target["datasource"]["type"]]
    ]
    if not asked:
        return
    used = [json.dumps(target) for _, target in asked]
    chosen = [choose(dashboard, time_range, fixed, used=used)]
    if any(variable.get("multi") for variable in dashboards.variables(dashboard).values()):
        chosen.append(choose(dashboard, time_range, fixed, single=True, used=used))
    for panel, target in asked:
        try:
            # A single value must be understood; only All must have data.
            found = [has_data(panel, target, time_range, values) for values in chosen]
            yield panel, target, None if found[0] else "no data"
            if target.get("exemplar"):
                ids = ask.exemplars(URLS["prometheus"], target, time_range, chosen[0])
                yield panel, target, links.trace_exists(URLS["jaeger"], ids[0]) if ids else "no exemplars"
        except ask.Refused as error:
            yield panel, target, str(error)


def failures(every, time_range, wanted, may_be_empty, fixed):
    """What is wrong, by panel."""
    found = {}
    for uid, dashboard in every.items():
        for panel, target, problem in run(dashboard, time_range, wanted, fixed):
            place = f"{uid}/{panel['id']}"
            if problem and not (problem == "no data" and place in may_be_empty):
                found.setdefault(place, []).append(f"query {target['refId']}: {problem}")
    return found


def full(every, time_range, listed, fixed):
    """The panels of the list that have data all the same, by panel."""
    problems = {}
    for uid, dashboard in every.items():
        for panel, _, problem in run(dashboard, time_range, listed, fixed):
            problems.setdefault(f"{uid}/{panel['id']}", []).append(problem)
    return {place: ["has data, and empty-in-health.yml lists it"] for place, found in problems.items() if not any(found)}


def other_problems(every, time_range):
    """What is wrong beside the panels: annotations, and the links from one signal to the next."""
    return [*annotations(every, time_range), *links.problems(URLS, time_range)]


def annotations(every, time_range):
    for uid, dashboard in every.items():
        values = choose(dashboard, time_range, {})
        for annotation in dashboard["annotations"]["list"]:
            try:
                has_data({}, {**annotation["target"], "datasource": annotation["datasource"]}, time_range, values)
            except ask.Refused as error:
                yield f"{uid}, annotation {annotation['name']}: {error}"


def report(every, checked, found, others):
    """Prints a line for each panel and each other problem."""
    titles = {f"{uid}/{panel['id']}": panel["title"] for uid, dashboard in every.items() for panel in dashboards.panels(dashboard)}
    for place in checked:
        print(f"{'FAILED ' if place in found else 'ok     '} {place} {titles[place]}")
        for problem in found.get(place, []):
            print(f"        {problem}")
    for problem in others:
        print(f"FAILED  {problem}")
    missing = [kind for kind, url in URLS.items() if not url]
    for kind in missing:
        print(f"SKIPPED: needs {kind.upper()}_URL: panels of {kind}")
    print(f"{len(checked) - len(found)} passed, {len(found) + len(others)} failed, {len(missing)} skipped")
    return bool(found or others)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=int, default=15, help="length of the time range (default 15)")
    arguments.add_argument("--wait", type=int, default=0, help="seconds to wait for what has no data yet (default 0)")
    arguments.add_argument("--healthy", action="store_true", help="nothing is wrong: what is listed as empty must be")
    arguments.add_argument("--filled-by", help="only the panels that this failure type fills")
    arguments.add_argument("--panel", help="only this panel, as <uid>/<panel id>")
    arguments.add_argument("--with", dest="fixed", action="append", default=[], help="a variable's value, as name=value")
    arguments.add_argument("--since", type=float, help="with --panel: the moment of the fault, in seconds of Unix time")
    given = arguments.parse_args()
    if not URLS["prometheus"]:
        arguments.error("PROMETHEUS_URL is not set: without it no variable has a value")

    every, empty = dashboards.read(), dashboards.empty_in_health()
    wanted = [f"{uid}/{panel['id']}" for uid, dashboard in every.items() for panel in dashboards.panels(dashboard) if panel.get("targets")]
    fixed = dict(pair.split("=", 1) for pair in given.fixed)
    if given.filled_by or given.panel:
        filled = [place for place in wanted if empty.get(place) == given.filled_by]
        linked = [place for place in wanted if place == given.panel]
        if given.panel and not linked:
            arguments.error(f"there is no panel {given.panel} with a query")
        wanted, empty = filled if given.filled_by else linked, {}
    deadline = time.monotonic() + given.wait
    while True:
        time_range = ask.Range(time.time(), given.minutes)
        try:
            found, checked = failures(every, time_range, wanted, empty, fixed), wanted
            if given.healthy:
                found |= full(every, time_range, empty, fixed)
            others = [] if given.filled_by or given.panel else other_problems(every, time_range)
            if given.panel and given.since:
                dashboard = every[given.panel.split("/")[0]]
                same = looks_the_same(dashboard, given.panel, time_range, fixed, given.since)
                others = ["it looks as it did before the fault"] if same else []
        except ask.Refused as error:
            found, checked, others = {}, [], [str(error)]
        if not (found or others) or time.monotonic() > deadline:
            break
        time.sleep(2)
    sys.exit(report(every, checked, found, others))


if __name__ == "__main__":
    main()
