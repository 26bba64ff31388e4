"""Are the dashboards and alert rules what Grafana 11.6 reads? Reads each file into the types of grafana-foundation-sdk and
writes it back: what Grafana's schema does not know is lost on the way.

Covers the names and the nesting of every field of dashboards, panels, options, field configurations, variables, Prometheus
queries, and of provisioned alert rules. Does not cover the words of closed lists (Python reads any), the queries of the
ClickHouse plugin (the schema has no type for them; tests/src/dashboards runs them), nor how Grafana draws.

    python3 tests/dashboards/check.py dashboards/grafana
"""

import copy
import json
import pathlib
import sys

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.alerting import Rule
from grafana_foundation_sdk.models.dashboard import Dashboard

# What only provisioning files have: the SDK has the types of the API.
OF_FILES = {"isPaused"}


def differences(said, read, path=""):
    """Every place of `said` that `read` lacks or has otherwise."""
    if isinstance(said, dict):
        if not isinstance(read, dict):
            yield f"{path} is {type(read).__name__}"
            return
        for key, value in said.items():
            if key not in read:
                yield f"{path}/{key} is unknown"
            else:
                yield from differences(value, read[key], f"{path}/{key}")
    elif isinstance(said, list):
        if not isinstance(read, list) or len(said) != len(read):
            yield f"{path} has another length"
            return
        for at, (one, other) in enumerate(zip(said, read)):
            yield from differences(one, other, f"{path}/{at}")
    elif said != read:
        yield f"{path} is {said!r}, read as {read!r}"


def wrong(kind, said):
    """What the SDK's type does not take of a value."""
    try:
        read = json.loads(JSONEncoder(sort_keys=True).encode(kind.from_json(copy.deepcopy(said))))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"can't be read: {error}"]
    return list(differences(said, read))


def files(folder):
    """Each dashboard and each rule: its name, its type, its value."""
    for path in sorted(folder.glob("*.json")):
        yield path.name, Dashboard, json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((folder / "provisioning" / "alerting").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield f"{path.name}, {rule['uid']}", Rule, {key: value for key, value in rule.items() if key not in OF_FILES}


def controls(folder):
    """Spoilt copies of a dashboard that this check must refuse."""
    board = json.loads((folder / "fleet.json").read_text(encoding="utf-8"))
    panel = next(panel for panel in board["panels"] if panel["type"] == "stat")
    spoilt = [
        (panel, "gridPoz", panel["gridPos"]),
        (panel["options"], "colourMode", "value"),
        (panel["fieldConfig"]["defaults"], "units", "short"),
        (board["templating"]["list"][0], "querry", "prometheus"),
        (board, "panels", {}),
    ]
    for place, key, value in spoilt:
        before = place.get(key)
        place[key] = value
        yield key, wrong(Dashboard, board)
        if before is None:
            del place[key]
        else:
            place[key] = before


def main():
    register_default_plugins()
    folder = pathlib.Path(sys.argv[1])
    found = [(name, wrong(kind, said)) for name, kind, said in files(folder)]
    failed = 0
    for name, faults in found:
        for fault in faults:
            failed += 1
            print(f"{name}: {fault}", file=sys.stderr)
    for key, faults in controls(folder):
        if not faults:
            failed += 1
            print(f"this check would not see a wrong {key}", file=sys.stderr)
    if not found or failed:
        return 1
    print(f"{len(found)} dashboards and rules are as Grafana reads them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
