"""Asks the data sources what Grafana's panels would ask: the same addresses, the same steps and intervals."""
import json
import math
import shlex
import urllib.error
import urllib.parse
import urllib.request

import change
import dashboards

MAX_POINTS = 500  # Grafana takes the panel's width in pixels
DEFAULT_MIN_STEP = 15_000
# Up to this many milliseconds, a step is rounded to that many.
ROUNDED = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, 1000), (3500, 2000), (7500, 5000),
    (12500, 10000), (17500, 15000), (25000, 20000), (45000, 30000), (90000, 60000), (210000, 120000), (450000, 300000),
)


class Refused(Exception):
    """The data source answered with an error: what it said."""


def get(url, parameters, post=False):
    encoded = urllib.parse.urlencode(parameters)
    request = urllib.request.Request(url, data=encoded.encode()) if post else f"{url}?{encoded}"
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(f"{error.code} {error.read().decode(errors='replace').strip()[:300]}") from error
    except OSError as error:
        raise Refused(f"{url} does not answer: {error}") from error


def milliseconds(text):
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
    number = text.rstrip("hms")
    return int(number) * units[text[len(number):]]


def rounded(wanted):
    return next((step for limit, step in ROUNDED if wanted < limit), 600_000)


class Range:
    """A time range ending now, and what Grafana's interval variables are in it."""

    def __init__(self, now, minutes):
        self.end = now
        self.start = now - minutes * 60

    def step(self, panel, target, source):
        """(step, interval, shortest step), in milliseconds."""
        scrape = milliseconds(source.get("jsonData", {}).get("timeInterval", "15s"))
        shortest = milliseconds(target["interval"]) if "interval" in target else scrape
        span = (self.end - self.start) * 1000
        points = panel.get("maxDataPoints", MAX_POINTS)
        interval = max(rounded(span / points), milliseconds(panel["interval"]) if "interval" in panel else scrape)
        wanted = shortest if "interval" in target else interval
        return max(rounded(span / points), wanted, rounded(span / 11_000)), interval, shortest

    def variables(self, step, interval, shortest):
        seconds = int(self.end - self.start)
        rate = max(interval + shortest, 4 * shortest)
        return {
            "__interval": f"{step}ms", "__interval_ms": str(step), "__auto": f"{step}ms", "__rate_interval": f"{rate}ms",
            "__range": f"{seconds}s", "__range_s": str(seconds), "__range_ms": str(seconds * 1000),
        }


def prometheus(url, panel, target, source, time_range, values):
    """Whether there is at least one number. NaN, as of a quantile of nothing, is none."""
    step, *rest = time_range.step(panel, target, source)
    expr = dashboards.fill(target["expr"], {**values, **time_range.variables(step, *rest)})
    if target.get("instant"):
        result = get(f"{url}/api/v1/query", {"query": expr, "time": time_range.end}, post=True)
        samples = [series["value"] for series in result["data"]["result"]]
    else:
        samples = [sample for series in over_time(url, expr, time_range, step) for sample in series]
    return any(value != "NaN" for _, value in samples)


def over_time(url, expr, time_range, step):
    """The samples of each series, a step of milliseconds apart."""
    seconds = step / 1000
    start, end = (math.floor(moment / seconds) * seconds for moment in (time_range.start, time_range.end))
    asked = {"query": expr, "start": start, "end": end, "step": seconds}
    return [series["values"] for series in get(f"{url}/api/v1/query_range", asked, post=True)["data"]["result"]]


def changed(url, panel, target, source, time_range, values, since):
    """Whether what Prometheus draws changes at `since`. A single number is compared with what it was."""
    step, *rest = time_range.step(panel, target, source)
    expr = dashboards.fill(target["expr"], {**values, **time_range.variables(step, *rest)})
    return change.shows(over_time(url, expr, time_range, step), since, time_range.end, step / 1000)


def exemplars(url, target, time_range, values):
    """Trace ids of the exemplars that the panel would draw, newest first."""
    step = {"__rate_interval": "60s", "__interval": "15s"}
    asked = {"query": dashboards.fill(target["expr"], {**values, **step}), "start": time_range.start, "end": time_range.end}
    series = get(f"{url}/api/v1/query_exemplars", asked)["data"]
    found = [exemplar for one in series for exemplar in one["exemplars"]]
    return [exemplar["labels"]["trace_id"] for exemplar in sorted(found, key=lambda one: -one["timestamp"])]


def loki(url, panel, target, source, time_range, values):
    step, *rest = time_range.step(panel, target, {})
    asked = {
        "query": dashboards.fill(target["expr"], {**values, **time_range.variables(step, *rest)}),
        "direction": "backward", "limit": target.get("maxLines", source["jsonData"]["maxLines"]), "step": f"{step}ms",
        "start": int(time_range.start * 1e9), "end": int(time_range.end * 1e9),
    }
    return bool(get(f"{url}/loki/api/v1/query_range", asked)["data"]["result"])


def jaeger(url, _panel, target, _source, time_range, values):
    asked = {key: dashboards.fill(str(target[key]), values) for key in ("service", "operation", "limit") if key in target}
    if "tags" in target:
        asked["tags"] = json.dumps(dict(pair.split("=", 1) for pair in shlex.split(dashboards.fill(target["tags"], values))))
    asked |= {"start": int(time_range.start * 1e6), "end": int(time_range.end * 1e6)}
    return bool(get(f"{url}/api/traces", asked)["data"])


ASK = {"prometheus": prometheus, "loki": loki, "jaeger": jaeger}
