"""What people see of the hub: requests come in, pages in their language go out."""
