"""Follows the links from one signal to the next as the provisioned data sources make them."""
import re

import ask
import dashboards


def trace_exists(jaeger_url, trace_id):
    """None, or why the link to the trace would be dead."""
    if not jaeger_url:
        return None
    try:
        ask.get(f"{jaeger_url}/api/traces/{trace_id}", {})
        return None
    except ask.Refused as error:
        return f"the trace {trace_id} cannot be opened: {error}"


def newest_trace(urls, time_range, service="orders"):
    asked = {"service": service, "limit": 1, "start": int(time_range.start * 1e6), "end": int(time_range.end * 1e6)}
    found = ask.get(f"{urls['jaeger']}/api/traces", asked)["data"]
    return found[0] if found else None


def tags(trace, wanted, joined):
    """The span's and its process's tags under the names of the other signal; those it lacks are left out."""
    root = trace["spans"][0]
    known = {tag["key"]: tag["value"] for tag in [*trace["processes"][root["processID"]]["tags"], *root["tags"]]}
    known["service.name"] = trace["processes"][root["processID"]]["serviceName"]
    return joined.join(f'{tag["value"]}="{known[tag["key"]]}"' for tag in wanted if tag["key"] in known)


def unescaped(text):
    """As Grafana reads it from the provisioning file."""
    return text.replace("$$", "$")


def lines_of_span(urls, trace, settings, time_range):
    query = unescaped(settings["query"]).replace("${__tags}", tags(trace, settings["tags"], ", "))
    query = query.replace("${__trace.traceId}", trace["traceID"])
    asked = {"query": query, "start": int(time_range.start * 1e9), "end": int(time_range.end * 1e9), "limit": 100}
    streams = ask.get(f"{urls['loki']}/loki/api/v1/query_range", asked)["data"]["result"]
    return query, streams


def problems(urls, time_range):
    """What is wrong with: span -> its lines, line -> its trace, trace -> metrics."""
    if not urls["jaeger"]:
        return
    trace = newest_trace(urls, time_range)
    if not trace:
        yield "Jaeger has no trace to start from"
        return
    sources = dashboards.sources()
    if urls["loki"]:
        query, streams = lines_of_span(urls, trace, sources["jaeger"]["jsonData"]["tracesToLogsV2"], time_range)
        field = sources["loki"]["jsonData"]["derivedFields"][0]
        ids = {stream["stream"].get(field["matcherRegex"]) for stream in streams}
        if ids != {trace["traceID"]}:
            yield f"span to lines: {query} finds lines of {ids or 'nothing'}"
    settings = sources["jaeger"]["jsonData"]["tracesToMetrics"]
    for query in settings["queries"]:
        expr = re.sub(r"\$__tags", lambda _: tags(trace, settings["tags"], ", "), unescaped(query["query"]))
        if not ask.get(f"{urls['prometheus']}/api/v1/query", {"query": expr, "time": time_range.end})["data"]["result"]:
            yield f"trace to metrics: {expr} returns nothing"
