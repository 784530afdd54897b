"""Makes the store that is kept as data of the format's present version.

    python tests/compat/make_store.py tests/compat/version-1

It was run once when that version came to be, and is kept to tell what the data is; the data itself is never made anew.
Beside the store it writes what a reader must find in it, by digests.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from synccore.backends.opening import Access, open_backend
from synccore.delete import delete
from synccore.history import log
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree, content_of, executable, kind_of, link, nodes


def sparse(size: int, seed: int) -> bytes:
    """Something large that is cut at many places and compresses to little."""
    pages = [hashlib.sha256(b"%d %d" % (seed, number)).digest() * 128 for number in range(size // 4096)]
    return b"".join(pages)


def history() -> list[dict[str, NodeTree]]:
    """The trees of two repositories, upload by upload; enough of them for a fold."""
    large = sparse(2 * 2**20, 1)
    first = nodes(
        {
            "README.md": "# Alpha\n",
            "bin/run": executable("#!/bin/sh\necho alpha\n"),
            "data": link("/mnt/data"),
            "empty": "",
            "großes/näme.txt": "ünï\n",
            "large.bin": large,
            "module.py": "x = 0\n",
            "latest": link("module.py"),
        }
    )
    steps = []
    for number in range(70):
        alpha = {**first, "module.py": b"x = %d\n" % number}
        if number >= 20:
            alpha["large.bin"] = large[: 2**20] + b"an edit" + large[2**20 :]
            alpha["bin/run"] = b"no longer executable\n"
        if number >= 67:
            del alpha["empty"]
            alpha["empty/now"] = executable(b"a directory")
        if number >= 60:
            # In the last but one it is renamed, and one file of it edited.
            name = "directory" if number < 68 else "renamed/directory"
            alpha |= {f"{name}/{file}": b"file %d\n" % file for file in range(12)}
            alpha[f"{name}/3"] = b"file 3, %d\n" % (number // 68)
        steps.append({"alpha": alpha, "beta": nodes({f"{number // 35}": "beta\n", "same": "# Alpha\n"})})
    return steps


def expected(tree: NodeTree) -> dict[str, list[object]]:
    """What must be found of *tree*."""
    return {
        path: [int(kind_of(node)), len(content_of(node)), hashlib.sha256(content_of(node)).hexdigest()]
        for path, node in tree.items()
    }


def make(target: Path) -> None:
    """Write the store and what is expected of it below *target*."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), open_backend((target / "store").absolute().as_uri(), access=Access()))
        steps = history()
        lab.laptop.lay(gone={"a": "taken out\n"})
        lab.laptop.push()
        delete("gone", store=lab.laptop.store)
        for trees in steps:
            lab.laptop.lay(**trees)
            lab.laptop.push("alpha", "beta")
        found = {
            "trees": {repo: expected(tree) for repo, tree in steps[-1].items()},
            "snapshots": {repo: snapshot.hex() for repo, snapshot in lab.snapshots().items()},
            "log": [
                [line.sequence, [[it.repo, it.after.hex() if it.after else None, *it.counts] for it in line.repos]]
                for line in log(USER, lab.inner, limit=1000)
            ],
        }
    (target / "expected.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
