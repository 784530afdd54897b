import pytest

from synccore.digest import digest_from_hex, digest_of
from synccore.errors import ErrorKind, InvalidInputError
from synccore.keys import bundle_key, head_key, journal_key, manifest_key, repo_name, user_name

USABLE = ["a", "A", "0", "_", "ann", "ann.b", "ann-b_c.9", "a" * 64, "CON", "git", "a.git", "-".join("abc"), "_.b"]
UNUSABLE = ["", ".", "..", ".a", "-a", "a.", "a" * 65, "a/b", "a b", "é", "a\n", "a\0", ".git", ".GIT", "git~1", "a:b"]


@pytest.mark.parametrize("name", USABLE)
def test_a_usable_name_is_taken_as_it_is(name: str) -> None:
    assert user_name(name) == name
    assert repo_name(name) == name


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"user name .* is not usable: expected 1 to 64") as refused:
        user_name(name)
    assert refused.value.kind is ErrorKind.BAD_INPUT
    with pytest.raises(InvalidInputError, match=r"repository name .* is not usable"):
        repo_name(name)
    with pytest.raises(InvalidInputError):
        head_key(name)


def test_keys_are_these() -> None:
    digest = digest_of(b"x")
    text = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert head_key("ann") == "ann/head"
    assert bundle_key("ann", digest) == f"ann/bundles/{text}"
    assert manifest_key("ann", digest) == f"ann/manifests/{text}"
    assert journal_key("ann", digest) == f"ann/journal/{text}"
    assert digest_from_hex(text) == digest


@pytest.mark.parametrize("text", ["", "2d", "Z" * 64, "2D" * 32, " " + "2d" * 31 + "2", "2d" * 33, "2d 7" * 16])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="expected 64 lower-case hexadecimal digits"):
        digest_from_hex(text)
