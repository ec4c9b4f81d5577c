"""Models: CIFAR ResNets registered with timm, building and loading, predictions and embeddings.

Importing this package registers `resnet8` … `resnet110`, `cnn3` and `cnn8`, which a model saved with one needs to load.
"""

from unlearn_audit.models import cifar_cnn, cifar_resnet, whitened_cnn
from unlearn_audit.models.adapting import adapt, merge
from unlearn_audit.models.creating import create_model
from unlearn_audit.models.labels import with_classes_of
from unlearn_audit.models.loading import load_model, save_model, weights_hash, with_processor
from unlearn_audit.models.prediction import predict
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.models.rows import joined, per_output, predict_rows

__all__ = [
    "Preprocessing",
    "adapt",
    "cifar_cnn",
    "cifar_resnet",
    "create_model",
    "joined",
    "load_model",
    "merge",
    "per_output",
    "predict",
    "predict_rows",
    "save_model",
    "weights_hash",
    "whitened_cnn",
    "with_classes_of",
    "with_processor",
]
