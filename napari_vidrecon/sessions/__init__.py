"""One mouse's recording: sessions, trials, readers, validation, folds, stimuli, the simulated mouse."""
