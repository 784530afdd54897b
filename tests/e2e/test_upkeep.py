"""Verifying, repairing and pruning a store, through the installed commands."""

from __future__ import annotations

import os
import time

from actors import Lab, files_below


def given_an_uploaded_tree(lab: Lab) -> None:
    code = lab.code(lab.laptop)
    for number in range(30):
        (code / f"m{number}.py").write_bytes(os.urandom(5000))
    lab.laptop.report("upload")


def bundles(lab: Lab) -> list[str]:
    return [name for name in lab.store.names() if "/bundles/" in name]


def test_a_healthy_store_is_sound_and_a_prune_deletes_nothing(lab: Lab) -> None:
    given_an_uploaded_tree(lab)
    for words in (("verify",), ("verify", "--quick")):
        said = lab.laptop.run(*words)
        assert (said.code, said.err) == (0, "")
    before = lab.store.names()
    found = lab.laptop.report("prune")
    assert (found["deleted"], lab.store.names()) == ({}, before)


def test_damage_is_found_and_repaired(lab: Lab) -> None:
    given_an_uploaded_tree(lab)
    (name,) = bundles(lab)
    data = lab.store.read(name)
    lab.store.write(name, data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    assert lab.laptop.run("verify", "--quick").code == 0
    said = lab.laptop.run("verify")
    assert said.code == 6
    assert f"damaged  {name}: " in said.out
    assert "30 files cannot be written: m0.py, m1.py, m10.py, …" in said.out
    assert "`epic-synccode upload alpha --repair`" in said.err
    assert lab.machine.run("download").code == 6
    assert lab.laptop.run("upload").code == 0, "an upload that finds nothing changed does not look"
    assert lab.machine.run("download").code == 6
    assert "stored anew  (30 files)" in lab.laptop.run("upload", "--repair").out
    assert lab.machine.run("download").code == 0
    assert files_below(lab.tree(lab.machine)) == files_below(lab.code(lab.laptop))
    losses = lab.laptop.run("verify", "--json").document["losses"]
    assert [(loss["sequence"], loss["is_current"]) for loss in losses] == [(1, False)]


def test_what_a_killed_upload_left_goes_when_it_is_old(local: Lab) -> None:
    given_an_uploaded_tree(local)
    folder = local.store.folder
    assert folder is not None
    left = folder / "ann" / "bundles" / ("0" * 64)
    left.write_bytes(b"left by a writer that was killed")
    assert local.laptop.report("prune")["kept"]["young"] == {"bundles": {"objects": 1, "size_bytes": 32}}
    two_days_ago = time.time() - 2 * 86400
    os.utime(left, (two_days_ago, two_days_ago))
    assert "would be deleted  1 object, 32 B" in local.laptop.run("prune", "--dry-run").out
    assert left.exists()
    assert "deleted  1 object, 32 B" in local.machine.run("prune").out
    assert not left.exists()
    assert local.machine.run("download").code == 0
    assert local.laptop.run("verify").code == 0


def test_a_verification_on_a_vm_tells_of_edits_which_are_no_damage(local: Lab) -> None:
    given_an_uploaded_tree(local)
    local.machine.report("download")
    (local.tree(local.machine) / "m1.py").write_text("mine")
    (local.tree(local.machine) / "notes.txt").write_text("mine")
    said = local.machine.run("verify")
    assert said.code == 0
    assert "29 files as downloaded, 1 edited, 1 additional" in said.out


def test_without_an_upload_there_is_nothing_to_verify_or_prune(lab: Lab) -> None:
    for command in ("verify", "prune"):
        said = lab.laptop.run(command)
        assert said.code == 4
        assert "Traceback" not in said.err
