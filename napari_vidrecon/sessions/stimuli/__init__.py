"""What is shown on the screen instead of a recorded clip: noise, gratings, patches, any movie."""
