"""What dashboards have in common with the rest of the project: alerts, metrics, runbooks, and each other."""
import re

import dashboards

LINK = re.compile(r"/d/([\w-]+)")
ALERT = re.compile(r"`([A-Z]\w+)`")
LIMIT = re.compile(r"(?:[<>]=?|[=!]=)\s*(\d+(?:\.\d+)?)")
SELECTED = re.compile(r"([a-zA-Z_:][\w:]*)\{")
DECLARED = re.compile(r'(?:Counter|Gauge|Histogram)(?:::|<\d+>::)new\(\s*"(\w+)"')
RECORDED = re.compile(r"record:\s*(\S+)")
# Metrics of programs that are not ours, and of the library that measures a process. Running the queries proves these.
FOREIGN = re.compile(r"(alertmanager|jaeger|loki|otelcol|pg|process|prometheus|scrape|traces)_\w+|ALERTS|up")


def declared_metrics():
    """Names that the code declares or the rules record."""
    names = set()
    for folder in ("observability/src", "service/src", "alerts/relay/src"):
        for file in (dashboards.PROJECT / folder).rglob("*.rs"):
            names |= set(DECLARED.findall(file.read_text()))
    for file in [*(dashboards.PROJECT / "prometheus").glob("*.yml"), *(dashboards.PROJECT / "alerts/rules").glob("*.yml")]:
        names |= set(RECORDED.findall(file.read_text()))
    return names


def metrics_exist(every):
    known = declared_metrics()
    for file, dashboard in every.items():
        for panel, target in dashboards.queries(dashboard):
            if target["datasource"]["type"] != "prometheus":
                continue
            for name in SELECTED.findall(target["expr"]):
                plain = re.sub(r"_(bucket|count|sum)$", "", name)
                if not {name, plain} & known and not FOREIGN.fullmatch(name):
                    yield f"{file}/{panel['id']}: no metric is declared as {name}"


def links_lead_somewhere(every):
    uids = {dashboard["uid"] for dashboard in every.values()}
    for file, dashboard in every.items():
        for path, text in dashboards.strings(dashboard):
            for uid in LINK.findall(text) if path.endswith("url") else ():
                if uid not in uids:
                    yield f"{file}: {path} leads to the dashboard {uid}, which does not exist"
        if not any(link.get("type") == "dashboards" for link in dashboard.get("links", [])):
            yield f"{file}: has no links to the other dashboards"


def thresholds_are_those_of_alerts(every):
    alerts = dashboards.rules()
    for file, dashboard in every.items():
        for panel in dashboards.panels(dashboard):
            here = f"{file}/{panel['id']}"
            named = [name for name in ALERT.findall(panel.get("description", "")) if name.isalnum()]
            for name in named:
                if name not in alerts:
                    yield f"{here}: the description names the alert {name}, which does not exist"
            limits = {float(number) for name in named for rule in alerts.get(name, []) for number in LIMIT.findall(rule["expr"])}
            steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
            for value in (step["value"] for step in steps if step["value"] is not None):
                if value not in limits:
                    yield f"{here}: no alert that the description names has the limit {value:g}"


def panels_say_what_to_do(every):
    for file, dashboard in every.items():
        for panel in dashboards.panels(dashboard):
            if panel["type"] != "row" and not panel.get("description"):
                yield f"{file}/{panel['id']}: has no description"


def lists_name_panels(every):
    """`empty-in-health.yml`, and the annotation `dashboard` of the rules."""
    known = {f"{dashboard['uid']}/{panel['id']}" for dashboard in every.values() for panel in dashboards.panels(dashboard)}
    for panel, failure_type in dashboards.empty_in_health().items():
        if panel not in known:
            yield f"empty-in-health.yml: there is no panel {panel}"
        if not (dashboards.PROJECT / "alerts" / "runbooks" / f"{failure_type}.md").exists():
            yield f"empty-in-health.yml: {panel} is filled by {failure_type}, which has no runbook"
    for name, rules in dashboards.rules().items():
        for panel in {rule["annotations"].get("dashboard") for rule in rules} - {None}:
            if panel not in known:
                yield f"alert {name}: its dashboard {panel} is no panel"


def dollars_survive_provisioning(_every):
    for file in sorted((dashboards.GRAFANA / "provisioning").rglob("*.yml")):
        content = dashboards.yaml.safe_load(file.read_text())
        for path, text in dashboards.strings(content):
            if "$" in text.replace("$$", ""):
                yield f"{file.name}: {path} has a single dollar, which Grafana takes for an environment variable"


RULES = (
    metrics_exist, links_lead_somewhere, thresholds_are_those_of_alerts, panels_say_what_to_do, lists_name_panels,
    dollars_survive_provisioning,
)
