"""Running an encoder backwards: from activity to the movie."""
