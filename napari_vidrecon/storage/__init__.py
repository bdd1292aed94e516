"""Reading what a user opens without trusting it, and writing so that nothing is ever half there."""

from napari_vidrecon.storage.drafts import sweep
from napari_vidrecon.storage.plain_arrays import read_description, stored_format
from napari_vidrecon.storage.reading import (
    archive_names,
    check_inside,
    check_regular,
    file_hash,
    open_regular,
    parse_json,
    read_archive,
    read_array,
    read_bytes,
    read_json,
    read_text,
    reading,
    user_path,
)
from napari_vidrecon.storage.writing import (
    claimed,
    disk_errors,
    recover_folder,
    replacing_file,
    replacing_files,
    replacing_folder,
    safe_cell,
    write_array,
    write_tables,
)

__all__ = [
    "archive_names",
    "check_inside",
    "check_regular",
    "claimed",
    "disk_errors",
    "file_hash",
    "open_regular",
    "parse_json",
    "read_archive",
    "read_array",
    "read_bytes",
    "read_description",
    "read_json",
    "read_text",
    "reading",
    "recover_folder",
    "replacing_file",
    "replacing_files",
    "replacing_folder",
    "safe_cell",
    "stored_format",
    "sweep",
    "user_path",
    "write_array",
    "write_tables",
]
