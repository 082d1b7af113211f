import json
from pathlib import Path

from tests.cli.helpers import Invoke


def test_an_empty_root_says_what_to_type(invoke: Invoke, root: Path) -> None:
    shown = invoke("bundles", "list")
    assert shown.exit_code == 0
    assert str(root) in shown.stdout
    assert "rustybt demo" in shown.stdout


def test_an_empty_root_is_an_empty_json_list(invoke: Invoke) -> None:
    assert json.loads(invoke("bundles", "list", "--json").stdout) == []


def test_list_shows_every_bundle(invoke: Invoke, bundle: str, prices: Path) -> None:
    invoke("ingest", "csv", prices, "--bundle", "other", "--symbols", "AAA")
    shown = invoke("bundles", "list").stdout.splitlines()
    assert shown[0].split() == [
        "bundle", "symbols", "bars", "first", "last", "freq.", "quality", "versions",
    ]  # fmt: skip
    assert [line.split() for line in shown[1:]] == [
        ["other", "1", "40", "2020-01-02", "2020-02-28", "1d", "1.0000", "1"],
        ["small", "2", "80", "2020-01-02", "2020-02-28", "1d", "1.0000", "1"],
    ]


def test_list_as_json_has_the_metadata(invoke: Invoke, bundle: str) -> None:
    (record,) = json.loads(invoke("bundles", "list", "--json").stdout)
    assert record["bundle_name"] == bundle
    assert record["symbols"] == ["AAA", "BBB"]
    assert record["row_count"] == 80
    assert record["versions"] == 1


def test_list_goes_on_after_a_damaged_bundle(
    invoke: Invoke, bundle: str, version: Path, prices: Path
) -> None:
    invoke("ingest", "csv", prices, "--bundle", "zzz")
    (version / "assets.parquet").unlink()
    shown = invoke("bundles", "list")
    assert shown.exit_code == 0
    assert "small is damaged" in shown.stdout
    assert "assets.parquet is missing" in shown.stdout
    assert [r.get("error") is None for r in _listed(invoke)] == [False, True]


def _listed(invoke: Invoke) -> list[dict[str, object]]:
    records: list[dict[str, object]] = json.loads(invoke("bundles", "list", "--json").stdout)
    return records


def test_info_shows_assets_and_versions(invoke: Invoke, bundle: str, prices: Path) -> None:
    invoke("ingest", "csv", prices, "--bundle", bundle)
    shown = invoke("bundles", "info", bundle).stdout
    assert "0  AAA     XNYS      2020-01-02  2020-02-28" in shown
    newest, oldest = shown.partition("Versions")[2].splitlines()[2:]
    assert "*" in newest
    assert "*" not in oldest


def test_info_as_json_is_one_object(invoke: Invoke, bundle: str) -> None:
    record = json.loads(invoke("bundles", "info", bundle, "--json").stdout)
    assert [asset["symbol"] for asset in record["assets"]] == ["AAA", "BBB"]
    assert len(record["versions"]) == 1
    assert record["coverage"] == []


def test_a_timestamp_picks_the_version(
    invoke: Invoke, bundle: str, version: Path, prices: Path
) -> None:
    when = version.name.replace(";", ":")
    invoke("ingest", "csv", prices, "--bundle", bundle, "--symbols", "AAA")
    old = json.loads(invoke("bundles", "info", bundle, "--bundle-timestamp", when, "--json").stdout)
    assert old["symbols"] == ["AAA", "BBB"]
    assert old["path"] == str(version)


def test_an_unknown_bundle_names_the_known_ones(invoke: Invoke, bundle: str) -> None:
    done = invoke("bundles", "info", "nope")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: there is no bundle 'nope'")
    assert "there are: small" in done.stderr
