"""The checks, checked: a good dashboard, broken in one way at a time."""
import copy

import agree
import lint
import parse
import schema


def defaults(dashboard):
    return timeseries(dashboard)["fieldConfig"]["defaults"]


def timeseries(dashboard):
    return next(panel for panel in dashboard["panels"] if panel["type"] == "timeseries")


def renamed(old, new):
    def rename(value):
        value[new] = value.pop(old)
    return rename


def put(key, value):
    return lambda target: target.update({key: value})


# What is broken, where, how.
WAYS = (
    ("a misspelt key of a drawing option", lambda d: defaults(d)["custom"], renamed("lineWidth", "linewidth")),
    ("a misspelt key of a field option", defaults, renamed("unit", "units")),
    ("an unknown type of panel", timeseries, put("type", "timeserie")),
    ("a data source that is not provisioned", timeseries, put("datasource", {"type": "prometheus", "uid": "mimir"})),
    ("a data source as plain text", timeseries, put("datasource", "prom")),
    ("a misspelt unit", defaults, put("unit", "secs")),
    ("panels on top of each other", timeseries, lambda panel: panel["gridPos"].update(y=0)),
    ("a panel of the old kind graph", timeseries, put("type", "graph")),
    ("a variable that is not defined", lambda d: timeseries(d)["targets"][0], put("expr", 'up{env="$nowhere"}')),
    ("an id used twice", timeseries, put("id", 1)),
    ("no schemaVersion", lambda d: d, lambda dashboard: dashboard.pop("schemaVersion")),
    ("an unknown value of a panel option", lambda d: timeseries(d)["options"]["tooltip"], put("mode", "several")),
    ("an unknown value of a drawing option", lambda d: defaults(d)["custom"], put("showPoints", "sometimes")),
    ("PromQL that does not parse", lambda d: timeseries(d)["targets"][0], put("expr", "sum(rate(up[5m])")),
    ("a misspelt key of a query", lambda d: timeseries(d)["targets"][0], renamed("legendFormat", "legend")),
    ("a misspelt panel option", lambda d: timeseries(d)["options"], renamed("tooltip", "tooltips")),
    ("a misspelt key of the dashboard", lambda d: d, renamed("graphTooltip", "graphTooltips")),
    # What only a comparison with the rest of the project shows.
    ("the uid of another dashboard", lambda d: d, put("uid", "service")),
    ("an export in the newer format", lambda d: d, put("elements", {})),
    ("a metric that nobody has", lambda d: timeseries(d)["targets"][0], put("expr", "sum(orders_lost_total{})")),
    ("a link to no dashboard", lambda d: timeseries(d)["fieldConfig"]["defaults"]["links"][0], put("url", "/d/servise")),
    ("a threshold that no alert has", defaults, put("thresholds", {"mode": "absolute", "steps": [{"color": "red", "value": 7}]})),
    ("a panel without description", timeseries, put("description", "")),
)


def problems(every, file, validator, promtool):
    """All that is wrong with one dashboard and its relations to the others, as far as the tools at hand can tell."""
    yield from lint.problems(every[file])
    for rule in (lint.names_are_unique, *agree.RULES):
        yield from rule(every)
    if validator:
        yield from schema.problems(validator, every[file])
    if promtool:
        yield from parse.promql({file: every[file]}, promtool)


def results(every, file, validator, promtool):
    """(what was broken, whether that was noticed)"""
    before = set(problems(every, file, validator, promtool))
    for name, find, damage in WAYS:
        dashboard = copy.deepcopy(every[file])
        damage(find(dashboard))
        yield name, bool(set(problems({**every, file: dashboard}, file, validator, promtool)) - before)
