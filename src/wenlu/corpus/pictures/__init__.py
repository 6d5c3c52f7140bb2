"""Pictures as data: decoded within limits in a process of their own, referred to by records, stored for training."""

from wenlu.corpus.pictures.picture import BadPicture, Picture, PictureLimits

__all__ = ["BadPicture", "Picture", "PictureLimits"]
