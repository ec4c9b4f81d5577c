import hashlib
import io
import multiprocessing
import os
import struct
import subprocess
import sys
import zlib

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.data import ForgetSet, load_images
from unlearn_audit.data._cache import cached_pixels
from unlearn_audit.data._decode import unreadable_rows
from unlearn_audit.errors import DataError

CLASSES = ["cat", "dog", "eel"]


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARN_AUDIT_CACHE", str(tmp_path / "decoded"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "arrow"))
    datasets.disable_progress_bars()


def noise(n, *, size=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def write_parquet(folder, splits, columns, features=None):
    """Each split's images, and further columns given as functions of the number of rows."""
    folder.mkdir(exist_ok=True)
    for split, images in splits.items():
        encoded = [i if isinstance(i, bytes) else png(i) for i in images]
        rows = {"img": [{"bytes": e, "path": None} for e in encoded]}
        rows |= {name: values(len(encoded)) for name, values in columns.items()}
        schema = {"img": datasets.Image()} | (features or {"label": datasets.ClassLabel(names=CLASSES)})
        datasets.Dataset.from_dict(rows, features=datasets.Features(schema)).to_parquet(folder / f"{split}.parquet")
    return folder


def cycle(n):
    return [i % 3 for i in range(n)]


def small(folder, **changes):
    splits = {"train": noise(7), "test": noise(3, seed=1)} | changes
    return write_parquet(folder, splits, {"label": cycle})


def test_digits_are_scikit_learns_in_eight_bits():
    data = load_images("digits")
    file = load_digits()
    together = np.concatenate([data.train.pixels, data.test.pixels])
    assert together.shape == (1797, 8, 8, 3)
    assert np.array_equal(together[..., 0], together[..., 2])
    expected = sorted(
        (np.round(i * 255 / 16).astype(int).tobytes(), t) for i, t in zip(file.images, file.target, strict=True)
    )
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert sorted((i.astype(int).tobytes(), t) for i, t in zip(together[..., 0], labels, strict=True)) == expected
    assert np.all(np.abs(np.bincount(data.test.labels) / np.bincount(labels) - 0.2) < 0.005)
    assert data.train.ids[17] == "train-17"
    assert data.fingerprint == load_images("digits").fingerprint


def test_training_may_flip_images_unless_the_loader_is_told_that_it_must_not(tmp_path):
    folder = small(tmp_path / "signs")
    assert load_images(folder).train.flips
    told = load_images(folder, flip=False)
    assert not told.train.flips and not told.test.flips and not told.train.select(slice(2)).flips
    assert told.fingerprint == load_images(folder).fingerprint  # the images are the same
    assert not load_images("digits").train.flips


def test_digits_refuse_options_that_would_do_nothing():
    with pytest.raises(DataError, match="takes no columns"):
        load_images("digits", image_size=32)


def test_parquet_folder_gives_what_was_written(tmp_path):
    data = load_images(small(tmp_path / "pets"))
    assert data.name == data.train.name == "pets"
    assert np.array_equal(data.train.pixels, noise(7)) and np.array_equal(data.test.pixels, noise(3, seed=1))
    assert data.train.labels.tolist() == cycle(7) and data.train.class_names == tuple(CLASSES)
    assert data.test.ids.tolist() == ["test-0", "test-1", "test-2"]
    assert isinstance(data.train.pixels, np.memmap) and not data.train.pixels.flags.writeable


def test_fingerprint_does_not_depend_on_how_the_data_are_stored(tmp_path):
    order = np.argsort(cycle(7), kind="stable")  # an image folder is read class by class
    names = [CLASSES[i] for i in cycle(7)]
    for split, images in {"train": noise(7), "test": noise(3, seed=1)}.items():
        for row, image in enumerate(images):
            place = tmp_path / "images" / split / names[row]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{row}.png")
    images = {"train": noise(7)[order], "test": noise(3, seed=1)}
    sorted_cycle = {7: sorted(cycle(7)), 3: cycle(3)}
    typed = write_parquet(tmp_path / "typed", images, {"label": lambda n: sorted_cycle[n]})
    plain = write_parquet(
        tmp_path / "plain",
        images,
        {"label": lambda n: [CLASSES[i] for i in sorted_cycle[n]]},
        {"label": datasets.Value("string")},
    )
    found = {load_images(folder).fingerprint for folder in (tmp_path / "images", typed, plain)}
    assert len(found) == 1
    assert load_images(small(tmp_path / "other", test=noise(3, seed=2))).fingerprint not in found


def test_images_in_files_are_known_by_their_names_and_those_in_parquet_are_not(tmp_path):
    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            Image.fromarray(noise(1)[0]).save(tmp_path / "pets" / split / name / "0.png")
    data = load_images(tmp_path / "pets")
    assert data.train.columns["file_name"].tolist() == ["train/cat/0.png", "train/dog/0.png", "train/eel/0.png"]
    assert data.test.columns["file_name"][1] == "test/dog/0.png"
    forget = ForgetSet.from_ids(data.train, ["dog/0.png"])
    assert data.train.class_names[data.train.labels[forget.mask(data.train)][0]] == "dog"
    part = load_images(tmp_path / "pets", train_split="train[1:]").train
    assert ForgetSet.from_ids(part, ["eel/0.png"]).ids == ("train-2",)
    assert "file_name" not in load_images(small(tmp_path / "packed")).train.columns


def test_an_image_replaced_in_place_is_seen(tmp_path):
    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            Image.fromarray(noise(1)[0]).save(tmp_path / "pets" / split / name / "0.png")
    before = load_images(tmp_path / "pets")
    Image.fromarray(noise(1, seed=9)[0]).save(tmp_path / "pets/train/eel/0.png")
    after = load_images(tmp_path / "pets")
    assert np.array_equal(after.train.pixels[2], noise(1, seed=9)[0])
    assert before.train.fingerprint != after.train.fingerprint
    assert before.test.fingerprint == after.test.fingerprint


@pytest.mark.parametrize("feature", ["int64", "string"])
def test_plain_labels_become_sorted_classes(tmp_path, feature):
    values = {"int64": [30, 10, 20], "string": ["c", "a", "b"]}[feature]
    folder = write_parquet(
        tmp_path / "plain",
        {"train": noise(6), "test": noise(3)},
        {"label": lambda n: (values * 2)[:n]},
        {"label": datasets.Value(feature)},
    )
    data = load_images(folder)
    assert data.train.class_names == tuple(map(str, sorted(values)))
    assert data.train.labels.tolist() == [2, 0, 1, 2, 0, 1]


def test_splits_and_classes_take_the_names_that_are_given(tmp_path):
    splits = {"train": noise(6), "validation": noise(3, seed=1)}
    numbers = {"label": datasets.Value("int64")}
    folder = write_parquet(
        tmp_path / "named", splits, {"label": lambda n: [(0, 1, 2)[i % 3] for i in range(n)]}, numbers
    )
    given = {"test_split": "validation"}
    data = load_images(folder, class_names=["cat", "dog", "eel"], **given)
    assert data.train.class_names == ("cat", "dog", "eel") and data.test.labels.tolist() == [0, 1, 2]
    assert load_images(folder, **given).train.class_names == ("0", "1", "2")
    assert load_images(folder, **given).fingerprint != data.fingerprint  # predictions under other names are others
    for names in (["cat", "dog"], ["cat", "dog", "dog"]):
        with pytest.raises(DataError, match=r"class_names to be 3 different names, .* \(0, 1, 2\), got"):
            load_images(folder, class_names=names, **given)


def test_classes_that_are_kept_take_labels_in_their_order_and_keep_their_ids():
    whole, kept = load_images("digits").train, load_images("digits", classes=("8", "3")).train
    rows = np.isin(whole.labels, [3, 8])
    assert kept.class_names == ("8", "3") and np.array_equal(kept.ids, whole.ids[rows])
    assert np.array_equal(kept.labels, (whole.labels[rows] == 3).astype(int))
    assert np.array_equal(kept.pixels, whole.pixels[rows]) and kept.fingerprint != whole.fingerprint


@pytest.mark.parametrize(("classes", "message"), [(("8", "x"), "'x'"), (("8", "8"), "each class once")])
def test_classes_that_are_not_there_or_named_twice_are_refused(classes, message):
    with pytest.raises(DataError, match=message):
        load_images("digits", classes=classes)


def test_parquet_from_elsewhere_needs_no_image_type(tmp_path):
    (tmp_path / "raw").mkdir()
    for split in ("train", "test"):
        table = pa.table({"picture": [png(i) for i in noise(3)], "label": [0, 1, 0]})
        pq.write_table(table, tmp_path / "raw" / f"{split}.parquet")
    assert np.array_equal(load_images(tmp_path / "raw").train.pixels, noise(3))


def two_labels(folder, names=("kind", "breed")):
    features = {name: datasets.ClassLabel(names=CLASSES) for name in names}
    columns = {
        names[0]: cycle,
        names[1]: lambda n: [0] * n,
        "note": lambda n: ["x"] * n,
        "long": lambda n: ["y" * 999] * n,
    }
    features |= {"note": datasets.Value("string"), "long": datasets.Value("string")}
    return write_parquet(folder, {"train": noise(7), "test": noise(3)}, columns, features)


def test_two_label_columns_are_asked_about(tmp_path):
    folder = two_labels(tmp_path / "two")
    with pytest.raises(DataError, match=r"2 columns .*: kind, breed\. Say which with label_column"):
        load_images(folder)
    data = load_images(folder, label_column="breed")
    assert data.train.labels.tolist() == [0] * 7
    assert data.train.columns["kind"].tolist() == [CLASSES[i] for i in cycle(7)]
    assert data.train.columns.keys() == {"kind", "note"}


def test_the_label_of_a_known_data_set_is_chosen(tmp_path):
    data = load_images(two_labels(tmp_path / "known", ("fine_label", "coarse_label")))
    assert data.train.labels.tolist() == cycle(7)
    assert set(data.train.columns["coarse_label"]) == {"cat"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_column": "lable"}, "no column 'lable'. Did you mean 'label'"),
        ({"label_column": "img"}, "holds no labels; label_column could be: label"),
        ({"image_column": "label"}, "holds no images; image_column could be: img"),
        ({"test_split": "validation"}, "no split 'validation', only: train, test"),
        ({"test_split": "train"}, "must differ"),
        ({"train_split": "train[:5]", "test_split": "train[4:]"}, "must share no example"),
        ({"train_split": "train[:five]"}, r"such as 'train\[:10000\]'.*got 'train\[:five\]'"),
        ({"train_split": "train[:1]+train[2:]"}, r"one slice"),
        ({"train_split": "train[5:5]"}, "holds no example"),
        ({"revision": "main"}, "local folder"),
        ({"image_size": 0}, "positive"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        load_images(small(tmp_path / "pets"), **options)


def test_slices_of_splits_keep_the_rows_and_their_ids(tmp_path):
    folder = small(tmp_path / "pets")
    whole = load_images(folder).train
    sliced = load_images(folder, train_split="train[:4]", test_split="train[-2:]")
    for part, rows in ((sliced.train, slice(0, 4)), (sliced.test, slice(5, 7))):
        assert np.array_equal(part.pixels, whole.pixels[rows])
        assert np.array_equal(part.labels, whole.labels[rows])
        assert [i.split("-")[1] for i in part.ids] == [i.split("-")[1] for i in whole.ids[rows]]
    assert sliced.train.fingerprint != whole.fingerprint


def test_a_data_set_without_a_test_split_says_what_to_do(tmp_path):
    folder = small(tmp_path / "pets")
    (folder / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"held-out examples.*train_test_split"):
        load_images(folder)


def test_missing_labels_are_counted(tmp_path):
    folder = write_parquet(
        tmp_path / "pets", {"train": noise(4), "test": noise(3)}, {"label": lambda n: [0, -1, -1, 2][:n]}
    )
    with pytest.raises(DataError, match=r"2 rows of the train split of pets have no label .*row 1"):
        load_images(folder)


def test_modes_convert_to_rgb(tmp_path):
    grey = noise(1)[0, :, :, 0]
    wide = np.random.default_rng(3).integers(0, 65536, (6, 6), dtype=np.uint16)
    rgba = np.dstack([noise(1)[0], np.full((6, 6), 128, np.uint8)])
    palette = io.BytesIO()
    few = Image.fromarray(noise(1)[0] // 128 * 255).quantize(8)
    few.save(palette, "PNG", transparency=b"\x00\x80")
    folder = small(tmp_path / "modes", train=[grey, wide, rgba, palette.getvalue(), noise(1)[0]])
    pixels = load_images(folder).train.pixels
    assert np.array_equal(pixels[0], np.dstack([grey] * 3))
    assert np.array_equal(pixels[1], np.dstack([np.round(wide / 257)] * 3))
    assert np.array_equal(pixels[2], rgba[:, :, :3])
    assert np.array_equal(pixels[3], np.array(few.getpalette()).reshape(-1, 3)[np.asarray(few)])


def test_orientation_is_applied(tmp_path):
    file, tags = io.BytesIO(), Image.Exif()
    tags[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(noise(1)[0]).save(file, "PNG", exif=tags)
    pixels = load_images(small(tmp_path / "turned", train=[file.getvalue()])).train.pixels
    assert np.array_equal(pixels[0], np.rot90(noise(1)[0], -1))


def test_a_folder_as_people_have_it(tmp_path):
    """Unbalanced classes of JPEG in CMYK and grey, a turned photograph, and a PNG with transparency."""
    colour = np.full((8, 8, 3), (200, 30, 60), np.uint8)
    photo = Image.fromarray(colour)
    turned = Image.Exif()
    turned[0x0112] = 8  # to be turned counter-clockwise by 90 degrees
    upper = colour.copy()
    upper[:4] = 0
    files = {
        "cat/cmyk.jpg": (photo.convert("CMYK"), {"quality": 95}),
        "cat/grey.jpg": (photo.convert("L"), {"quality": 95}),
        "cat/plain.png": (photo, {}),
        "cat/rgba.png": (photo.convert("RGBA"), {}),
        "dog/turned.png": (Image.fromarray(upper), {"exif": turned}),
    }
    for split in ("train", "test"):
        for name, (image, options) in files.items():
            (tmp_path / "pets" / split / name).parent.mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / "pets" / split / name, **options)
    train = load_images(tmp_path / "pets").train
    pixels = dict(zip(train.columns["file_name"].tolist(), train.pixels.astype(int), strict=True))
    assert train.labels.tolist() == [0, 0, 0, 0, 1] and train.class_names == ("cat", "dog")
    assert abs(pixels["train/cat/cmyk.jpg"] - colour).max() < 12
    grey = np.round(colour[0, 0] @ (0.299, 0.587, 0.114))
    assert abs(pixels["train/cat/grey.jpg"] - grey).max() < 6
    for name in ("plain", "rgba"):
        assert np.array_equal(pixels[f"train/cat/{name}.png"], colour)
    assert np.array_equal(pixels["train/dog/turned.png"], np.rot90(upper))


def test_mixed_sizes_need_image_size(tmp_path):
    wide = np.zeros((6, 12, 3), np.uint8)
    wide[:, 3:9] = noise(1)[0]
    folder = small(tmp_path / "mixed", train=[noise(1)[0], wide])
    with pytest.raises(DataError, match=r"row 0 is 6 by 6, row 1 is 6 by 12 .*Pass processor, .* or image_size"):
        load_images(folder)
    pixels = load_images(folder, image_size=6).train.pixels
    assert np.array_equal(pixels[1], noise(1)[0])  # the centre of the wide one
    assert load_images(folder, image_size=4).test.pixels.shape == (3, 4, 4, 3)


def png_of(width, height):
    """A PNG whose header says that it is so large; there are hardly any pixels in it."""
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(bytes(1000)),
        b"IEND": b"",
    }
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("bomb", "said"),
    [
        (png_of(10_000, 10_000), "10,000 by 10,000 pixels; expected at most"),
        (png_of(2_000_000_000, 2), "decompression bomb"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n", "cannot identify"),  # a program for Ghostscript
    ],
)
def test_an_image_that_would_fill_the_memory_or_run_is_named_and_refused(tmp_path, bomb, said):
    with pytest.raises(DataError, match=rf"1 is not a readable image: row 1.*{said}"):
        load_images(small(tmp_path / "pets", train=[noise(1)[0], bomb]))


@pytest.mark.parametrize("path", ["/dev/zero", "/tmp", "pipe"])
def test_a_row_that_names_no_plain_file_is_refused(tmp_path, path):
    if path == "pipe":
        os.mkfifo(tmp_path / "pipe")
        path = str(tmp_path / "pipe")
    assert unreadable_rows([[{"path": path, "bytes": None}]]) == [0]


@pytest.mark.parametrize("broken", [b"no image", png(noise(1)[0])[:60], b""])
def test_a_corrupt_image_is_named_by_its_row(tmp_path, broken):
    images = [*noise(1500), broken, noise(1)[0]]
    with pytest.raises(DataError, match="Of the train split of pets, 1 is not a readable image: row 1500"):
        load_images(small(tmp_path / "pets", train=images))


def test_all_corrupt_images_are_listed_at_once_or_left_out_and_said(tmp_path):
    images = [b"no image", *noise(3), b"", *noise(2, seed=3)]
    folder = small(tmp_path / "pets", train=images)
    with pytest.raises(DataError, match=r"2 are no readable images: row 0, .*; row 4, .*skip_unreadable"):
        load_images(folder)
    data = load_images(folder, skip_unreadable=True)
    assert data.name == "pets without 2 unreadable images"
    assert data.train.ids.tolist() == [f"train-{row}" for row in (1, 2, 3, 5, 6)]
    assert np.array_equal(data.train.pixels[3], noise(2, seed=3)[0])
    assert data.train.labels.tolist() == [1, 2, 0, 2, 0]


def saved_processor(folder, **options):
    from transformers import ViTImageProcessor

    processor = ViTImageProcessor(**options)
    processor.save_pretrained(folder)
    return processor


PROCESSORS = {
    "to a square": {"size": {"height": 5, "width": 5}},
    "and crops": {"size": {"height": 8, "width": 8}, "do_center_crop": True, "crop_size": {"height": 5, "width": 5}},
}


@pytest.mark.parametrize("options", PROCESSORS.values(), ids=PROCESSORS)
def test_images_of_mixed_sizes_become_what_a_model_s_own_processor_makes_of_them(tmp_path, options):
    from unlearn_audit.models import Preprocessing

    images = [noise(1)[0], noise(1, size=12)[0][:7], noise(1, size=9)[0]]
    processor = saved_processor(tmp_path / "model", image_mean=[0.4] * 3, image_std=[0.2] * 3, **options)
    data = load_images(small(tmp_path / "pets", train=images), processor=tmp_path / "model")
    expected = [processor(Image.fromarray(i), return_tensors="pt")["pixel_values"][0].numpy() for i in images]
    prepared = Preprocessing.from_processor(processor)(torch.tensor(np.asarray(data.train.pixels)))
    np.testing.assert_allclose(prepared.numpy(), np.stack(expected), atol=1e-5)
    with pytest.raises(DataError, match="got both"):
        load_images(tmp_path / "pets", processor=tmp_path / "model", image_size=5)
    with pytest.raises(DataError, match="Expected an image processor"):
        load_images(tmp_path / "pets", processor=tmp_path / "pets")


@pytest.mark.parametrize("kind", ["content", "name"])
def test_ids_of_their_own_stay_with_the_examples(tmp_path, kind):
    def folder(name, images, names):
        columns = {"label": cycle, "name": lambda n: names if n == len(names) else [f"t{i}" for i in range(n)]}
        features = {"label": datasets.ClassLabel(names=CLASSES), "name": datasets.Value("string")}
        return write_parquet(tmp_path / name, {"train": images, "test": noise(3, seed=1)}, columns, features)

    images, names = list(noise(6)), [f"a{i}" for i in range(6)]
    before = load_images(folder("before", images, names), ids=kind, label_column="label").train
    after = load_images(folder("after", images[1:], names[1:]), ids=kind, label_column="label").train
    assert after.ids.tolist() == before.ids[1:].tolist() and len(set(before.ids.tolist())) == 6


def test_copies_have_ids_of_their_own_and_ids_that_are_shared_are_refused(tmp_path):
    twice = [*noise(3), noise(3)[0]]
    data = load_images(small(tmp_path / "pets", train=twice), ids="content")
    assert data.train.ids[3] == f"{data.train.ids[0]}-2"
    with pytest.raises(DataError, match="no column 'nam'"):
        load_images(tmp_path / "pets", ids="nam")


@pytest.mark.parametrize(
    ("source", "message"),
    [("./nowhere", "no folder nowhere"), ("/nowhere/at/all", "no folder"), ("a/b/c", "no folder")],
)
def test_a_missing_folder(source, message):
    with pytest.raises(DataError, match=message):
        load_images(source)


def test_folders_that_hold_no_data_set(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read as a data set.*should hold Parquet"):
        load_images(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/train.parquet").write_bytes(b"garbage" * 99)
    with pytest.raises(DataError, match="cannot be read as a data set"):
        load_images(tmp_path / "bad")


def test_an_unknown_id_while_offline_says_what_to_do(tmp_path):
    code = """
from unlearn_audit.data import ForgetSet, load_images
from unlearn_audit.errors import DataError
try:
    load_images("someone/some-images")
except DataError as error:
    print(error)
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("someone/some-images is not a folder here, and the Hub could not be asked")
    assert "give a folder" in run.stdout


def test_a_hub_id_gives_what_its_folder_gives(tmp_path):
    code = """
import sys
import zlib
from huggingface_hub import HfApi
from unlearn_audit.data import ForgetSet, load_images
from unlearn_audit.errors import DataError
HfApi().create_repo("tester/pets", repo_type="dataset")
HfApi().upload_folder(repo_id="tester/pets", repo_type="dataset", folder_path=sys.argv[1])
data = load_images("tester/pets")
print(data.name, data.fingerprint)
try:
    load_images("tester/pest")
except DataError as error:
    print(error)
"""
    folder = small(tmp_path / "pets")
    with LoopbackHub() as hub:
        environment = os.environ | hub.settings(tmp_path / "home")
        command = [sys.executable, "-c", code, str(folder)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second = run.stdout.splitlines()
    assert first == f"tester/pets {load_images(folder).fingerprint}"
    assert second.startswith("tester/pest is neither a folder here nor a data set of the Hub")


def test_a_folder_hides_a_hub_id(tmp_path, monkeypatch):
    (tmp_path / "uoft-cs").mkdir()
    small(tmp_path / "uoft-cs/cifar100")
    monkeypatch.chdir(tmp_path)
    data = load_images("uoft-cs/cifar100")
    assert data.name == "cifar100" and len(data.train) == 7


def test_the_second_load_decodes_nothing(tmp_path, monkeypatch):
    folder = small(tmp_path / "pets")
    first = load_images(folder)
    monkeypatch.setattr(Image, "open", None)
    again = load_images(folder)
    assert np.array_equal(first.train.pixels, again.train.pixels)
    assert again.train.fingerprint == first.train.fingerprint


def test_select_keeps_ids_and_the_fingerprint(tmp_path):
    train = load_images(two_labels(tmp_path / "two"), label_column="breed").train
    some = train.select(np.array([5, 2]))
    assert some.ids.tolist() == ["train-5", "train-2"] and len(some) == 2
    assert np.array_equal(some.pixels, noise(7)[[5, 2]])
    assert some.fingerprint == train.fingerprint and some.columns["kind"].tolist() == ["eel", "eel"]


def fill(folder, starts, results):
    def blocks():
        starts.put(1)
        for seed in range(20):
            yield noise(5, seed=seed)

    pixels, digest = cached_pixels(folder, "key", count=100, blocks=blocks)
    results.put((digest, hashlib.sha256(pixels).hexdigest()))


def test_of_two_processes_one_decodes(tmp_path):
    (tmp_path / "key.partial").mkdir()  # what a killed process leaves
    context = multiprocessing.get_context("fork")
    starts, results = context.Queue(), context.Queue()
    workers = [context.Process(target=fill, args=(tmp_path, starts, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    expected = hashlib.sha256(np.concatenate([noise(5, seed=s) for s in range(20)])).hexdigest()
    assert [results.get(timeout=20) for _ in workers] == [(expected, expected)] * 2
    for worker in workers:
        worker.join()
    assert starts.get(timeout=5) and starts.empty()


def test_an_unwritable_cache_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="Pass another cache_dir"):
        load_images(small(tmp_path / "pets"), cache_dir=tmp_path / "file")


@pytest.mark.cifar100
@pytest.mark.slow
def test_cifar100(cifar100_folder):
    data = load_images(cifar100_folder)
    assert data.train.pixels.shape == (50_000, 32, 32, 3) and data.test.pixels.shape == (10_000, 32, 32, 3)
    assert np.all(np.bincount(data.train.labels) == 500) and np.all(np.bincount(data.test.labels) == 100)
    assert data.train.num_classes == 100 and len(set(data.train.columns["coarse_label"])) == 20
    table = pq.read_table(cifar100_folder / "train.parquet")
    for row in (0, 12_345, 49_999):
        encoded = table["img"][row].as_py()["bytes"]
        assert np.array_equal(data.train.pixels[row], np.asarray(Image.open(io.BytesIO(encoded))))
    assert len({image.tobytes() for image in data.train.pixels}) == 50_000 - 14
