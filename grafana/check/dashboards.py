"""Reads the dashboards and what is provisioned beside them, and fills in variables as Grafana does."""
import json
import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
GRAFANA = PROJECT / "grafana"
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)(?:\.\w+)?(?::([\w-]+))?\}|\[\[(\w+)\]\]")


def read(folder=GRAFANA / "dashboards"):
    """Every dashboard, by the name of its file without its ending."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(Path(folder).glob("*.json"))}


def sources():
    """The provisioned data sources, by uid."""
    file = GRAFANA / "provisioning" / "datasources" / "datasources.yml"
    return {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}


def rules():
    """The alerts, by name; several rules may share one."""
    found = {}
    for file in sorted((PROJECT / "alerts" / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                found.setdefault(rule.get("alert"), []).append(rule)
    found.pop(None, None)
    return found


def empty_in_health():
    """`<uid>/<panel id>` of panels that are empty while nothing is wrong, with the failure type that fills each."""
    return yaml.safe_load((GRAFANA / "check" / "empty-in-health.yml").read_text())


def panels(dashboard):
    """Panels and rows, those inside of collapsed rows included."""
    for panel in dashboard.get("panels", []):
        yield panel
        yield from panel.get("panels", [])


def queries(dashboard):
    """(panel, query) of all that is not hidden."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            if not target.get("hide"):
                yield panel, target


def variables(dashboard):
    """The variables by name, in the order in which they are filled in."""
    return {variable["name"]: variable for variable in dashboard.get("templating", {}).get("list", [])}


def strings(value, path=""):
    """(path, text) of every text in a JSON value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings(inner, f"{path}[{index}]")


def escaped(variable, value):
    """One value inside of a query's double quotes: a regular expression only where several may be chosen."""
    if variable.get("multi") or variable.get("includeAll"):
        return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\" * 4))
    return value.replace("\\", "\\\\").replace('"', '\\"')


def written(variable, chosen):
    """What stands in a query for the chosen values; None means All."""
    if chosen is None:
        return variable["allValue"]
    values = [escaped(variable, value) for value in chosen]
    return values[0] if len(values) == 1 else "(" + "|".join(values) + ")"


def fill(text, values):
    """The text with its variables replaced. Unknown ones stay, as in Grafana."""
    def value(match):
        return values.get(match[1] or match[2] or match[4], match[0])
    return VARIABLE.sub(value, text)


def sample(dashboard):
    """Values good enough for a parser."""
    values = {name: variable.get("allValue") or "x" for name, variable in variables(dashboard).items()}
    intervals = ("__interval", "__rate_interval", "__range", "__auto")
    return {**values, **dict.fromkeys(intervals, "1m"), "__interval_ms": "60000", "__range_s": "60"}
