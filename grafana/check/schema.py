"""Compares a dashboard with the JSON Schema made of Grafana's own types."""
import json

import jsonschema


def load(path):
    with open(path) as file:
        return jsonschema.Draft7Validator(json.load(file))


def problems(validator, dashboard):
    for error in validator.iter_errors(dashboard):
        yield from narrow(error)


def narrow(error):
    """Of the kinds a panel may be, only the one it says it is: the others differ in everything."""
    branches = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    if not branches:
        yield f"{path(error)}: {error.message[:200]}"
        return
    meant = [errors for errors in branches.values() if not any(map(is_another_kind, errors))]
    if meant:
        for inner in min(meant, key=len):
            yield from narrow(inner)
    else:
        kinds = sorted(inner.validator_value for inner in error.context if is_another_kind(inner))
        yield f"{path(error)}: type must be one of {', '.join(dict.fromkeys(kinds))}; for another, extend dashboard.ts"


def is_another_kind(error):
    return error.validator == "const" and error.path[-1] == "type"


def path(error):
    return ".".join(map(str, error.absolute_path)) or "dashboard"
