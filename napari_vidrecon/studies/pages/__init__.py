"""What a study leaves on disk for people: tables, figures, movies, pages."""
