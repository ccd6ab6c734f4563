"""A seed goes in; whole lives of machines under virtual time, judged against the world, come out."""
