"""What a reconstruction is worth: post-processing, error maps, receptive fields, statistics."""
