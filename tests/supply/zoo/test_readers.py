"""Lists of zoos in all their forms, and what is wrong with the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from badnets.errors import DataError, InputError
from badnets.supply.zoo import Entry, audit, read_zoo
from badnets.supply.zoo.front_matter import read_front_matter
from badnets.supply.zoo.readers import MOST_BYTES

SHA256, COMMIT = "ab" * 32, "5fa3" * 10

README = """---
name: BVLC AlexNet Model
caffemodel: bvlc_alexnet.caffemodel
caffemodel_url: http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel
license: unrestricted
sha1: 9116a64c0fbe4459d18f4bb6b56d647b63920377
caffe_commit: 709dc15af4a06bebda027c1eb2b3f3e3375d5077
---

Text.
"""
# The five models that Caffe brings: the heads of their readmes.
BUNDLED = {
    "bvlc_alexnet": "9116a64c0fbe4459d18f4bb6b56d647b63920377",
    "bvlc_googlenet": "405fc5acd08a3bb12de8ee5e23a96bec22f08204",
    "bvlc_reference_caffenet": "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
    "bvlc_reference_rcnn_ilsvrc13": "bdd8abb885819cba5e2fe1eb36235f2319477e64",
    "finetune_flickr_style": "443ad95a61fb0b5cd3cee55951bcc1f299186b5e",
}


def test_a_readme(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text(README)
    (entry,) = read_zoo(tmp_path / "readme.md").entries
    assert entry == Entry(
        "BVLC AlexNet Model",
        "readme.md",
        url="http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
        file="bvlc_alexnet.caffemodel",
        sha1="9116a64c0fbe4459d18f4bb6b56d647b63920377",
        licence="unrestricted",
    )


def test_the_five_models_that_caffe_brings_are_weak(tmp_path: Path) -> None:
    for name, sha1 in BUNDLED.items():
        (tmp_path / name).mkdir()
        url = f"http://dl.caffe.berkeleyvision.org/{name}.caffemodel"
        (tmp_path / name / "readme.md").write_text(f"---\nname: {name}\ncaffemodel_url: {url}\nsha1: {sha1}\n---\n")
    found = audit(read_zoo(tmp_path))
    assert (len(found.findings), found.weak, found.unread) == (5, 5, 0)
    assert found.totals["transport"] == {"http": 5}
    assert found.totals["digest"] == {"SHA1": 5}
    assert found.totals["signature"] == {"none": 5}


def test_a_folder_keeps_the_reason_for_what_it_skips(tmp_path: Path) -> None:
    for name, text in {
        "b/readme.md": README,
        "a/README.MD": README,
        "c/x.md": "# Title",
        "d.md": "---\ntitle: x\n---",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "other.txt").write_text("not read")
    (tmp_path / "link.md").symlink_to("d.md")
    (tmp_path / "bytes.md").write_bytes(b"---\n\xff\n---")
    found = read_zoo(tmp_path)
    assert [entry.place for entry in found.entries] == ["a/README.MD", "b/readme.md"]
    assert [line.partition(": ")[0] for line in found.skipped] == ["bytes.md", "c/x.md", "d.md", "link.md"]
    assert "is not UTF-8" in found.skipped[0]
    assert found.skipped[1] == "c/x.md: no front matter: the first line is not ---"
    assert "speaks of no model file" in found.skipped[2]


def test_a_gist_is_where_its_digest_is_published(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("---\ncaffemodel_url: https://a.org/x\ngist_id: d802a5849de39225bcc6\n---\n")
    (entry,) = read_zoo(tmp_path / "readme.md").entries
    assert entry.digest_url == "https://gist.github.com/d802a5849de39225bcc6"
    assert entry.name == "readme.md"


@pytest.mark.parametrize(
    ("head", "values"),
    [
        ("a: b", {"a": "b"}),
        ("a: 'b: c'\nd: \"e # f\"", {"a": "b: c", "d": "e # f"}),
        ("a: b # c\n# d\n\ne:", {"a": "b", "e": ""}),
        ("a: http://b.org/c", {"a": "http://b.org/c"}),
        ("sha1: 0123456789012345678901234567890123456789", {"sha1": "0123456789012345678901234567890123456789"}),
        ("sha1: 1e10", {"sha1": "1e10"}),
        ("a:\n- b\n- c\nd: e", {"a": ("b", "c"), "d": "e"}),
        ("a:\n  - b\nd:", {"a": ("b",), "d": ""}),
        ("a: no", {"a": "no"}),
    ],
)
def test_the_head_of_a_file(head: str, values: dict[str, object]) -> None:
    assert read_front_matter(f"---\n{head}\n---\n# Title\nb: c") == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no front matter"),
        ("a: b", "no front matter"),
        ("---\na: b", "no end of the front matter"),
        ("---\na: b\na: c\n---", "line 3: 'a' comes twice"),
        ("---\na: b\n<<<<<<< HEAD\n---", "line 3: expected NAME: VALUE, got '<<<<<<< HEAD'"),
        ("---\na: b\n- c\n---", "line 3: expected NAME: VALUE"),
        ("---\na: b\n  c: d\n---", "line 3: expected NAME: VALUE"),
        ("---\na:b\n---", "line 2: expected NAME: VALUE"),
        ("---\na: !!python/object/apply:os.system [true]\n---", "line 2: expected plain text"),
        ("---\na: &b c\n---", "line 2: expected plain text"),
        ("---\na: *b\n---", "line 2: expected plain text"),
        ("---\na: |\n---", "line 2: expected plain text"),
        ("---\na: [b, c]\n---", "line 2: expected plain text"),
        ("---\na: {b: c}\n---", "line 2: expected plain text"),
        ("---\na: b: c\n---", "line 2: expected plain text"),
        ("---\na: 'b\n---", "line 2: expected plain text between quotes"),
        ('---\na: "b\\u0041"\n---', "line 2: expected plain text between quotes"),
        ("---\n" + "# x\n" * 2000 + "---", "no end of the front matter"),
    ],
)  # fmt: skip
def test_a_head_beyond_the_subset(text: str, words: str) -> None:
    with pytest.raises(DataError) as found:
        read_front_matter(text)
    assert words in str(found.value)


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text(
        'name,url,sha256,licence\nA,https://a.org/a.pt,,\n"B, the second",,'
        + SHA256
        + ", MIT \nC,x\n,x,,\nD,x,,,more\n"
    )
    found = read_zoo(tmp_path / "z.csv")
    assert found.entries == (
        Entry("A", "line 2", url="https://a.org/a.pt"),
        Entry("B, the second", "line 3", sha256=SHA256, licence="MIT"),
    )
    assert found.skipped == (
        "line 4: more or fewer cells than the first line has",
        "line 5: expected a name of 1 to 2,000 letters",
        "line 6: more or fewer cells than the first line has",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a first line that names each column once"),
        ("url\nx\n", "and one of them 'name'"),
        ("name,url,url\nA,x,y\n", "names each column once"),
        ('name,url\n"A,x\n', "is not CSV"),
    ],
)
def test_no_csv(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "z.csv").write_text(text)
    with pytest.raises(DataError) as found:
        read_zoo(tmp_path / "z.csv")
    assert words in str(found.value)


def test_an_unknown_column_is_named_for_each_line(tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text("name,sha\nA,x\n")
    assert "line 2: unknown field 'sha': expected name, url, file, md5" in read_zoo(tmp_path / "z.csv").skipped[0]


def test_json(tmp_path: Path) -> None:
    items = [{"name": "A", "url": "https://a.org/a", "sha1": None}, {"name": "B", "size": 3}, 7, {"url": "x"}]
    (tmp_path / "z.json").write_text(json.dumps(items))
    found = read_zoo(tmp_path / "z.json")
    assert found.entries == (Entry("A", "item 1", url="https://a.org/a"),)
    assert found.skipped == (
        "item 2: expected text as 'size'",
        "item 3: expected an object",
        "item 4: expected a name of 1 to 2,000 letters",
    )


def test_what_a_hub_answers(tmp_path: Path) -> None:
    repository = {
        "id": "org/model",
        "sha": COMMIT,
        "lastModified": "2026-01-02T03:04:05.000Z",
        "tags": ["vision", "license:apache-2.0"],
        "siblings": [
            {"rfilename": ".gitattributes"},
            {"rfilename": "config.json"},
            {"rfilename": "a b/model.safetensors", "lfs": {"sha256": SHA256, "size": 3}},
            {"rfilename": "modeling.py"},
        ],
    }
    branch = {"repo_id": "org/other", "siblings": [{"rfilename": "x.bin", "sha256": SHA256}]}
    empty = {"id": "org/empty", "siblings": [{"rfilename": "README.md"}]}
    (tmp_path / "z.json").write_text(json.dumps([repository, branch, empty, {"id": "x", "siblings": 3}]))
    found = read_zoo(tmp_path / "z.json")
    shared = {"revision": COMMIT, "digest_url": "https://huggingface.co/api/models/org/model",
              "updated": "2026-01-02T03:04:05.000Z", "licence": "apache-2.0"}  # fmt: skip
    base = f"https://huggingface.co/org/model/resolve/{COMMIT}"
    assert found.entries == (
        Entry("org/model/a b/model.safetensors", "item 1", url=f"{base}/a%20b/model.safetensors",
              file="a b/model.safetensors", sha256=SHA256, **shared),
        Entry("org/model/modeling.py", "item 1", url=f"{base}/modeling.py", file="modeling.py", **shared),
        Entry("org/other/x.bin", "item 2", url="https://huggingface.co/org/other/resolve/main/x.bin", file="x.bin",
              sha256=SHA256, digest_url="https://huggingface.co/api/models/org/other"),
    )  # fmt: skip
    assert len(found.skipped) == 2
    judged = audit(found)
    assert [one.weak for one in judged.findings] == [False, True, False]
    assert [one.answers["reference"].short for one in judged.findings] == ["commit", "commit", "branch"]
    assert [one.answers["digest elsewhere"].short for one in judged.findings] == ["same", "none", "same"]
    assert [one.answers["executable"].short for one in judged.findings] == ["data", "code", "code"]


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no "):
        read_zoo(tmp_path / "nothing")
    with pytest.raises(InputError, match="there is no readme"):
        read_zoo(tmp_path)
    (tmp_path / "z.txt").touch()
    with pytest.raises(InputError, match=r"expected a folder of readmes, or a list that ends in \.md, \.csv or \.json"):
        read_zoo(tmp_path / "z.txt")
    (tmp_path / "z.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="is not JSON"):
        read_zoo(tmp_path / "z.json")
    with (tmp_path / "z.csv").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="is larger than"):
        read_zoo(tmp_path / "z.csv")


def test_a_text_longer_than_any_field(tmp_path: Path) -> None:
    (tmp_path / "z.json").write_text(json.dumps({"name": "A", "url": "x" * 3000}))
    assert read_zoo(tmp_path / "z.json").skipped == ("item 1: url has 3,000 letters, 2,000 are allowed",)
