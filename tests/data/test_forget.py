import dataclasses
import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unlearn_audit.data import ForgetSet, Images, load_images
from unlearn_audit.errors import ForgetSetError

LABELS = np.arange(40) % 4


def make(*, seed=0, class_names=("ant", "bee", "cow", "doe", "elk")):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)
    ids = np.array([f"train-{row}" for row in range(40)])
    return Images("tiny", "train", ids, pixels, LABELS.astype(np.int64), class_names)


@pytest.fixture
def images():
    return make()


def rows(forget):
    return [int(i.removeprefix("train-")) for i in forget.ids]


@pytest.mark.parametrize("label", [2, "cow", np.int64(2)])
def test_half_of_a_class(images, label):
    forget = ForgetSet.by_class(images, label, fraction=0.5, seed=3)
    assert len(forget) == 5 and rows(forget) == sorted(set(rows(forget)))
    assert all(row % 4 == 2 for row in rows(forget))
    assert forget.description == "50 % of class cow, seed 3"
    assert forget.data_fingerprint == images.fingerprint


def test_the_choice_is_random_in_the_seed_and_even():
    images, chosen = make(), np.zeros(40)
    for seed in range(400):
        chosen[rows(ForgetSet.by_class(images, 1, fraction=0.3, seed=seed))] += 1
    assert set(np.flatnonzero(chosen)) == set(np.flatnonzero(LABELS == 1))
    assert np.all(np.abs(chosen[LABELS == 1] - 120) < 4.5 * np.sqrt(400 * 0.3 * 0.7))
    first = ForgetSet.by_class(images, 1, fraction=0.3, seed=7)
    assert first == ForgetSet.by_class(images, 1, fraction=0.3, seed=7)
    assert first.hash != ForgetSet.by_class(images, 1, fraction=0.3, seed=8).hash


def test_a_whole_class(images):
    forget = ForgetSet.by_class(images, "bee")
    assert rows(forget) == list(range(1, 40, 4)) and forget.description == "all of class bee"


def test_random_takes_from_all(images):
    forget = ForgetSet.random(images, fraction=0.25, seed=1)
    assert len(forget) == 10 and rows(forget) == sorted(set(rows(forget)))
    assert len({row % 4 for row in rows(forget)}) > 1


def test_mask_marks_the_ids_also_in_a_selection(images):
    forget = ForgetSet.from_ids(images, ["train-30", "train-4"])
    assert np.flatnonzero(forget.mask(images)).tolist() == [4, 30]
    assert forget.mask(images.select(np.array([30, 5, 4]))).tolist() == [True, False, True]
    assert forget.ids == ("train-4", "train-30")  # in the order of the data


def test_hash_is_over_fingerprint_and_ids(images):
    forget = ForgetSet.from_ids(images, ["train-9", "train-4"])
    text = f"{images.fingerprint}\ntrain-4\ntrain-9"
    assert forget.hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda i: ForgetSet.by_class(i, "cwo"), "no class 'cwo'. Did you mean 'cow'"),
        (lambda i: ForgetSet.by_class(i, 5), "classes 0 to 4, not 5"),
        (lambda i: ForgetSet.by_class(i, -1), "not -1"),
        (lambda i: ForgetSet.by_class(i, "elk"), "no example of class elk"),
        (lambda i: ForgetSet.by_class(i, 0, fraction=0.04), "is no example"),
        (lambda i: ForgetSet.by_class(i, 0, fraction=0.0), "above 0 and at most 1"),
        (lambda i: ForgetSet.random(i, fraction=1.5), "above 0 and at most 1"),
        (lambda i: ForgetSet.random(i, fraction=float("nan")), "above 0 and at most 1"),
        (lambda i: ForgetSet.random(i, fraction=1.0), "all 40 training examples"),
        (lambda i: ForgetSet.by_class(i.select(LABELS == 0), 0), "all 10 training examples"),
        (lambda i: ForgetSet.from_ids(i, []), "empty"),
        (lambda i: ForgetSet.from_ids(i, "train-1"), "single string"),
        (lambda i: ForgetSet.from_ids(i, [1, 2]), "strings such as 'train-0', not 1"),
        (lambda i: ForgetSet.from_ids(i, ["train-1", "train-2", "train-1"]), "more than once: 'train-1'"),
        (lambda i: ForgetSet.from_ids(i, ["train-1", "test-1"]), "1 of the ids .* not among .* 'test-1'"),
        (
            lambda i: ForgetSet.from_ids(i, [f"x{n}" for n in range(8)]),
            "'x0', 'x1', 'x2', 'x3', 'x4' and 3 more",
        ),
        (lambda i: ForgetSet.from_ids(i, i.ids), "all 40 training examples"),
        (lambda i: ForgetSet.from_ids(i, ["train-1"]).mask(make(seed=1)), "made for data with fingerprint"),
    ],
)
def test_what_cannot_be_forgotten(images, choose, message):
    with pytest.raises(ForgetSetError, match=message):
        choose(images)


WANTED = ["train-3", "train-21"]


