"""Activities, volunteer time, maintenance, problems and calendars: addresses go in, pages come out."""
