import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synccore.errors import ErrorKind, InvalidInputError
from synccore.treepath import MAX_COMPONENT_BYTES, MAX_PATH_BYTES, TreePath

# Pieces of which paths are made that are almost, or just not, what they must not be.
PIECES = (
    *("a", "b", ".", "..", "...", "/", "//", "\\", "\0", ".git", "GIT", "git~1", ".gitignore", ":", " ", "~", "é"),
    *("\u200c", "\u202e", "\ufeff", "\u212a", "\u0130", "\ud800", "x" * 60, "x" * 64, "é" * 128),
)

texts = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=12)

REFUSED = {
    "is empty": [""],
    "is not valid UTF-8": ["a\ud800"],
    "is longer than 4096 bytes": ["/".join(["a" * 100] * 41), "/".join(["\u212a" * 60] * 60)],
    "contains a NUL": ["a\0b"],
    "contains a backslash": ["a\\b", "..\\a"],
    "is absolute": ["/", "/a"],
    "has an empty component": ["a//b", "a/", "a//"],
    "has the component '.'": [".", "./a", "a/./b", "a/."],
    "has the component '..'": ["..", "../a", "a/../b", "a/.."],
    "has a component longer than 255 bytes": ["a" * 256, "b/" + "é" * 128],
    "reaches into a repository's .git": [
        *(".git", ".GIT", "a/.Git/config", "git~1", "GIT~1/x", ".git.", ".git ", ".git . .", ".git:x", ".git::$INDEX"),
        *("git~1.", "git~1:a", ".g\u200cit", "\ufeff.git", ".git\u202e", ".\u200d.", ".\u200d", "a/.git\u206f /b"),
    ],
}

TAKEN = [
    *("a", "a/b", "...", "a/..b", ".gitignore", ".github/x", "git", "git~2", ".git2", "x.git", ".gi t", "a:b", "a b"),
    *("é", "a" * MAX_COMPONENT_BYTES, "é" * 127, "日本語/ファイル", " ", "-", "~", "a\nb", "\u212a", "con", "CON.txt"),
    *("/".join(["a" * 127] * 32), ".synccode", "\u200c"),
]


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in REFUSED.items() for text in texts])
def test_a_path_that_could_leave_its_tree_cannot_be_built(why: str, text: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        TreePath(text)
    assert refused.value.kind is ErrorKind.BAD_PATH
    assert refused.value.facts["path"] == text
    with pytest.raises(InvalidInputError, match=why):
        TreePath.many(["fine", text])


@pytest.mark.parametrize("text", TAKEN)
def test_every_other_name_is_a_path(text: str) -> None:
    assert TreePath(text) == text
    assert TreePath.many([text]) == [text]
    assert len(text.encode()) <= MAX_PATH_BYTES


@given(st.lists(texts, max_size=4))
@example(["/".join(["\u212a" * 60] * 60)])
@example(["a", ""])
@example([])
def test_many_at_once_are_judged_as_one_by_one(several: list[str]) -> None:
    def is_fine(text: str) -> bool:
        try:
            TreePath(text)
        except InvalidInputError:
            return False
        return True

    if all(map(is_fine, several)):
        built = TreePath.many(several)
        assert built == several
        assert {type(path) for path in built} <= {TreePath}
    else:
        with pytest.raises(InvalidInputError):
            TreePath.many(several)


@given(texts)
def test_whatever_is_built_stays_below_its_root(text: str) -> None:
    try:
        path = TreePath(text)
    except InvalidInputError:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))
    assert ".git" not in path.lower().split("/")
    assert "/".join(path.parts) == path
    assert path.name == path.parts[-1]
    assert path.parent == "/".join(path.parts[:-1])
