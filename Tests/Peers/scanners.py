"""Runs one of the other scanners on files, each by its path, and prints what it says of each as JSON.

    python scanners.py picklescan|modelscan|fickling|modelaudit < paths

They parse; nothing is loaded. A verdict is `dangerous` when the scanner reports an issue of any severity above its
lowest, `error` when it says that it could not scan, `skipped` when it says nothing about a file it did not look at,
else `clean`.
"""

import contextlib
import io
import json
import logging
import sys


def picklescan(path: str) -> str:
    from picklescan.scanner import SafetyLevel, scan_file_path

    try:
        result = scan_file_path(path)
    except Exception:  # it lets some of its parser's errors out
        return "error"
    if result.infected_files or result.issues_count:
        return "dangerous"
    if result.scan_err:
        return "error"
    if any(entry.safety == SafetyLevel.Suspicious for entry in result.globals):
        return "suspicious"
    return "clean" if result.scanned_files else "skipped"


def modelscan(path: str) -> str:
    from modelscan.modelscan import ModelScan

    scanner = ModelScan()
    try:
        result = scanner.scan(path)
    except Exception:
        return "error"
    summary = result["summary"]
    severities = summary["total_issues_by_severity"]
    if severities["CRITICAL"] or severities["HIGH"]:
        return "dangerous"
    if severities["MEDIUM"] or severities["LOW"]:
        return "suspicious"
    if result["errors"]:
        return "error"
    return "clean" if summary["scanned"]["total_scanned"] else "skipped"


def fickling(path: str) -> str:
    import zipfile

    from fickling.analysis import Severity
    from fickling.loader import scan_file, scan_zip_archive

    try:
        if zipfile.is_zipfile(path):
            results = list(scan_zip_archive(path, graceful=True).values())
        else:
            results = [scan_file(path, graceful=True)]
    except Exception:
        return "error"
    worst = max((result.severity for result in results), key=lambda severity: severity.value[0], default=None)
    if worst is None:
        return "skipped"
    if worst > Severity.SUSPICIOUS:
        return "dangerous"
    if any(result.errors for result in results):
        return "error"
    return "suspicious" if worst > Severity.LIKELY_SAFE else "clean"


def modelaudit(path: str) -> str:
    from modelaudit.core import scan_model_directory_or_file

    try:
        result = scan_model_directory_or_file(path, timeout=60)
    except Exception:
        return "error"
    severities = {str(getattr(issue.severity, "value", issue.severity)).lower() for issue in result.issues}
    if "critical" in severities:
        return "dangerous"
    if "warning" in severities:
        return "suspicious"
    if result.has_errors:
        return "error"
    return "clean" if result.files_scanned else "skipped"


SCANNERS = {"picklescan": picklescan, "modelscan": modelscan, "fickling": fickling, "modelaudit": modelaudit}


def main():
    scan = SCANNERS[sys.argv[1]]
    logging.disable(logging.CRITICAL)
    verdicts = {}
    for path in sys.stdin.read().splitlines():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            verdicts[path] = scan(path)
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
