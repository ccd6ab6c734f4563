"""Text sources of wiring drawings in, checked netlists and A4 pictures in two languages out."""
