"""Images, forget sets and batches: from a Hub id, a folder or the digits to what a model trains on."""

from importlib import import_module

_HOMES = {"ForgetSet": "forget", "ImageData": "images", "Images": "images", "load_images": "images"}

__all__ = ["ForgetSet", "ImageData", "Images", "load_images"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
