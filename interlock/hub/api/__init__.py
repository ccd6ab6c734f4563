"""/api/v1: what programs ask and do, JSON in and out; the desk is the first of them."""
