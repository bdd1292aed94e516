"""`vidrecon import`: one's own recordings become a session; readers' options are built from their settings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.options import Json, Overwrite, VerbCommand, checked, parse_screen
from napari_vidrecon.cli.report import Progress, StopRequest
from napari_vidrecon.errors import ConfigError, VidreconError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings, Reader


class ImportCommand(VerbCommand):
    """The verb with the options of all readers; they are only looked for when it is called."""

    @cached_property
    def reading(self) -> dict[str, Any]:
        """The options of readers, by the names of their values."""
        return {each.name: each for each in parameters({part for each in self.params for part in each.opts})}

    def get_params(self, ctx: Any) -> list[Any]:
        """All options."""
        *own, asking = super().get_params(ctx)
        return [*own, *self.reading.values(), asking]

    def invoke(self, ctx: Any) -> Any:
        """Call the verb, which finds what was given of the readers' options in the context."""
        ctx.obj = {name: ctx.params.pop(name) for name in self.reading if name in ctx.params}
        return super().invoke(ctx)


COMMAND_SETTINGS = {"import": {"cls": ImportCommand}}
"""What Typer has to know of a verb."""


def importing(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="Kind of files: suite2p, phy, caiman, nwb, arrays, or what a package adds.",
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of suite2p or of arrays, or NWB file.")],
    out: Annotated[Path | None, typer.Option(metavar="SESSION", help="Session folder to write.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only list what is there and what it would be used for.")
    ] = False,
    trial_frames: Annotated[int, typer.Option(help="Longest trial, frames at 30 Hz.")] = 300,
    screen: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Pixels of the session's movies, e.g. 72x128.")
    ] = "36x64",
    screen_cm: Annotated[
        str | None, typer.Option(metavar="WIDTH,HEIGHT,DISTANCE", help="The screen in cm; default: 56.5,31.8,15.")
    ] = None,
    colours: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Keep colours of the movies apart, e.g. green,uv; default: grey."),
    ] = None,
    rate: Annotated[float, typer.Option(metavar="HZ", help="Frames a second of the session.")] = 30.0,
    fit: Annotated[str, typer.Option(help="Movies of other proportions: pad with grey, crop, or stretch.")] = "pad",
    levels: Annotated[
        str | None, typer.Option(metavar="BLACK:WHITE", help="Values of the movies shown as black and white.")
    ] = None,
    stills: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="The stimulus is pictures in any order, each shown so long from its time on, grey between.",
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="LETTERS",
            help="Order of the axes of movies: n clips, t frames, h rows, w columns, c colours; twh for (frame, x, y).",
        ),
    ] = None,
    bad_neurons: Annotated[str, typer.Option(help="Neurons that are NaN or never change: drop or refuse.")] = "drop",
    negative: Annotated[
        str, typer.Option(help="Activity below 0: refuse, clip to 0, or lift each neuron to 0.")
    ] = "refuse",
    test_share: Annotated[float, typer.Option(help="Share of trials held out to test with.")] = 0.1,
    validation_share: Annotated[float, typer.Option(help="Share of trials held out to validate with.")] = 0.1,
    within_movie: Annotated[
        bool, typer.Option("--within-movie", help="Hold out parts of movies that are also trained on.")
    ] = False,
    trim: Annotated[bool, typer.Option("--trim", help="Cut the longer of two arrays at its end.")] = False,
    clock_tolerance: Annotated[float, typer.Option(metavar="S", help="How far clocks may run apart.")] = 0.05,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Turn a recording of one's own into a session.

    Everything comes onto one video clock (30 Hz, or --rate), presentations are cut into trials, whole movies are held
    out, and what was resampled, filled, dropped or repaired is told, here and in import.txt of the session.
    """
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
    from napari_vidrecon.sessions.importing.sources import ImportSource, reader_named
    from napari_vidrecon.sessions.writer import SESSION, require_replaceable

    options = chosen_options(kind, reader_named(kind), context.obj)
    choices = {"trial_frames": trial_frames, "fit": fit, "bad_neurons": bad_neurons, "negative": negative}
    choices |= {"test_share": test_share, "validation_share": validation_share, "within_movie": within_movie}
    choices |= {"trim": trim, "clock_tolerance_s": clock_tolerance, "levels": _levels(levels), "axes": axes}
    choices |= {"stills_s": stills}
    choices |= {"screen": parse_screen(screen, screen_cm, colours), "frame_rate_hz": rate}
    settings = checked(ImportSettings, choices)
    chosen = ImportSource(kind, source, options)
    if not preview and out is None:
        raise ConfigError("--out: expected the session folder to write, found none; or only look with --preview")
    if out is not None and not preview:
        require_replaceable(out, overwrite)
    with chosen.opened(settings) as recording:
        if preview:
            columns = recording.columns()
            values = {"source": source, "columns": [vars(column) for column in columns]}
            report.answer(json, values, f"{source}: {kind}", ((column.name, column) for column in columns))
            return
        assert out is not None
        told = _write(recording, out, settings)
    report.tell_left(SESSION.belongings(out))
    if json:
        report.print_json({"out": out, **told.as_values()})
        return
    report.print_table(
        f"{source.name} -> {out}",
        [*((name.replace("_", " "), _text(value)) for name, value in told.totals.items())],
    )
    for note in told.notes:
        report.say(f"  {note}")


def _write(recording: Any, out: Path, settings: ImportSettings) -> Any:
    from napari_vidrecon.sessions.importing.importer import import_recording

    kept = f"stopped; nothing was written to {out}: a session appears whole or not at all"
    with Progress("importing", 0, "steps") as progress, StopRequest(kept=kept) as stop:

        def on_progress(what: str, done: int, total: int) -> None:
            # Every clip is looked at twice: to tell which show the same movie, and to write it.
            steps = done + total * (what == "writing")
            if not progress.total or (what == "writing" and done <= 1):
                # Looking through the recording, telling movies apart and writing take their own time each.
                progress.begin(steps)
            progress.total = 2 * total
            progress.update(steps, what)
            stop.check()

        try:
            return import_recording(recording.recording(), out, settings, on_progress)
        except VidreconError:
            # Ctrl-C ends what is decoding a film, too; the film is not damaged for it.
            stop.check()
            raise


def _levels(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        black, white = (float(word) for word in text.split(":"))
    except ValueError:
        raise ConfigError(f"--levels {text}: expected BLACK:WHITE, two numbers, e.g. 0:4095") from None
    return black, white


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {part}" for name, part in value.items())
    return str(value)


SEPARATOR = "."
"""Between a kind of files and a field in the name of a value; no kind of this package has one."""
ALSO = "/"
"""Between several kinds of files that share a field."""


def parameters(taken: set[str]) -> list[Any]:
    """The options of all readers that can be used, as parameters of a command.

    Parameters
    ----------
    taken
        Options of the command itself; a field of the same name becomes `--KIND-FIELD`.

    Returns
    -------
    list[Any]
        For the command's signature.
    """
    from napari_vidrecon.sessions.importing.sources import READERS, all_readers

    made: list[tuple[str, Any]] = []
    for kind, reader in all_readers().items():
        for name, field in reader.options_class.model_fields.items():
            kinds = [each for each, ours in READERS.items() if name in ours.options_class.model_fields]
            if kind not in READERS:
                kinds = [kind]
            if kind != kinds[0]:
                # One option of the command serves all kinds of this package that have it.
                continue
            flag = f"--{name}".replace("_", "-")
            if flag in taken:
                flag = f"--{kind}-{name}".replace("_", "-")
            taken.add(flag)
            made.append((f"{ALSO.join(kinds)}{SEPARATOR}{name}", _annotation(flag, ", ".join(kinds), field)))
    return list(_as_parameters(made))


def chosen_options(kind: str, reader: type[Reader], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, for a reader; checked.

    Parameters
    ----------
    kind
        Name of the reader.
    reader
        The reader itself.
    given
        Options by names of reader and field; None where one was left out.

    Returns
    -------
    dict[str, Any]
        Fields of the reader's options.

    Raises
    ------
    ConfigError
        One belongs to another kind of files, was given twice, or its value cannot be used.
    """
    from napari_vidrecon.settings import shown

    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == () or value == []:
            continue
        theirs, _, field = name.rpartition(SEPARATOR)
        told = f"--{field.replace('_', '-')}"
        if kind not in theirs.split(ALSO):
            raise ConfigError(f"{told}: expected only for {theirs.replace(ALSO, ', ')}, found for {kind}; leave it out")
        if isinstance(value, (list, tuple)):
            value = _one(told, list(value), reader.options_class.model_fields[field])
        choices = _choices(reader.options_class.model_fields[field])
        if choices and value not in choices:
            raise ConfigError(f"{told}: expected {' or '.join(choices)}, found {shown(value)}")
        chosen[field] = value
    reader.options_class(**chosen)
    return chosen


