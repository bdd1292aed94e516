"""Results that were measured before, read back from a file that anybody may have changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_vidrecon.errors import StorageError, one_line
from napari_vidrecon.storage import read_json

FORMAT = "vidrecon bench 2"
CASES = (
    *("gradients", "step-small", "step-large", "step-sample", "prediction-small", "prediction-large"),
    *("clip-sample", "quality", "ensembles", "clips", "growth", "gpu"),
)
LONGEST_TEXT = 300
MOST_ROWS, MOST_CALLS = 10_000, 100_000


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters in a text")
    return text


Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
Correlation = Annotated[float, Field(allow_inf_nan=False, ge=-1, le=1)]
Times = Annotated[list[Annotated[float, Field(gt=0, le=1e12)]], Field(min_length=1, max_length=MOST_CALLS)]


def _known(case: str) -> str:
    if case not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}")
    return case


class _Part(BaseModel):
    """Data from outside: plain JSON values of the right kind; what is not asked for is kept and never looked at."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class _Machine(_Part):
    cpu: Text
    cores: Count
    threads: Count
    gpu: Text | None
    torch: Text
    numpy: Text
    python: Text
    napari_vidrecon: Text
    date: Text


class _Row(_Part):
    of: Annotated[str, AfterValidator(_known)]
    threads: Count


class _Compared(_Row):
    size: Text
    beside_seconds: Times
    seconds: Times
    ratio: Number
    ratio_least: Number
    ratio_most: Number


class _Timing(_Compared):
    case: Text
    what: Text
    beside: Text
    repeats: Count
    beside_windows: Count | None = None
    windows: Count | None = None


class _Quality(_Row):
    preset: Text
    size: Text
    best: Correlation
    final: Correlation
    reached: Count
    clips: Count
    windows: Number | None
    seconds: Number | None
    windows_ratio: Number
    windows_ratio_median: Number
    windows_ratio_least: Number
    seconds_ratio: Number
    seconds_ratio_median: Number
    seconds_ratio_least: Number

    @model_validator(mode="after")
    def _reached_or_not(self) -> Self:
        if (self.windows is None) != (self.seconds is None):
            raise ValueError("windows without their time")
        return self


class _Gradients(_Row):
    size: Text
    precision: Text
    gradient_error: Number
    norm_error: Number
    loss_error: Number


class _Growth(_Row):
    axis: Text
    value: Annotated[int, Field(gt=0, le=10**12)]
    what: Text
    size: Text
    repeats: Count
    seconds: Times


class _Gpu(_Compared):
    precision: Text
    share_of_limit: Number


class _NoGpu(_Row):
    missing: Text


class _Results(_Part):
    format: Literal["vidrecon bench 2"]
    quick: bool
    machine: _Machine
    timings: Annotated[list[_Timing], Field(max_length=MOST_ROWS)] = []
    quality: Annotated[list[_Quality], Field(max_length=MOST_ROWS)] = []
    gradients: Annotated[list[_Gradients], Field(max_length=MOST_ROWS)] = []
    growth: Annotated[list[_Growth], Field(max_length=MOST_ROWS)] = []
    gpu: Annotated[list[_NoGpu | _Gpu], Field(max_length=MOST_ROWS)] = []


def read_results(file: Path | str) -> dict[str, Any]:
    """Results of `vidrecon bench` from its file; every key that is used has a value that can be.

    Parameters
    ----------
    file
        As `--out` wrote it.

    Returns
    -------
    dict[str, Any]
        dict What the file says.

    Raises
    ------
    StorageError
        Missing, damaged, or something else.
    """
    found = read_json(file, expected="results of `vidrecon bench`")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StorageError(
            f"{file}: expected results of `vidrecon bench`, found none; give the file of an earlier --out"
        )
    try:
        _Results.model_validate(found)
    except ValidationError as raised:
        first = raised.errors(include_url=False, include_context=False, include_input=False)[0]
        place = one_line(".".join(map(str, first["loc"])), 80)
        what = f"{place}: {one_line(first['msg'], 120)}"
        raise StorageError(f"{file}: expected results of `vidrecon bench`, found damaged ones ({what})") from None
    return found
