"""Rules of a dashboard that its types cannot express. Each yields what is wrong, in words."""
import re

import dashboards
from grafana_foundation_sdk.models import units

UNITS = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)}
OWN_UNIT = re.compile(r"(suffix|prefix|time|si|count|currency|bool):.+")
# What only the other format has: files in it are refused by Grafana, and the dashboard is missing.
V2_KEYS = ("apiVersion", "elements", "kind", "layout", "spec")


def where(panel):
    return f"panel {panel.get('id')} ({panel.get('title')})"


def data_sources_are_provisioned(dashboard):
    sources = dashboards.sources()

    def check(holder, name):
        source = holder.get("datasource")
        if not isinstance(source, dict):
            yield f"{name}: datasource must be an object with type and uid, not {source!r}"
        elif source.get("uid") not in sources:
            yield f"{name}: data source {source.get('uid')!r} is not provisioned; there are {', '.join(sources)}"
        elif source.get("type") != sources[source["uid"]]["type"]:
            yield f"{name}: data source {source['uid']} is of type {sources[source['uid']]['type']}, not {source.get('type')}"

    for panel in dashboards.panels(dashboard):
        if panel.get("type") != "row":
            yield from check(panel, where(panel))
        for target in panel.get("targets", []):
            yield from check(target, f"{where(panel)}, query {target.get('refId')}")
    for annotation in dashboard.get("annotations", {}).get("list", []):
        yield from check(annotation, f"annotation {annotation.get('name')}")
    for name, variable in dashboards.variables(dashboard).items():
        if variable["type"] == "query":
            yield from check(variable, f"variable {name}")


def units_exist(dashboard):
    for panel in dashboards.panels(dashboard):
        config = panel.get("fieldConfig", {})
        used = [config.get("defaults", {}).get("unit")]
        for override in config.get("overrides", []):
            used += [item.get("value") for item in override["properties"] if item["id"] == "unit"]
        for unit in filter(None, used):
            if unit not in UNITS and not OWN_UNIT.fullmatch(unit):
                yield f"{where(panel)}: Grafana has no unit {unit!r}"


def panels_do_not_overlap(dashboard):
    taken = {}
    for panel in dashboard.get("panels", []):
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"{where(panel)}: reaches beyond the 24 columns"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if taken.setdefault((x, y), panel) is not panel:
                    yield f"{where(panel)}: lies over {where(taken[x, y])}"
                    return


def ids_are_unique(dashboard):
    seen = set()
    for panel in dashboards.panels(dashboard):
        if not isinstance(panel.get("id"), int) or panel["id"] < 1:
            yield f"{where(panel)}: links need an id above 0"
        elif panel["id"] in seen:
            yield f"{where(panel)}: this id is taken"
        seen.add(panel.get("id"))


def variables_are_defined(dashboard):
    defined = set(dashboards.variables(dashboard))
    regexes = tuple(f"templating.list[{index}].regex" for index in range(len(defined)))
    for path, text in dashboards.strings(dashboard):
        # In a regular expression, and as the second argument of label_replace, a dollar is no variable.
        if path in regexes:
            continue
        for match in dashboards.VARIABLE.finditer(text):
            name = match[1] or match[2] or match[4]
            if not (name in defined or name.startswith("__") or name.isdigit()):
                yield f"{path}: ${name} is not a variable of this dashboard"
            elif match[3] == "regex":
                yield f"{path}: write ${name}: with :regex a value with a dot is refused by the parser"


def is_classic(dashboard):
    if dashboard.get("schemaVersion") != 42:
        yield f"schemaVersion is {dashboard.get('schemaVersion')}, not 42"
    if "id" in dashboard:
        yield "has an id: it belongs to the Grafana it was exported from, remove it"
    for key in V2_KEYS:
        if key in dashboard:
            yield f"has {key}: this is no Classic export, and Grafana refuses it"


def names_are_unique(every):
    for key in ("uid", "title"):
        seen = {}
        for file, dashboard in every.items():
            first = seen.setdefault(dashboard.get(key), file)
            if first != file:
                yield f"{file}.json and {first}.json have the same {key}: {dashboard.get(key)}"
    for file, dashboard in every.items():
        if dashboard.get("uid") != file:
            yield f"{file}.json: its uid is {dashboard.get('uid')}; file and uid have one name"


RULES = (
    data_sources_are_provisioned, units_exist, panels_do_not_overlap, ids_are_unique, variables_are_defined, is_classic,
)


def problems(dashboard):
    for rule in RULES:
        yield from rule(dashboard)
