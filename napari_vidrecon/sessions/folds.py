"""Folds by perceptual hash: clips that look the same land in the same fold, in whatever session."""

from __future__ import annotations

import functools
import operator

import numpy as np
from PIL import Image
from scipy.fft import dct

FOLDS = 7
HASHED_FRAMES = 5
HASH_IMAGE_PX = 32
HASH_BLOCK = 8


def frame_hash(frame: np.ndarray) -> int:
    """64-bit perceptual hash of one picture.

    Parameters
    ----------
    frame
        (H, W), grey levels 0..255; fractions are cut off.

    Returns
    -------
    int
        64 bits.

    References
    ----------
    The DCT hash of the ImageHash package, as used by Baikulov 2023.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        picture = Image.fromarray(np.ascontiguousarray(frame).astype(np.uint8))
    small = picture.resize((HASH_IMAGE_PX, HASH_IMAGE_PX), Image.Resampling.LANCZOS)
    spectrum = dct(dct(np.asarray(small, dtype=np.float64), axis=0), axis=1)
    low_frequencies = spectrum[:HASH_BLOCK, :HASH_BLOCK]
    bits = low_frequencies > np.median(low_frequencies)
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


def hashed_frames(frames: int) -> list[int]:
    """Indices of the five frames, spread over the clip, that stand for the whole of it.

    Returns
    -------
    list[int]
        Five, ascending.

    Raises
    ------
    ValueError
        Fewer than five frames.
    """
    if frames < HASHED_FRAMES:
        raise ValueError(f"expected a clip of at least {HASHED_FRAMES} frames, found {frames}")
    step = frames // HASHED_FRAMES
    return list(range(step // 2, frames, step))[:HASHED_FRAMES]


def perceptual_hash(video: np.ndarray) -> int:
    """64-bit perceptual hash of a clip: the hashes of five of its frames, combined by exclusive or.

    Parameters
    ----------
    video
        (T, H, W), grey levels 0..255, without padding, T >= 5.

    Returns
    -------
    int
        64 bits.

    Raises
    ------
    ValueError
        Not three axes, or fewer than five frames.

    References
    ----------
    Baikulov 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> movie = np.random.default_rng(0).uniform(0, 255, (10, 36, 64))
    >>> vr.perceptual_hash(movie) == vr.perceptual_hash(movie)
    True
    """
    video = np.asarray(video)
    if video.ndim != 3:
        raise ValueError(f"expected a video (T, H, W), found an array of shape {video.shape}")
    return functools.reduce(operator.xor, (frame_hash(video[frame]) for frame in hashed_frames(len(video))))


def hash_distance(first: int, second: int) -> int:
    """Number of bits, 0..64, in which two hashes differ; near-equal clips differ in a few."""
    return (first ^ second).bit_count()


def fold_of(clip_hash: int, folds: int = FOLDS) -> int:
    """Fold, 0..folds-1, of a clip with this hash."""
    if folds < 1:
        raise ValueError(f"expected at least one fold, found {folds}")
    return clip_hash % folds
