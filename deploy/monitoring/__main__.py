"""Writes the files that Prometheus and Grafana are given; `make docs` does the same with all documents.

python -m deploy.monitoring [--check]
"""

import argparse
import sys
from pathlib import Path

from deploy.monitoring.documents import documents

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes alert rules, dashboards and the index of the runbooks.")
    parser.add_argument("--check", action="store_true", help="only say which are out of date")
    only_check = parser.parse_args().check
    stale = [
        name
        for name, content in documents().items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != content
    ]
    for name in stale:
        print(name)
        if not only_check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(documents()[name], encoding="utf-8")
    return int(only_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
