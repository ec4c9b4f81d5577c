"""Audit a text classifier: a tiny BERT in a Trainer, retrained by `retrain`, its predictions by `predict_rows`.

The texts come with scikit-learn: each is a line of the description of one of its data sets, and the model tells of
which. A fifth of one description's lines is to be forgotten. An audit needs predictions alone: nothing here is about
images.

    python examples/text_classification.py runs/text
"""

import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from sklearn import datasets as sklearn_datasets
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from unlearn_audit import audit
from unlearn_audit.models import joined, predict_rows
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.training import retrain

SOURCES = ("iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud")
WORDS, LENGTH = 1000, 16
out, epochs = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 12


def tokens(text: str) -> list[int]:
    """Return the words of a text as numbers, 0 where it has ended."""
    found = [1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in text.lower().split()]
    return (found + [0] * LENGTH)[:LENGTH]


rows = []
for label, source in enumerate(SOURCES):
    lines = getattr(sklearn_datasets, f"load_{source}")().DESCR.splitlines()
    texts = [line for line in lines if len(line.split()) > 3]
    rows += [{"id": f"{source}-{n}", "input_ids": tokens(t), "label": label} for n, t in enumerate(texts)]
test, train = rows[::4], [row for place, row in enumerate(rows) if place % 4]
forget = [row["id"] for row in train if row["label"] == 2][::5]


def trainer(forget, seed):
    """Return a Trainer on all rows but the forgotten ones."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(vocab_size=WORDS, **sizes, num_labels=len(SOURCES)))
    arguments = TrainingArguments(
        str(out / "checkpoints"),
        num_train_epochs=epochs,
        learning_rate=3e-3,
        per_device_train_batch_size=32,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=seed,
    )
    kept = Dataset.from_list([row for row in train if row["id"] not in set(forget)])
    return Trainer(model, arguments, train_dataset=kept)


def predictions(folder):
    """Return logits and embeddings of all rows, the training rows first."""
    model = BertForSequenceClassification.from_pretrained(folder).eval()

    def forward(batch):
        with torch.no_grad():
            ids = torch.tensor([row["input_ids"] for row in batch])
            pooled = model.bert(ids, attention_mask=(ids > 0).long()).pooler_output
            return model.classifier(pooled), pooled

    return joined(*(predict_rows(forward, part, split=name) for name, part in (("train", train), ("test", test))))


original = retrain(trainer, [], 1, output_dir=out / "original", first_seed=0)[0]
references = retrain(trainer, forget, 4, output_dir=out / "retrained")
found = audit(
    candidates={"untouched": predictions(original.folder)},  # yours: the model after unlearning
    references=[predictions(model.folder) for model in references],
    forget=forget,
    original=predictions(original.folder),
    neighbourhood=NeighbourhoodConfig(number=4),
    class_names=SOURCES,
    title="Lines of one description forgotten",
)
print(np.unique([row["label"] for row in train], return_counts=True)[1], "training lines,", len(forget), "forgotten")
print(found)
print(found.save(out / "report") / "report.html")
