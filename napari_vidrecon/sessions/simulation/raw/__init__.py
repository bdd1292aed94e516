"""Raw recordings of a simulated mouse, as a laboratory would have them before an import."""