def write_csv(path, column="example_id"):
    path.write_text(f"why,{column}\nasked,train-21\nasked, train-3\n\n")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("ids.txt", lambda p: p.write_text("train-21\n\n  train-3\r\n")),
        ("bom.txt", lambda p: p.write_text("train-21\ntrain-3", encoding="utf-8-sig")),
        ("ids.csv", write_csv),
        ("id.csv", lambda p: write_csv(p, "id")),
        ("plain.csv", lambda p: p.write_text("train-21\ntrain-3\n")),
        ("headed.csv", lambda p: p.write_text("id\ntrain-21\ntrain-3\n")),
        ("ids.json", lambda p: p.write_text(json.dumps(WANTED))),
        ("ids.parquet", lambda p: pq.write_table(pa.table({"example_id": WANTED, "other": [1, 2]}), p)),
        ("only.parquet", lambda p: pq.write_table(pa.table({"who": WANTED}), p)),
    ],
)
def test_files_of_ids(images, tmp_path, name, write):
    write(tmp_path / name)
    forget = ForgetSet.from_file(images, tmp_path / name)
    assert forget.ids == tuple(WANTED)
    assert forget.description == f"2 examples listed in {name}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ids.xml", b"<ids/>", "read from .txt, .csv, .json, .parquet"),
        ("ids.txt", b"\n\n", "empty"),
        ("ids.txt", b"\xff\xfe\x00", "UTF-8"),
        ("ids.csv", b"a,b\n1,2\n", "columns a, b"),
        ("ids.csv", b"a,id\n1,train-1\n2\n", "not among"),
        ("ids.json", b"{", "not JSON"),
        ("ids.json", b"3", "list of ids"),
        ("ids.json", b'{"ids": []}', "lacks data_fingerprint, description, hash"),
        ("ids.json", b"[1, 2]", "strings such as"),
        ("ids.json", b"[[1], null]", "strings such as"),
        ("ids.parquet", b"garbage", "not Parquet"),
        ("ids.txt", b"train-1\ntrain-1", "more than once"),
    ],
)
def test_files_that_cannot_be_used(images, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ForgetSetError, match=message):
        ForgetSet.from_file(images, tmp_path / name)


def test_a_missing_file(images, tmp_path):
    with pytest.raises(ForgetSetError, match="There is no file"):
        ForgetSet.load(tmp_path / "no.json", images)


def test_save_and_load(images, tmp_path):
    forget = ForgetSet.by_class(images, "cow", fraction=0.5)
    forget.save(tmp_path / "new" / "forget.json")
    loaded = ForgetSet.load(tmp_path / "new" / "forget.json", images)
    assert loaded == forget and loaded.hash == forget.hash
    assert ForgetSet.from_file(images, tmp_path / "new" / "forget.json") == forget
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["forget.json"]


def test_a_saved_set_for_other_data(images, tmp_path):
    ForgetSet.random(images, fraction=0.5).save(tmp_path / "forget.json")
    with pytest.raises(ForgetSetError, match="made for data with fingerprint"):
        ForgetSet.load(tmp_path / "forget.json", make(class_names=tuple("abcde")))


@pytest.mark.parametrize("change", [{"ids": ["train-1"]}, {"hash": "0" * 64}, {"ids": "train-1"}, {"ids": None}])
def test_an_altered_saved_set(images, tmp_path, change):
    path = tmp_path / "forget.json"
    ForgetSet.random(images, fraction=0.5).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ForgetSetError):
        ForgetSet.load(path, images)


def test_a_list_is_no_saved_set(images, tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps(WANTED))
    with pytest.raises(ForgetSetError, match="from_file"):
        ForgetSet.load(tmp_path / "ids.json", images)


@pytest.mark.cifar100
def test_half_of_a_class_of_cifar100(cifar100_folder):
    train = load_images(cifar100_folder).train
    forget = ForgetSet.by_class(train, "rocket", fraction=0.5)
    assert len(forget) == 250
    assert {train.class_names[i] for i in train.labels[forget.mask(train)]} == {"rocket"}


FILES = ["train/ant/1.png", "train/ant/2.png", "train/bee/2.png", "train/bee/deep/3.png"]


def with_files():
    images = make().select(slice(0, 4))
    return dataclasses.replace(images, columns={"file_name": np.array(FILES)})


@pytest.mark.parametrize(
    ("name", "row"),
    [("train/ant/1.png", 0), ("1.png", 0), ("ant/2.png", 1), ("/home/me/pets/train/bee/2.png", 2), ("deep\\3.png", 3)],
)
def test_a_file_name_names_its_image(name, row):
    forget = ForgetSet.from_ids(with_files(), [name])
    assert forget.ids == (f"train-{row}",)


def test_ids_and_file_names_may_stand_in_one_list(tmp_path):
    (tmp_path / "request.txt").write_text("3.png\ntrain-0\n")
    assert ForgetSet.from_file(with_files(), tmp_path / "request.txt").ids == ("train-0", "train-3")


def test_file_names_that_name_two_images_or_none_are_refused():
    with pytest.raises(ForgetSetError, match=r"2 training images of tiny are named '2\.png'.*more of the path"):
        ForgetSet.from_ids(with_files(), ["2.png"])
    with pytest.raises(ForgetSetError, match=r"known as 'train-0' or 'train/ant/1\.png': 'cow/1\.png', '11\.png'"):
        ForgetSet.from_ids(with_files(), ["cow/1.png", "11.png"])
    with pytest.raises(ForgetSetError, match="more than once: 'train-0'"):
        ForgetSet.from_ids(with_files(), ["1.png", "train-0"])


def test_the_least_typical_examples_are_those_nearest_to_other_classes_for_their_distance_to_their_own():
    images = load_images("digits").train
    chosen = ForgetSet.by_class(images, 8, fraction=0.1, atypical=True)
    pixels = images.pixels.reshape(len(images), -1).astype(np.float64)
    ratios = {}
    for row in np.flatnonzero(images.labels == 8):
        apart = np.sqrt(((pixels - pixels[row]) ** 2).sum(axis=1))
        apart[row] = np.inf
        ratios[str(images.ids[row])] = apart[images.labels == 8].min() / apart[images.labels != 8].min()
    expected = sorted(ratios, key=lambda name: -ratios[name])[: len(chosen)]
    assert set(chosen.ids) == set(expected)
    assert chosen == ForgetSet.by_class(images, 8, fraction=0.1, atypical=True, seed=5)
