"""Files that are proved to run code must be dangerous, and honest files of the same shapes must not.

ATTACK_SEED    other files than those of the gate; "new" takes the time
ATTACK_SHARE   how many of each recipe: 1 in the gate
"""

import collections
import json
import os
import sys
import time

import honest_twins
import pytest
import running
import sandbox
from attack_kinds import KINDS
from attacks import make

GROUPS = {"streams": (1, 2, 3, 7), "archives": (4, 6, 9, 15, 16), "arrays": (5, 14), "values": (8, 10, 11)}
SEED = os.environ.get("ATTACK_SEED", "19")
SEED = int(time.time()) if SEED == "new" else int(SEED)
SHARE = float(os.environ.get("ATTACK_SHARE", "1"))


@pytest.fixture
def scratch(folder, figures):
    """A folder in which the sandbox works."""
    if reason := sandbox.refusal(folder):
        figures(f"attacks: not loaded, since this machine allows no sandbox: {reason}")
        pytest.skip(f"bwrap cannot make its namespaces here: {reason}")
    return folder


@pytest.mark.parametrize("group", GROUPS)
def test_files_that_run_code_are_dangerous(decant, scratch, figures, group):
    attacks = make(SEED, SHARE, GROUPS[group])
    paths = running.prove(attacks, scratch, sys.executable)
    found = running.verdicts(decant, scratch / "files", paths)
    recipes = collections.defaultdict(list)
    missed = []
    for attack in attacks:
        recipes[attack.kind, attack.recipe].append(attack)
        if (attack.succeeded() or attack.argued) and not attack.found(found[attack.label]):
            loaders = sorted({result["loader"] for result in attack.results if result["ran"]})
            missed.append(f"{attack.label}: {found[attack.label]}; runs in: {', '.join(loaders) or attack.argued}")
    for kind in GROUPS[group]:
        listed = [attack for attack in attacks if attack.kind == kind]
        ran = [attack for attack in listed if attack.succeeded()]
        argued = [attack for attack in listed if attack.argued and not attack.succeeded()]
        verdicts = collections.Counter(found[attack.label] for attack in ran + argued)
        figures(
            f"attacks, seed {SEED}, kind {kind}, {KINDS[kind]}: {len(ran)} ran, {len(argued)} argued from source, "
            f"{len(listed) - len(ran) - len(argued)} did not run: "
            + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        )
    for (kind, recipe), listed in recipes.items():
        ran = sum(attack.succeeded() or bool(attack.argued) for attack in listed)
        assert 2 * ran >= len(listed), f"kind {kind}, {recipe}: {ran} of {len(listed)} ran: {listed[0].results}"
    assert not missed, f"seed {SEED}: {len(missed)} files run code and are not found:\n" + "\n".join(missed)


def test_there_are_enough_attacks():
    made = make(SEED, 1)
    assert len(made) >= 200
    assert {attack.kind for attack in made} == set(KINDS)
    assert sum(bool(attack.argued) for attack in made) <= 20


def test_honest_files_do_not_alarm(decant, folder, figures):
    (folder / "files").mkdir()
    allowed = honest_twins.write(folder / "files", SEED)
    done = decant.attempt("scan", "--json", folder / "files")
    found = {entry["file"]: entry for entry in json.loads(done.output)["files"]}
    assert set(found) == set(allowed)
    counts = collections.Counter(entry["verdict"] for entry in found.values())
    figures(
        f"attacks, honest files of the same shapes: {len(found)}: "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    )
    alarms = [
        f"{path.relative_to(folder)}: {found[name]['verdict']}, {[finding['what'] for finding in found[name]['findings']][:2]}"
        for name, (verdicts, path) in allowed.items()
        if found[name]["verdict"] not in verdicts
    ]
    assert not alarms, "\n".join(alarms)
