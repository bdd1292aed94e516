"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SessionFolder = Annotated[
    Path, typer.Argument(metavar="SESSION", help="Session folder (public Sensorium 2023 layout).")
]
EncoderFiles = Annotated[
    list[Path], typer.Option("--encoder", metavar="FILE", help="Encoder file (.safetensors or .pth); may be repeated.")
]
EncoderFile = Annotated[Path, typer.Option("--encoder", metavar="FILE", help="Encoder file (.safetensors or .pth).")]
Mouse = Annotated[
    str | None,
    typer.Option(
        metavar="INDEX",
        help="Readout of the encoder, by index or name; default: the one with the session's number of neurons.",
    ),
]
ForceMouse = Annotated[
    bool, typer.Option("--force-mouse", help="Take encoder and decoder even if they are of a mouse of another name.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
Precision = Annotated[
    str,
    typer.Option(help="float32, or bfloat16 (faster on a GPU) where the encoder's gradient keeps its direction in it."),
]
MemoryLimit = Annotated[
    float | None,
    typer.Option("--memory", metavar="GIB", help="Memory for windows at once; default: a part of what is free."),
]
Frames = Annotated[
    str | None, typer.Option(metavar="A:B", help="Only the frames from A up to, but without, B of the clip.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there under the same name.")]
SaveEvery = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.0, help="At most this much work is lost if the process is killed.")
]
