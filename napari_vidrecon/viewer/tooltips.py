"""What every control of the window does, in one table."""

from __future__ import annotations

from typing import TypeVar

from qtpy.QtWidgets import QWidget

Control = TypeVar("Control", bound=QWidget)

TOOLTIPS = {
    # Run bar
    "start": "Reconstruct the movie from the neurons' activity, with the settings below.",
    "pause": "Hold after the present step. What is done so far is kept on disk.",
    "resume": "Go on: with the run that is held, or with a shown run that was stopped early.",
    "stop": "End after the present step. The movie reconstructed so far is kept.",
    "rerun": "Run again with the present settings. The old run is kept under Results, to compare.",
    "progress": "How many of the optimisation steps are done.",
    "video_correlation": "Pearson correlation between true and reconstructed movie over all pixels and frames inside "
    "the evaluation mask: 1 is perfect, 0 is chance. The first frames are left out, because the encoder needs "
    "a start. It follows the evaluation threshold at once.",
    "frame_correlation": "Mean over frames of the correlation between true and reconstructed frame inside the "
    "evaluation mask. It ignores how brightness changes from frame to frame.",
    "message": "The latest news. Click on it to hide it.",
    "subject": "What the run bar speaks of: the mouse, the clip, and its frames.",
    "tour_next": "Do this step of the tour. It opens the simulated mouse; runs that are kept on disk stay there.",
    "tour_skip": "Take the tour away, for good. Shift+F1, or “tour” in napari's command palette, brings it back.",
    "show_behaviour": "Pupil and gaze as a drawn eye, the running speed, and the video of the mouse where the session "
    "has one (Shift+N).",
    "movies_alone": "Fill a screen with the movies alone, the second one if there is one. Escape leaves (F9).",
    # What
    "sample": "Open the simulated mouse that comes with the program: a made-up cortex that watched movies, "
    "with encoders trained on it. Nothing is downloaded.",
    "open_session": "Open a session folder in the public Sensorium 2023 format (it holds data and meta), or a saved "
    "run. You can also drag the folder onto this panel; a suite2p folder or NWB file then asks to be imported.",
    "recent": "Sessions and runs opened lately.",
    "import_recording": "Turn a recording of your own into a session: a suite2p folder, an NWB file, or plain arrays.",
    "session_name": "The session that is open.",
    "tier": "Which part of the recording to choose a trial from. Encoders are trained on “train”; reconstruct from "
    "the others.",
    "trial": "One movie clip and the activity recorded while the mouse watched it.",
    "repeats": "Fits one movie to all presentations of this clip, each with its own activity, behaviour and eye "
    "position. They are found by what was on the screen; curves and rasters stay those of the trial chosen here.",
    "mice": "Mice that saw this clip too: one movie is fitted to the activity of all, inside the union of their masks. "
    "Thin outlines show each one’s mask, this mouse’s first in orange; curves and rasters stay this mouse’s.",
    "add_mouse": "Choose the session folder of another mouse. Its encoder is taken from a folder encoders in or beside "
    "it, its mask from mask.npy in it; else they are asked for. Where it saw this clip is found by what was shown.",
    "remove_mouse": "Fit without one of them.",
    "first_frame": "The first frame to take. Fewer frames are faster.",
    "last_frame": "Take frames up to, but without, this one; at least 32 in all.",
    "all_frames": "Take the whole clip.",
    "encoders": "Encoders trained on this mouse: they predict activity from a movie. Tick one, or several to average "
    "over them, which gives better reconstructions and takes longer.",
    "add_encoder": "Add an encoder file: .safetensors of this program, or a reference checkpoint (.pth).",
    "train_encoder": "Train an encoder on this session, here in the window; minutes for a small session.",
    # Training
    "training_session": "What is trained on: the tier train; the tier oracle is kept to score on.",
    "training_architecture": "The small encoder for a session of one's own. Others, several mice and ensembles: "
    "“vidrecon train”.",
    "training_steps": "Optimiser steps. The number belongs to the training: a stopped one goes on with the same.",
    "training_file": "Where the encoder goes. A file that is there already is never replaced.",
    "choose_training_file": "Choose another file for the encoder.",
    "start_training": "Train, or go on where the training was stopped. The window can be used meanwhile.",
    "training_progress": "How many of the training's steps are done.",
    "stop_training": "End after the present step. What it has learned is kept beside the file, and Go on leads on from "
    "there, also in another window or with “vidrecon train”.",
    "training_told": "Loss of the last step, and mean over neurons of the correlation between predicted and recorded "
    "activity in single trials that it does not learn from.",
    "training_verdict": "Whether the encoder is good enough to reconstruct with.",
    "after_training": "Go to How, where the mask is fitted with the new encoder.",
    "fit_decoder": "Fit a linear decoder of this mouse, in a minute or so.",
    "decoder_fit_session": "What the decoder learns from, and is measured on.",
    "start_decoder_fit": "Fit the decoder; it is saved in a folder “decoders” beside the session, and chosen. The "
    "window can be used meanwhile.",
    "decoder_fit_progress": "How many of the training trials were read.",
    "stop_decoder_fit": "Fit on the trials that were read so far.",
    "decoder_verdict": "Whether it is worth starting from.",
    # Live
    "live_page": "Pictures while activity comes in: a replay, or a stream of your microscope.",
    "live_about": "What makes the pictures.",
    "live_source": "Where activity comes from: trials replayed at the speed of the recording, or frames that somebody "
    "sends over ZeroMQ (docs/live.md says how).",
    "live_address": "Of the sender: tcp://HOST:PORT. With tcp://*:PORT this window waits for one that connects.",
    "live_refine": "The optimisation (preset fast) refines the pictures of the last seconds, inside the mask, as far "
    "as it keeps up.",
    "live_fit": "Fit a decoder that takes past and present activity only, in some seconds, and choose it. It learns "
    "from the tier train; where there is none, from all trials but the chosen one.",
    "live_start": "Show a picture for every frame from now on. What is seen is written as a run at every moment.",
    "live_stop": "End it; what was seen comes on the board.",
    "live_pictures": "What was shown to the mouse, where that is known, and what the decoder sees in its activity now; "
    "below, what it saw some seconds ago, refined meanwhile.",
    "live_told": "Late: came after a later frame. Lost: did not come, and was filled in. Twice: was there already. "
    "Refused: messages that were no frame of this mouse.",
    "ghost_shown": "While a run goes on, the run that was on the board before keeps a tile of its own, to compare.",
    "magnified": "Beside the mouse: the pixels under it in every movie, and their grey levels (Shift+M).",
    "alpha_shown": "Lay alpha over the stimulus as heat: how much the neurons see of a pixel. While a mask is fitted, "
    "it is shown as it grows.",
    "decoder": "Optional: a linear decoder of this mouse, fitted with Fit… or “vidrecon decoder”. Runs start from the "
    "movie it makes of the activity, and best and fast stay near it where the encoder has nothing else to say. Without "
    "one they start from grey, as published.",
    "choose_decoder": "Choose a decoder file (.safetensors).",
    "remove_decoder": "Let runs start from grey again.",
    "mouse": "Which readout of an encoder file with several mice to use. “automatic” takes the one with as many "
    "neurons as the session.",
    # Import
    "import_folder": "Choose a suite2p folder, or a folder of .npy arrays and movies. Nothing in it is changed.",
    "import_file": "Choose a file: NWB, or what another package reads. Nothing in it is changed.",
    "import_kind": "What the files are; told by their names. The table shows what each array would be used for.",
    "import_columns": "Every array that was found: what it is taken for, its shape, kind of numbers, rate, and the "
    "range of a sample of its values. What is not taken for anything is dimmed. To use other names, describe the "
    "files in a recording.toml beside them (docs/import.md).",
    "import_trial_frames": "Longer presentations are cut into several trials. Counted at 30 Hz: 300 frames are 10 s at "
    "any rate.",
    "import_rows": "Pixels of the session's movies from top to bottom; of one colour, where there are several. The "
    "recording's movies are averaged over area to that. Public encoders and masks are made for 36 × 64.",
    "import_columns_px": "Pixels of the session's movies from left to right.",
    "import_colours": "Names of the colours along the movies' last axis, e.g. green, uv: each is kept apart. Empty: "
    "movies become grey levels.",
    "import_rate": "Frames a second of the session: everything comes onto this clock. Public encoders are made for 30.",
    "import_width_cm": "Width of the lit screen.",
    "import_height_cm": "Height of the lit screen.",
    "import_distance_cm": "From the eye to the screen: it turns pixels into degrees.",
    "import_degrees": "What the sizes above come to, straight ahead.",
    "import_fit": "Movies are brought to the pixels of the session's screen. If their proportions are others: add grey "
    "at the edges, cut the edges off, or distort them.",
    "import_bad_neurons": "Neurons that are NaN or never change: leave them out and say so, or refuse to import.",
    "import_negative": "Encoders expect activity of at least 0. What is below: refuse to import, or set it to 0.",
    "import_test_share": "Share of the trials, whole movies, that is kept to reconstruct and test with. Not used if "
    "the files name tiers.",
    "import_validation_share": "Share of the trials, whole movies, that training is watched with. Not used if the "
    "files name tiers.",
    "import_within_movie": "Only if there is a single movie: hold out parts of it although other parts are trained "
    "on. Scores may then be too good.",
    "import_trim": "Where two arrays should be equally long and are not, cut the longer one at its end instead of "
    "refusing.",
    "import_clock_tolerance": "How far two clocks may run apart over the recording before it is refused.",
    "import_axes": "Order of the axes of movies in arrays and NWB files, where it is not frames, rows, columns. "
    "Choose, or type letters: n clips, t frames, h rows, w columns, c colours; tchw for (frame, colour, row, column).",
    "import_stills": "For pictures shown in any order, with grey between: how long each stayed. The order of movies, "
    "or the index in an NWB file, then names the picture at each time.",
    "import_levels": "Say which values of the movies were shown as black and as white, where the kind of numbers does "
    "not tell.",
    "import_black": "The value that was shown as black.",
    "import_white": "The value that was shown as white.",
    "import_out": "The session folder to write. It appears whole or not at all.",
    "import_choose_out": "Choose a name and a place for the session.",
    "import_replace": "If a session that was imported before lies there, replace it. Other folders are never replaced.",
    "import_start": "Write the session. The window can be used meanwhile.",
    "import_stop": "End after the present clip. Nothing of the session is kept.",
    "import_progress": "How far the import is.",
    "import_report": "What was taken, resampled, filled in, left out, repaired or assumed on the way.",
    "import_open": "Put the new session on the board. It has no encoder yet: train one with “vidrecon train”.",
    "more_of_what": "Repeats of the clip, a decoder, and other mice that saw it. In a higher window they stand here.",
    "choose_neurons": "Ablate neurons: those of a region, of the cortex or of a raster, or at random. In a higher "
    "window this stands here.",
    "own_stimulus": "Show the encoders a movie of your own instead of a recorded clip: noise, a grating, a patch, a "
    "film.",
    # Run settings
    "preset": "best: the highest correlation. fast: far fewer steps, nearly as good. "
    "paper: Bauer et al. 2026 to the letter, 1000 steps.",
    "steps": "Optimisation steps. More are not always better: late steps fit the noise of the activity.",
    "target": "The activity to match. recorded: what the neurons did. predicted: what the encoder says they would "
    "have done, without noise; an upper bound. permuted: recorded activity under other neurons; a control.",
    "infer_gaze": "Shift the picture with the eye: how far the recorded pupil shifts it is learned from training clips "
    "first (half a minute), checked on others, and left alone where it does not help. What was found is under "
    "Advanced. Not in the preset paper.",
    "infer_gain": "All neurons may become more or less active together, slowly: how much is found with the movie. Not "
    "in the preset paper.",
    "gaze_progress": "How far it is with learning what the pupil tells of the gaze.",
    "stop_gaze": "Leave it; the picture stays still.",
    "ensemble": "With several encoders: average their movies (one reconstruction each, as in the paper), or average "
    "their gradients in every step (faster).",
    "device": "Where to compute. auto takes a graphics card where there is one.",
    "apply_live": "Changes of mask and neurons act on the running optimisation from its next step. "
    "Otherwise they wait for Rerun.",
    "reset_settings": "Set everything back to the preset.",
    "advanced": "Every parameter of the optimisation.",
    "progress_page": "Loss and correlation step by step. Where there is room, they stand below every page.",
    "field_page": "Map receptive fields, load and save them, and look at them neuron by neuron.",
    "view_page": "What the board shows: error, activity, order of the neurons.",
    "mask_verdict": "Whether the mask is a good place to measure in: large enough, in one piece, without holes.",
    "plot": "Loss and correlation step by step. Dashed: what the true movie reaches.",
    # Mask
    "thresholds": "Left handle: training threshold, pixels from this alpha on are reconstructed. Right handle: "
    "evaluation threshold, pixels from this alpha on are measured. Alpha says how much the neurons see of a pixel. "
    "The outlines on the movies can be dragged, too.",
    "training_size": "The area that is reconstructed: pixels, and the diameter in degrees of visual angle of a disc "
    "of the same area.",
    "evaluation_size": "The area that is measured.",
    "load_mask": "Load a mask: a .npy file of alpha values, one a pixel of the screen, or square around it (64 × 64 "
    "as published).",
    "save_mask": "Save the mask, with what was painted, as a .npy file.",
    "fit_mask": "Learn the mask from the encoder: which pixels does the population's activity depend on? "
    "Takes a minute or so; the window can be used meanwhile.",
    "fit_progress": "How far the fit of the mask is.",
    "stop_fit": "End the fit and take the mask learned so far.",
    # Receptive fields
    "field_summary": "What the encoders say of all neurons: how many respond to a small bright or dark patch, and the "
    "width of their receptive fields at half height.",
    "field_preset": "quick: patches of 2 × 2 pixels through three windows of time, a minute on a laptop. "
    "published: every single pixel through all windows, twenty times the work, as in Bauer et al. 2026.",
    "map_fields": "Show bright and dark patches, one place after another, to the chosen encoders, and note whose "
    "activity rises.",
    "mapping_progress": "How far the mapping is.",
    "stop_mapping": "End the mapping; what was there before stays.",
    "load_fields": "Load receptive fields that were saved here, or by “vidrecon rf”.",
    "save_fields": "Save maps, centres and sizes as one .npz file.",
    "field_neuron": "Show the receptive field of this neuron on the stimulus. Or click a row of a raster, or a cell.",
    "hide_field": "Take the receptive field off the stimulus.",
    "field_told": "Vermillion: bright patches raise its activity. Blue: dark ones do. White line: the fit at half "
    "height, with the smoothing of the map taken off.",
    "paint": "Paint pixels into the mask on the stimulus tile, or erase them, with napari's brush; "
    "press again to finish.",
    "undo": "Take back the last change of mask, thresholds, neurons or settings (Ctrl+Z in this dock).",
    "redo": "Make the undone change again.",
    # Neurons
    "neuron_count": "How many neurons take part in the reconstruction.",
    "fraction": "Ablate this part of the neurons, drawn at random. With one seed, more ablated neurons always "
    "include the fewer.",
    "seed": "Another seed draws other neurons.",
    "ablate_random": "Leave a random part of the neurons out (Bauer et al. 2026, Fig. 5).",
    "ablate_rows": "Leave out the neurons whose rows are marked in the rasters: click a row, "
    "or drag over several with Shift held.",
    "show_cells": "Show where the neurons lie in cortex, as points in three dimensions; Shift-drag there selects them.",
    "ablate_cells": "Leave out the neurons that are selected among the points.",
    "draw_region": "Draw a region on the stimulus tile.",
    "ablate_region": "Leave out the neurons whose receptive field has its centre in the drawn region.",
    "keep_only": "Ablate everything but the chosen neurons instead.",
    "ablation": "drop: ablated neurons leave the loss. silence: they stay in it and are asked to be silent, as in the "
    "published code.",
    "all_neurons": "Let every neuron take part again.",
    # View
    "error_mode": "What the error tile shows. From recorded − from predicted activity is the error map of Bauer et al. "
    "2026; it needs a second reconstruction, which is started for you. Uncertainty: the spread of movies that fit the "
    "activity about as well; it needs draws (a button offers them) or several encoders. What the brain adds: coloured "
    "only where it exceeds noise and faults of the encoder; it needs a run of a clip with repeats.",
    "work_out_added": "Find where what the mouse experienced differs from what was expected by more than noise and "
    "faults of the encoder, at a false discovery rate of 0.1 (docs/repeats.md). Pressed again, it stops.",
    "draw_several": "Reconstruct the same several times, each time drawing another movie that fits the activity about "
    "as well: their mean is shown, and where they differ. Undo takes the setting back.",
    "error_signed": "Signed: too bright and too dark have different colours. Otherwise only how large the error is.",
    "error_over": "What the error is drawn over.",
    "activity_mode": "What the lower right raster shows.",
    "progress_plot": "Drag over the steps to see the reconstruction as it was then; double-click for the newest. "
    "The grey curve is the run before.",
    "raster_order": "How the neurons are sorted in the rasters; patterns are easier to see with similar ones together.",
    "error_apart": "The error has a tile of its own; otherwise it is drawn over the movie itself, and both are larger.",
    "layout_watch": "Watch: the movies as large as they go, and how good each frame is below or beside them.",
    "layout_explain": "Explain: the movies, and the activity of the neurons that they come from.",
    "layout_compare": "Compare: up to six runs of this clip beside each other, each with its difference below it.",
    "layout_paper": "Paper: rows of truth and reconstruction for every clip that was reconstructed, as in its videos.",
    "zoom_to_mask": "Show the reconstruction inside the mask as large as it goes; W blinks with the stimulus.",
    "smooth_pixels": "Draw the pixels of the movies smooth, or each as the square that it is.",
    "show_as": "How the reconstruction is shown: raw; as in the pictures of Bauer et al. 2026 (smoothed, grey "
    "outside the mask, with the luminance and contrast of the stimulus); or with contrast matched only. Numbers are "
    "always those of the raw movie.",
    "outside": "What lies outside the mask: grey, as it is reconstructed; the stimulus, dimmed; or nothing.",
    "grid": "Lay the tiles out in napari's grid, where zooming one zooms all.",
    "play": "Play or hold (Shift-Space). It plays at the movie's own speed; where the screen cannot follow, frames are "
    "left out rather than slowed down.",
    "reset_view": "Fit the whole board into the window.",
    # Runs
    "runs": "Every run of this session. Double-click a name to change it. The correlation is taken inside the "
    "present evaluation mask, so that runs can be compared.",
    "compare": "Show this run beside the one on the board.",
    "compare_mode": "How to compare: side by side, blinking at 2 Hz in one place, or as a difference.",
    "take_settings": "Set mask, neurons and all settings as they were for the selected run.",
    "save_run": "Save a copy of the selected run to a folder of your choice.",
    "open_run": "Open a saved run, with its session, trial, mask and settings.",
    "kept_runs": "Runs of this session that were kept on disk earlier.",
    "delete_run": "Delete the selected run, also from disk.",
    # Export
    "movie": "Write stimulus, reconstruction and error side by side as a movie (MP4 or GIF), or the bare "
    "reconstruction as a TIFF stack for ImageJ. The window can be used meanwhile.",
    "frame": "Write the frame you see now as a PNG picture.",
    "figure": "Draw a figure for a paper or a talk: frames of stimulus and reconstruction with mask outlines, "
    "correlation over time, and how the optimisation went (PNG, SVG with real text, or PDF).",
    "tables": "Write a table with one row a frame (correlation, motion energy, pupil, running, activity accuracy) "
    "and a second one with one row an optimisation step (CSV or Parquet).",
    "speed": "How fast an exported movie plays. Real time is the frame rate of the stimulus.",
    "enlargement": "Screen pixels for one pixel of the movie; 8 makes three panels 1600 pixels wide.",
    "copy_python": "Copy a Python script that repeats the shown run bit for bit; without a run, what Start would do. "
    "A mask painted by hand and a list of neurons are saved beside the run, and the script refers to them.",
    "copy_command": "Copy one line for the terminal that repeats the shown run bit for bit; without a run, what Start "
    "would do. A mask painted by hand and a list of neurons are saved beside the run, and the line refers to them.",
    "cancel_export": "Stop writing. Nothing half-written stays.",
    "export_progress": "How much of the export is written.",
    "export_status": "What was exported or copied last.",
    "export_folder": "Opens the folder of what was exported last.",
    # Stimulus
    "stimulus_kind": "What to show: noise, a grating, a patch, or a movie of your own.",
    "noise_spatial": "How far grey levels resemble each other in space: they fall with distance d as "
    "exp(−d² / 2 l²), l being this length constant (Bauer et al. 2026, Fig. 4). 0: every pixel for itself.",
    "noise_temporal": "The same in time, frames. 0: every frame for itself.",
    "noise_seed": "Another seed draws other noise.",
    "noise_inverted": "Every grey level v becomes 255 − v.",
    "stimulus_frames": "How long it is, in frames of the session: 30 of most are one second.",
    "grating_cycles_px": "Spatial frequency of the stripes. 0.125: eight pixels a cycle.",
    "grating_cycles_s": "Temporal frequency. 0: the stripes stand still.",
    "grating_direction": "Where the stripes move to.",
    "grating_phase": "Where the stripes stand in the first frame.",
    "patch_row": "Row of its upper left pixel, 0 at the top.",
    "patch_column": "Column of its upper left pixel, 0 on the left.",
    "patch_side": "Side of the square.",
    "patch_level": "White or black.",
    "patch_before": "Frames of grey before it.",
    "patch_shown": "Frames of the patch.",
    "patch_after": "Frames of grey after it.",
    "movie_file": "Choose a film, a GIF, a TIFF stack, or a .npy array (frames, height, width) of 0 to 255. It is "
    "made grey, brought to the pixels of the session's screen, and shown frame by frame at its rate.",
    "movie_frames": "How many of its frames to take.",
    "show_stimulus": "Put it on the board, let the chosen encoders predict activity from it, and make that activity "
    "the target. Then press Start.",
    "back_to_trial": "Put the trial back on the board, with recorded activity as the target.",
    # Studies
    "show_studies": "Repeat the paper's experiments: on the simulated mouse, or on the mouse on the board.",
    "studies": "The experiments of the paper that can be repeated. Choose one or several; below stands what the one "
    "you clicked last has found.",
    "study_mice": "Who takes part: the simulated mouse that comes with the program with all its encoders; the mouse on "
    "the board with its chosen encoders and mask; or several mice that a JSON file lists.",
    "study_scale": "quick: few clips, encoders and steps, minutes on a laptop. paper: as many as were published, days "
    "on a laptop.",
    "study_out": "Folder for runs and results. Studies that share it share their runs: none is done twice.",
    "study_choose_out": "Choose the folder for runs and results.",
    "study_workers": "Processes that work at the same time, besides this window. “automatic” takes one a graphics card "
    "or, without one, one a core.",
    "study_estimate": "Time a few steps, and tell how many runs are left, how long they take, and how much disk.",
    "study_start": "Do the runs that are missing in the background, then measure, draw and write. The device is the "
    "one chosen under How, Advanced.",
    "study_stop": "End soon. Finished runs stay, and Start goes on from there.",
    "study_progress": "How many of the missing runs are done.",
    "study_findings": "Results of the paper, and whether these mice show them.",
    "study_figures": "Figures of the study; double-click one to see it in full size.",
    "study_page": "Open the page with all figures, movies, statistics, tables and settings in the web browser.",
    "study_runs": "Every run of the study. Double-click one to put it on the board.",
    "study_open_run": "Put the selected run on the board, with its session, clip, mask and settings.",
    # Traces and help
    "show_traces": "Show frame correlation, motion energy, pupil, running and activity accuracy over time, below the "
    "board. Click on a curve to go to that frame.",
    "show_shortcuts": "List the keys of this window.",
    "frame_correlation_trace": "Correlation of reconstruction and stimulus over the pixels of the evaluation mask, "
    "frame by frame. Click or drag to go to a frame.",
    "activity_accuracy_trace": "Correlation of predicted and recorded activity over the neurons that take part, frame "
    "by frame: predicted from the true movie, and from the reconstruction. Click or drag to go to a frame.",
    "motion_energy_trace": "Mean absolute change of a pixel's grey level from the frame before, inside the evaluation "
    "mask. Click or drag to go to a frame.",
    "pupil_size_trace": "Size of the pupil during the trial; the encoders take it as an input. "
    "Click or drag to go to a frame.",
    "running_speed_trace": "Speed of the treadmill during the trial; the encoders take it as an input. "
    "Click or drag to go to a frame.",
    "gaze_trace": "How far the receptive fields moved in the shown run, to the right and down, where it inferred the "
    "gaze. Click or drag to go to a frame.",
    "gain_trace": "Factor of all neurons in the shown run, where it inferred the gain. Click or drag to go to a frame.",
    "choose_traces": "Choose which curves are shown.",
    "trace_position": "The frame the slider stands at. Click or drag on any curve to move it.",
}
"""By the name of the control."""


SPOKEN = {
    "sample": "open the simulated mouse",
    "recent": "recent sessions and runs",
    "mouse": "readout of the encoder",
    "tier": "part of the recording",
    "first_frame": "first frame",
    "last_frame": "frame after the last",
    "all_frames": "take all frames",
    "encoders": "encoders to reconstruct with",
    "fraction": "percent of the neurons to ablate at random",
    "seed": "seed of the random ablation",
    "thresholds": "training and evaluation threshold",
    "ablation": "what ablated neurons do",
    "train_encoder": "train an encoder",
    "choose_training_file": "choose the file of the encoder",
    "after_training": "go on to the mask",
    "plot": "loss and correlation step by step",
    "subject": "what is reconstructed",
}
"""What a screen reader says of a control where the words of its name do not."""


def explain(control: Control, name: str) -> Control:
    """Name a control, also for a screen reader, and give it its tooltip; returns the control."""
    control.setObjectName(name)
    # A tag makes Qt break long lines.
    control.setToolTip(f"<qt>{TOOLTIPS[name]}</qt>")
    control.setAccessibleName(SPOKEN.get(name, name.replace("_", " ")))
    control.setAccessibleDescription(TOOLTIPS[name])
    return control
