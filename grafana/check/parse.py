"""Gives every query to the parser of the program that will answer it."""
import json
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import dashboards


def expressions(every, kind):
    """(where, query with sample values) for one type of data source; annotations too."""
    for file, dashboard in every.items():
        values = dashboards.sample(dashboard)
        for panel, target in dashboards.queries(dashboard):
            if target["datasource"]["type"] == kind:
                yield f"{file}/{panel['id']}/{target['refId']}", dashboards.fill(target["expr"], values)
        for annotation in dashboard.get("annotations", {}).get("list", []):
            if annotation["datasource"]["type"] == kind:
                yield f"{file}, annotation {annotation['name']}", dashboards.fill(annotation["target"]["expr"], values)


def promql(every, promtool):
    """As recording rules in one file: one start of promtool instead of one for each query."""
    listed = list(expressions(every, "prometheus"))
    rules = [{"record": f"query:{number}", "expr": expr} for number, (_, expr) in enumerate(listed)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        result = subprocess.run([promtool, "check", "rules", "--lint=none", file.name], capture_output=True, text=True)
    if result.returncode == 0:
        return
    said = [line for line in (result.stdout + result.stderr).splitlines() if "could not parse" in line]
    for number, (place, expr) in enumerate(listed):
        for line in said:
            if f'"query:{number}"' in line:
                yield f"{place}: {line.split('could not parse expression: ')[-1]}: {expr}"
    if not said:
        yield result.stdout + result.stderr


def logql(every, loki_url):
    for place, expr in expressions(every, "loki"):
        url = f"{loki_url}/loki/api/v1/format_query?" + urllib.parse.urlencode({"query": expr})
        try:
            with urllib.request.urlopen(url, timeout=10):
                pass
        except urllib.error.HTTPError as error:
            yield f"{place}: {error.read().decode(errors='replace').strip()}: {expr}"
