"""Unlearn and audit a Hugging Face ViT on a folder of images, from a deletion request that lists file names.

For engineers who have a `transformers` model, images as train/CLASS/NAME.png and test/CLASS/NAME.png, and a text file
of the images that must be forgotten. It fine-tunes the original, fine-tunes it again without those images (the
references), makes the original forget them by two methods, each a callback on a stock `Trainer`, and audits both. The
model is small and starts from random weights, so that this runs anywhere: on the digits it takes 45 seconds of one CPU
core. With `--checkpoint` it is a model of the Hub, for which you want a GPU.

    python examples/vit_on_a_folder_images.py digits-folder   # or images and a request of your own
    python examples/vit_on_a_folder.py digits-folder/images digits-folder/deletion-request.txt
    python examples/vit_on_a_folder.py pets request.txt --image-size 224 --epochs 3 \\
        --checkpoint google/vit-base-patch16-224 --precision bfloat16
"""

import argparse
from pathlib import Path
from typing import Any

import datasets
import transformers
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    set_seed,
)

from unlearn_audit import ForgetSet, TrainingConfig, fit, load_images, load_model, predict, save_model
from unlearn_audit.data.batches import collate
from unlearn_audit.methods.base import UnlearningCallback
from unlearn_audit.methods.local_teacher_knn import LocalTeacherKNN
from unlearn_audit.methods.random_labels import RandomLabels
from unlearn_audit.models import with_processor
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.processes import limit_threads
from unlearn_audit.reporting import render_folder
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.training import training_examples

parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
parser.add_argument("images", help="folder with train/CLASS/NAME.png and test/CLASS/NAME.png")
parser.add_argument("request", help="text file of the images to forget: a file name a line")
parser.add_argument("--checkpoint", help="model to start from: a folder or a Hub id [a small ViT, not yet trained]")
parser.add_argument("--image-size", type=int, help="cut all images to squares of so many pixels [as they are]")
parser.add_argument("--references", type=int, default=4, help="how many retrained models [4]")
parser.add_argument("--epochs", type=int, default=15, help="of the original and the retrained models [15]")
parser.add_argument("--precision", default="float32", help="or bfloat16, faster for larger models [float32]")
parser.add_argument("--output", type=Path, default=Path("runs/vit_on_a_folder"), help="[runs/vit_on_a_folder]")
options = parser.parse_args()
out = options.output


def new_model(seed: int) -> PreTrainedModel:
    """Return a model before fine-tuning, tied to the processor by which it takes its images."""
    set_seed(seed)
    names = data.train.class_names
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: label for label, name in enumerate(names)},
    }
    if options.checkpoint:
        model = AutoModelForImageClassification.from_pretrained(
            options.checkpoint,
            **labels,
            ignore_mismatched_sizes=True,  # of the head, which was made for other classes
        )
        return with_processor(model, AutoImageProcessor.from_pretrained(options.checkpoint))
    size = data.train.pixels.shape[1]
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = ViTConfig(image_size=size, patch_size=size // 4, **sizes, **labels)
    processor = ViTImageProcessor(size={"height": size, "width": size}, image_mean=[0.3] * 3, image_std=[0.35] * 3)
    return with_processor(ViTForImageClassification(config), processor)


def fine_tuned(seed: int, forget: ForgetSet | None = None) -> PreTrainedModel:
    """Return the original, or with a forget set a retrained model: the same, and it never sees that set."""
    model = new_model(seed)
    learning_rate = 5e-5 if options.checkpoint else 1e-3
    training = TrainingConfig(
        epochs=options.epochs,
        optimizer="adamw",
        learning_rate=learning_rate,
        batch_size=64,
        precision=options.precision,
    )
    fit(model, data.train, training, seed=seed, forget=forget, progress=False)
    return model


def unlearned(method: UnlearningCallback, name: str, *, epochs: int, learning_rate: float) -> PreTrainedModel:
    """Make the original forget, in a Trainer as you have it: the method is a callback and chooses the examples."""
    model = load_model(out / "original")
    arguments = TrainingArguments(
        str(out / name),
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        per_device_train_batch_size=64,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,  # the batches are made where they are used
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=method.prepare(model, training_examples(model, data.train, forget)),
        data_collator=collate,
        callbacks=[method],
    )
    trainer.train()
    save_model(model, out / name)
    return model


def predictions(model: PreTrainedModel, name: str) -> ModelFiles:
    """Write the model's predictions, which are all that the audit needs of it."""
    path = out / "predictions" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    predict(model, data, model_id=name).save(path)
    print(name, flush=True)
    return ModelFiles((str(path),))


limit_threads()  # to the cores that other work leaves free
datasets.disable_progress_bars()
transformers.logging.disable_progress_bar()
data = load_images(options.images, image_size=options.image_size)
forget = ForgetSet.from_file(data.train, options.request)
forget.save(out / "forget.json")
print(f"{len(data.train)} training images of {data.train.num_classes} classes, {len(forget)} of them to be forgotten")

original = fine_tuned(seed=0)
save_model(original, out / "original")
by_random_labels = unlearned(RandomLabels(), "random_labels", epochs=5, learning_rate=5e-4)
by_ltd_knn = unlearned(LocalTeacherKNN(n_support=300), "ltd_knn", epochs=3, learning_rate=1e-4)
request = AuditRequest(
    original=predictions(original, "original"),
    references={
        f"retrained-{seed}": predictions(fine_tuned(seed, forget), f"retrained-{seed}")
        for seed in range(1, options.references + 1)
    },
    candidates={
        "random_labels": predictions(by_random_labels, "random_labels"),
        "ltd_knn": predictions(by_ltd_knn, "ltd_knn"),
    },
    forget=str(out / "forget.json"),
    neighbourhood=NeighbourhoodConfig(number=5),
    class_names=data.train.class_names,
    title="A Hugging Face ViT on a folder of images",
)
found = run_audit(request)
save_audit(found, request, out / "report")
# With pictures of the worst hit, the forgotten ones too: keep it to yourself.
render_folder(out / "report", images=data)

for name, verdict in found.report.verdicts.items():
    strata = found.report.comparison(name, "retain", "js").strata
    print(f"\n{name}: {verdict.outcome}. {verdict.reason}")
    shown = ["-" if stratum.ratio is None else f"{stratum.ratio:.1f}" for stratum in strata]  # "-": one reference only
    print("  noise floors from near to far:", " ".join(shown))
print(f"\n{out / 'report' / 'report.html'}")
