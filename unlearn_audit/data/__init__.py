"""Images, forget sets and batches: from a Hub id, a folder or the digits to what a model trains on."""

from unlearn_audit._lazy import lazy

_HOMES = {"ForgetSet": "forget", "ImageData": "images", "Images": "images", "load_images": "images"}

__all__ = ["ForgetSet", "ImageData", "Images", "load_images"]

__getattr__, __dir__ = lazy(__name__, _HOMES)
