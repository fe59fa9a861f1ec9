"""The checks, checked: a good dashboard, broken in one way at a time."""
import copy

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
)


def problems(dashboard, validator, promtool):
    """All that is wrong with one dashboard, as far as the tools at hand can tell."""
    yield from lint.problems(dashboard)
    if validator:
        yield from schema.problems(validator, dashboard)
    if promtool:
        yield from parse.promql({"broken": dashboard}, promtool)


def results(good, validator, promtool):
    """(what was broken, whether that was noticed)"""
    before = set(problems(good, validator, promtool))
    for name, find, damage in WAYS:
        dashboard = copy.deepcopy(good)
        damage(find(dashboard))
        yield name, bool(set(problems(dashboard, validator, promtool)) - before)
