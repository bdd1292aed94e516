"""The form that turns a recording of one's own into a session."""
