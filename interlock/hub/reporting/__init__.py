"""A lab and a period go in; the figures funders ask for come out, compared with the period before."""
