"""The sections of the dock; each sets fields of the model and shows them."""
