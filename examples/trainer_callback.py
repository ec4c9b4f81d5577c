"""An unlearning method in a Trainer of your own: half of the eights among real digits are to be forgotten."""

from transformers import Trainer, TrainingArguments

from unlearn_audit import ForgetSet, TrainingConfig, create_model, fit, load_images
from unlearn_audit.data.batches import collate
from unlearn_audit.methods.local_teacher_distillation import LocalTeacherDistillation
from unlearn_audit.processes import limit_threads
from unlearn_audit.training import training_examples

limit_threads()  # to the cores that other work leaves free: crowded threads slow each other down many times over
data = load_images("digits")
forget = ForgetSet.by_class(data.train, 8, fraction=0.5, seed=0)
model = create_model("resnet8", data.train, seed=0)
fit(model, data.train, TrainingConfig(epochs=10, batch_size=64), seed=0, progress=False)  # the original model

method = LocalTeacherDistillation(n_support=300, teacher_epochs=30)
examples = training_examples(model, data.train, forget)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        "runs/trainer_callback", num_train_epochs=3, per_device_train_batch_size=64, learning_rate=1e-4
    ),
    train_dataset=method.prepare(model, examples),
    data_collator=collate,  # optional: faster than Trainer's own
    callbacks=[method],
)
trainer.train()
trainer.save_model("runs/trainer_callback/unlearned")
