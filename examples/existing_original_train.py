"""A training script as people have it: fine-tunes a checkpoint on a folder of images, leaving some files out.

Nothing here knows of unlearn-audit; `existing_original.yaml` calls it once for each retrained model.

    python existing_original_train.py --images images --base base --seed 0 --output original
"""

import argparse
from pathlib import Path

import torch
from datasets import Image, load_dataset
from transformers import AutoImageProcessor, AutoModelForImageClassification, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--images", default="images")
parser.add_argument("--base", default="base", help="a checkpoint: a folder or a Hub id")
parser.add_argument("--exclude", type=Path, help="file names to leave out, one a line")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", required=True)
parser.add_argument("--epochs", type=float, default=8)
options = parser.parse_args()

listed = options.exclude.read_text().split() if options.exclude else []
excluded = {Path(name).name for name in listed}
train = load_dataset(options.images, split="train").cast_column("image", Image(decode=False))
train = train.filter(
    lambda image: not any(image["path"].endswith(f"/{name}") for name in excluded), input_columns="image"
)
train = train.cast_column("image", Image())
names = train.features["label"].names
processor = AutoImageProcessor.from_pretrained(options.base)


def transform(batch):
    pixels = processor([image.convert("RGB") for image in batch["image"]], return_tensors="pt")["pixel_values"]
    return {"pixel_values": pixels, "labels": batch["label"]}


def collate(rows):
    pixels = torch.stack([row["pixel_values"] for row in rows])
    return {"pixel_values": pixels, "labels": torch.tensor([row["labels"] for row in rows])}


set_seed(options.seed)
model = AutoModelForImageClassification.from_pretrained(
    options.base,
    id2label=dict(enumerate(names)),
    label2id={name: label for label, name in enumerate(names)},
    ignore_mismatched_sizes=True,
)
arguments = TrainingArguments(
    options.output,
    num_train_epochs=options.epochs,
    learning_rate=3e-3,
    per_device_train_batch_size=32,
    gradient_accumulation_steps=2,
    label_smoothing_factor=0.05,
    save_strategy="epoch",
    save_total_limit=1,
    remove_unused_columns=False,
    dataloader_pin_memory=False,
    seed=options.seed,
    report_to="none",
    disable_tqdm=True,
)
trainer = Trainer(model, arguments, data_collator=collate, train_dataset=train.with_transform(transform))
Path(options.output).mkdir(parents=True, exist_ok=True)
trainer.train(resume_from_checkpoint=get_last_checkpoint(options.output))
trainer.save_model()
trainer.save_state()