def _one(told: str, values: list[str], field: FieldInfo) -> str:
    """The value of an option that was given once, or the list of those of a field that takes several."""
    from napari_vidrecon.settings import shown

    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if len(values) > 1 and not extra.get("several"):
        raise ConfigError(f"{told}: expected it once, found {', '.join(map(shown, values))}; it takes one value")
    return ",".join(values)


def _annotation(flag: str, kind: str, field: FieldInfo) -> Any:
    help_ = f"{kind}: {field.description or field.title or 'see its documents'}"
    if field.default not in (None, "", False):
        help_ += f"  [default: {field.default}]"
    if field.annotation is bool:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}" if field.default else flag, help=help_)]
    metavar = "|".join(_choices(field)) or ("PATH" if Path in _kinds(field) else "VALUE")
    # Words: the reader's own settings turn them into what they want, and two are not one of them in silence.
    return Annotated[list[str] | None, typer.Option(flag, metavar=metavar, help=help_)]


def _as_parameters(made: list[tuple[str, Any]]) -> Iterator[Any]:
    """Parameters as Typer makes them of a function that has them."""
    app = typer.Typer()
    function = lambda **_values: None  # noqa: E731  # its signature is given to it
    places = {f"option_{number}": value for number, value in enumerate(made)}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(place, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for place, (_, annotation) in places.items()
        ]
    )
    function.__annotations__ = {place: annotation for place, (_, annotation) in places.items()}
    app.command()(function)
    for parameter in typer.main.get_command(app).params:
        if parameter.name in places:
            parameter.name = places[parameter.name][0]
            yield parameter


def _choices(field: FieldInfo) -> tuple[str, ...]:
    literal = typing.get_origin(field.annotation) is typing.Literal
    return tuple(map(str, typing.get_args(field.annotation))) if literal else ()


def _kinds(field: FieldInfo) -> set[Any]:
    return {field.annotation, *typing.get_args(field.annotation)}
