"""What funders, members and the public may read: addresses go in, pages come out."""
